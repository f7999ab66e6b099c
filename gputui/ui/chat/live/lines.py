"""The rows of an answer that is being written, and which of them are others after each piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style

from gputui.chat.model import Answer
from gputui.ui.cells import Line
from gputui.ui.chat.answer import PROMPT, fold_line, shown
from gputui.ui.chat.live.wrapping import Wrapped
from gputui.ui.palette import Palette, rich_style

LIVE_CHARACTERS = 20_000
"""Where all of it is laid out anew, at most this much of its end is: a screen holds far less."""

THOUGHT_LINES = 6
"""Of an answer that only thinks as yet, at most so many lines of its reasoning are shown."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Rows from ``y`` on that are others than they were; there may be more of them now, or fewer."""

    y: int
    before: Sequence[Line]
    after: Sequence[Line]


@dataclass(frozen=True, slots=True)
class _Frame:
    """What stands around the text that grows: all is laid out anew where it is another."""

    prompt: str
    writes: bool
    unfolded: bool
    thought: int

    @classmethod
    def of(cls, prompt: str, answer: Answer, *, unfolded: bool) -> _Frame:
        writes = bool(answer.text.strip())
        return cls(prompt, writes, unfolded, len(answer.reasoning) if writes and unfolded else 0)


class LiveLines:
    """The prompt, how much was reasoned, and below it the text that grows, at ``width`` cells.

    What grows is the reasoning while there is nothing else: its last lines, a few at a time, or all of it
    where it is ``unfolded``. Then it is the answer. ``anew`` counts how often all was laid out.
    """

    def __init__(self, width: int, palette: Palette) -> None:
        self.width = width
        self.anew = 0
        self._palette = palette
        self._frame: _Frame | None = None
        self._above: list[Line] = []
        self._head_at = 0
        self._grows = Wrapped(width)
        self._taken = ""
        self._skipped = 0

    def __len__(self) -> int:
        return len(self._above) + len(self._grows.lines) - self._skipped

    @property
    def measured(self) -> int:
        """The characters of the text that were looked at since all was laid out last."""
        return self._grows.measured

    def row(self, y: int) -> Line:
        """One of them."""
        above = len(self._above)
        if y < above:
            return self._above[y]
        return Line().add(self._grows.lines[y - above + self._skipped], self._style)

    def take(self, prompt: str, answer: Answer, *, unfolded: bool = False) -> list[Changed]:
        """This is the answer now; what became another by that."""
        frame = _Frame.of(prompt, answer, unfolded=unfolded)
        source = answer.text.lstrip() if frame.writes else answer.reasoning
        head = self._head(answer, frame)
        if (
            frame != self._frame
            or not source.startswith(self._taken)
            or len(head) != len(self._above) - self._head_at
        ):
            return self._lay_out(frame, source, head, answer)
        changes = [Changed(self._head_at, self._above[self._head_at :], head)] if head else []
        self._above[self._head_at :] = head
        return [*changes, *self._grow(source)]

    def _grow(self, source: str) -> list[Changed]:
        """More of the text."""
        piece, self._taken = source[len(self._taken) :], source
        if not piece:
            return []
        y = len(self._above) if self._is_window else len(self) - 1
        before = self._rows(y)
        self._grows.append(piece)
        self._turn_page()
        return [Changed(y, before, self._rows(y))]

    @property
    def _is_window(self) -> bool:
        """Whether only the end of what grows is shown: of reasoning that is not unfolded."""
        frame = self._frame
        return frame is not None and not frame.writes and not frame.unfolded

    def _turn_page(self) -> None:
        """A window that has no room for the last line goes on with few lines."""
        if self._is_window and len(self._grows.lines) - self._skipped > THOUGHT_LINES:
            self._skipped = len(self._grows.lines) - THOUGHT_LINES // 2

    def _rows(self, first: int) -> list[Line]:
        return [self.row(y) for y in range(first, len(self))]

    def _lay_out(
        self, frame: _Frame, source: str, head: list[Line], answer: Answer
    ) -> list[Changed]:
        before = self._rows(0) if self._frame else []
        self.anew += 1
        self._frame, self._skipped = frame, 0
        self._above = [*self._asked(frame.prompt), Line()]
        self._head_at = len(self._above)
        if frame.writes and frame.unfolded and answer.reasoning:
            self._above += [*head, *self._wrapped(answer.reasoning, self._palette.dim), Line()]
            self._head_at = len(self._above)  # it says how long was thought, which is over
        else:
            self._above += head
        self._grows, self._taken = Wrapped(self.width), source
        self._grows.append(source[-LIVE_CHARACTERS:])
        self._turn_page()
        return [Changed(0, before, self._rows(0))]

    def _asked(self, prompt: str) -> list[Line]:
        palette = self._palette
        first, *others = self._wrapped(PROMPT + shown(prompt), palette.strong)
        words = first.runs[0][0]
        mark = rich_style(palette.theme.colors.accent)
        line = Line().add(words[: len(PROMPT)], mark).add(words[len(PROMPT) :], palette.strong)
        return [line, *others]

    def _head(self, answer: Answer, frame: _Frame) -> list[Line]:
        """How much is reasoned; with a blank line where the answer follows."""
        if not answer.reasoning or (frame == self._frame and frame.writes and frame.unfolded):
            return []
        seen = frame.unfolded or not frame.writes
        words = fold_line(answer.measurement, answer.reasoning, unfolded=seen)
        blank = [Line()] if frame.writes and not frame.unfolded else []
        return [*self._wrapped(words, self._palette.dim), *blank]

    def _wrapped(self, text: str, style: Style) -> list[Line]:
        wrapped = Wrapped(self.width)
        wrapped.append(text[-LIVE_CHARACTERS:] if len(text) > 3 * LIVE_CHARACTERS else text)
        return [Line().add(line, style) for line in wrapped.lines]

    @property
    def _style(self) -> Style:
        writes = self._frame is not None and self._frame.writes
        return Style.null() if writes else self._palette.dim
