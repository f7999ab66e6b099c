"""Two sides and what they said: the shape that the screen already uses (bodies to be written).

NOTE to the writer of this module: gputui/ui/chat_panel.py and gputui/ui/app.py are written against
exactly these names; keep them, add what you need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gputui.chat.model import Answer, Endpoint, Sampling, Turn


class Side:
    """One side: its endpoint, its own history, at most one answer at a time."""

    name: str  # "A" or "B"
    endpoint: Endpoint | None  # None until chosen
    prompt: str  # the newest prompt sent to this side
    version: int  # grows with every change of anything that is shown

    @property
    def busy(self) -> bool:
        """True from ask to the end of the answer."""
        raise NotImplementedError

    @property
    def live(self) -> Answer | None:
        """The answer being written, numbers as of now (elapsed_seconds runs); None while not busy."""
        raise NotImplementedError

    @property
    def finished(self) -> Sequence[Turn]:
        """The turns that this side answered, oldest first; each Turn holds this side's Answer under its
        name. The same Answer objects at each call (the screen compares by identity)."""
        raise NotImplementedError

    def choose(self, endpoint: Endpoint | None) -> None:
        """Talk to that endpoint from now on; the side's history goes along. Stops a running answer."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close the stream; what came is kept, finish_reason "stopped". Nothing when not busy."""
        raise NotImplementedError


class Conversation:
    """Both sides, and the store that keeps their turns."""

    sides: Mapping[str, Side]
    sampling: Sampling
    store_problem: str | None  # why turns are not being kept, in words

    def send(self, prompt: str, sides: Sequence[str] = ("A", "B")) -> None:
        """Ask those sides (each a task of its own; must be called in the event loop).

        Raises GputuiError where a side is busy or has no endpoint.
        """
        raise NotImplementedError

    def retry(self, side: str) -> None:
        """Ask that side its last prompt again; its last answer is replaced. Raises GputuiError."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop every side."""
        raise NotImplementedError

    def stop_endpoint(self, url: str) -> None:
        """Stop every side that talks to that endpoint: its server is about to be stopped."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop all, wait for the tasks, keep what came, close the HTTP client and the store."""
        raise NotImplementedError
