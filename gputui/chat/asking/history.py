"""The prompts that were sent before, walked through from the newest."""

from __future__ import annotations

from collections.abc import Sequence

KEPT = 500
"""As many prompts as are walked through at most."""


class InputHistory:
    """This session's prompts, and ``older`` ones before them. What is being typed is kept meanwhile."""

    def __init__(self) -> None:
        self._own: list[str] = []
        self._older: tuple[str, ...] = ()
        self._walk: list[str] = []
        self._at = 0
        self._draft = ""

    @property
    def walking(self) -> bool:
        """Whether an earlier prompt is shown in place of what was being typed."""
        return self._at > 0

    def add(self, prompt: str) -> None:
        """A prompt was sent: it is the newest, and a walk ends."""
        if prompt in self._own:
            self._own.remove(prompt)
        self._own.append(prompt)
        del self._own[:-KEPT]
        self.leave()

    def set_older(self, prompts: Sequence[str]) -> None:
        """What other sessions sent, the newest first; for the next walk."""
        self._older = tuple(prompts[:KEPT])

    def earlier(self, shown: str) -> str | None:
        """The prompt before the one that is ``shown``; None where there is none."""
        if not self.walking:
            self._draft = shown
            newest_first = [*reversed(self._own), *self._older]
            self._walk = [one for one in dict.fromkeys(newest_first) if one != shown]
        if self._at == len(self._walk):
            return None
        self._at += 1
        return self._walk[self._at - 1]

    def later(self) -> str | None:
        """The prompt after the one that is shown, at last what was being typed; None outside a walk."""
        if not self.walking:
            return None
        self._at -= 1
        return self._walk[self._at - 1] if self._at else self._draft

    def leave(self) -> None:
        """End the walk where it is."""
        self._at, self._draft = 0, ""
