"""llama-swap's loading banner: it comes as reasoning, and is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from gputui.chat.answering.wire import Event, TextDelta

_RULE = "━━━━━\n"


class LoadingBanner:
    """Takes the banner out of a stream's events.

    With ``sendLoadingState`` llama-swap tells of a model that it loads as ``reasoning_content``: a rule, lines
    and dots, "Done!", a rule, a blank line. As reasoning it would start the clock of TTFT, and be kept.
    """

    def __init__(self) -> None:
        self._state: Literal["before", "inside", "behind", "past"] = "before"

    def pass_on(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events without the banner's."""
        for event in events:
            if not (isinstance(event, TextDelta) and self._swallows(event)):
                yield event

    def _swallows(self, delta: TextDelta) -> bool:
        """Only the very first text can begin it."""
        if not delta.reasoning:
            self._state = "past"
        elif self._state == "before":
            self._state = "inside" if delta.text == _RULE else "past"
        elif self._state == "inside":
            if delta.text == _RULE:
                self._state = "behind"
            return True
        elif self._state == "behind" and delta.text.strip():
            self._state = "past"
        return self._state != "past"
