"""How far a queue of more than two answers is, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len

from gputui.chat.conversation import PAIR, Conversation
from gputui.chat.side import Side
from gputui.text import number
from gputui.ui.cells import CellView, Line
from gputui.ui.palette import Look

Run = tuple[str, str]
"""A text, and how it looks: "label", "value" or "error"."""
_KEYS: Run = ("   < > on a side: the others", "label")


class QueueLine(CellView):
    """Which sides are done, which are answering and which wait; there only for more than two."""

    def __init__(self, look: Look, conversation: Conversation) -> None:
        super().__init__(look, id="queue-line")
        self._conversation = conversation
        self.display = False

    def update(self) -> None:
        """Draw it as it is now."""
        there = len(self._conversation.sides) > len(PAIR)
        if self.display is not there:
            self.display = there
        if there:
            self.redraw()

    def lines(self, width: int) -> list[Line]:
        palette = self.look.palette
        styles = {"label": palette.dim, "value": palette.value, "error": palette.error}
        line = Line()
        for text, role in progress(self._conversation.sides, width):
            line.add(text, styles[role])
        return [line]


def progress(sides: Mapping[str, Side], width: int) -> Sequence[Run]:
    """The widest way of saying it that fits: with names and speeds, with names, with letters alone."""
    answering = [side for side in sides.values() if side.busy and not side.waiting]
    waiting = [side for side in sides.values() if side.waiting]
    failed = [side for side in sides.values() if not side.busy and _failed(side)]
    asked = [side for side in sides.values() if side.busy or side.exchange is not None]
    done = len(asked) - len(answering) - len(waiting)
    begun: Run = (f"{done - len(failed)} of {len(sides)} done", "value")
    for say in (_with_speed, _with_name, _letter):
        runs: list[Run] = [("queue ", "label")]
        runs.append(
            begun if asked else (f"of {len(sides)}: {', '.join(map(say, sides.values()))}", "value")
        )
        if failed:
            runs += [(", ", "label"), (f"{', '.join(map(_letter, failed))} failed", "error")]
        runs += _part("answering", answering, say, "value")
        runs += _part("waiting", waiting, _letter, "value")
        if sum(cell_len(text) for text, _ in (*runs, _KEYS)) <= width:
            return [*runs, _KEYS]
    return runs


def _part(what: str, sides: Sequence[Side], say: Callable[[Side], str], role: str) -> list[Run]:
    if not sides:
        return []
    return [(f"  {what} ", "label"), (", ".join(say(side) for side in sides), role)]


def _failed(side: Side) -> bool:
    newest = side.newest
    return newest is not None and newest.answers[side.name].error is not None


def _letter(side: Side) -> str:
    return side.name


def _with_name(side: Side) -> str:
    return f"{side.name} {side.endpoint.name}" if side.endpoint else side.name


def _with_speed(side: Side) -> str:
    live = side.live
    speed = live.measurement.generation_tokens_per_second if live else None
    return _with_name(side) + (f" {number(speed.value, 1)} tok/s" if speed else "")
