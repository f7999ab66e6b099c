"""What is said beneath the table: of the cursor's row, else in one dim line of another that failed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.style import Style

from gputui.instances.status import InstanceStatus, State
from gputui.text import duration, sentences
from gputui.ui.cells import Line, cut
from gputui.ui.instances.columns import InstanceRow, hangs, waits
from gputui.ui.palette import Palette

MORE = "… (enter)"
"""Ends what is cut: the whole of it is in the details."""


def reason_lines(
    rows: Sequence[InstanceRow],
    selected: InstanceRow | None,
    width: int,
    count: int,
    palette: Palette,
) -> list[Line]:
    """Always ``count`` lines, blank where there is nothing to say, so that nothing beneath them moves."""
    words, style = _own(selected, palette)
    shown = fitted(words, width, count)
    if not words:
        others = [text for row in rows if row is not selected and (text := _of_another(row))]
        shown, style = [cut(text, width - 2) for text in others[:1]], palette.dim
    lines = [Line().add(f" {text}", style) for text in shown]
    return lines + [Line() for _ in range(count - len(lines))]


def wrapped(text: str, width: int) -> list[str]:
    """By words, with a blank on both sides."""
    return textwrap.wrap(text.strip(), max(20, width - 2))


def fitted(text: str, width: int, count: int) -> list[str]:
    """In at most ``count`` rows; what is cut ends by saying where the rest is."""
    rows = wrapped(text, width)
    if len(rows) <= count:
        return rows
    last = " ".join(rows[count - 1 :])[: max(20, width - 2) - len(MORE)].rstrip(" .,;:")
    return [*rows[: count - 1], last + MORE]


def _own(row: InstanceRow | None, palette: Palette) -> tuple[str, Style]:
    if row is None:
        return "", palette.dim
    status = row.status
    if row.alert is not None and not status.last_error:
        return sentences(row.alert.message, row.alert.hint), row.alert.style(palette)
    words = reason(status)
    wrong = status.last_error or (row.endpoint is not None and row.endpoint.problem)
    return (f"{status.name}: {words}" if words else ""), palette.error if wrong else palette.dim


def _of_another(row: InstanceRow) -> str:
    status = row.status
    if status.last_error:
        failed = " failed" if status.state is State.FAILED else ""
        return f"{status.name}{failed}: {status.last_error}"
    return f"{status.name}: {status.note}" if waits(status) else ""


def reason(status: InstanceStatus) -> str:
    """Why it failed and what to do, that it hangs, or what else is worth a line."""
    if status.last_error:
        coming = _times(status.failures) if status.restart_at is not None else ""
        return sentences(status.last_error, status.hint, coming)
    if hangs(status):
        stalled = duration(60.0 * ((status.stalled_seconds or 0) // 60))
        return f"no token for {stalled}: r restarts it"
    return _note(status)


def _times(count: int) -> str:
    return "1 crash so far" if count == 1 else f"{count} crashes so far"


def _note(status: InstanceStatus) -> str:
    """Its note, and what a restart would change of it."""
    differs = f"differs on restart: {', '.join(status.differs)}" if status.differs else ""
    return "; ".join(part for part in (status.note, status.lowered, differs) if part)
