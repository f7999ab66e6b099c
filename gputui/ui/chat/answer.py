"""A finished turn of one side: a single widget."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.widgets import Static

from gputui.chat.asking.notes import TurnNote
from gputui.chat.model import STOPPED, Answer, Measurement
from gputui.text import clean_line, number
from gputui.ui.chat.reading.figures import figures, reasoning_words
from gputui.ui.chat.reading.laid_out import LaidOut, Marks
from gputui.ui.palette import Look, rich_style

if TYPE_CHECKING:
    from gputui.instances.log.lines import Search


PROMPT = "› "

LEFT_OUT = "not sent any more, /drop 0 takes it back in"

AT_ONCE_CHARACTERS = 600
"""A text up to so long is laid out at once: that takes about 10 ms, where most of it is code."""

SHOWN_CHARACTERS = 50_000
"""Of a finished text, at most this much of its start is laid out; all of it is kept."""


def shown(text: str) -> str:
    """As much of a text as is laid out."""
    more = len(text) - SHOWN_CHARACTERS
    return (
        text
        if more <= 0
        else f"{text[:SHOWN_CHARACTERS]}\n\n({more} more characters are kept, not shown)"
    )


def fold_line(measurement: Measurement, reasoning: str, *, unfolded: bool) -> str:
    """How much was reasoned, with the mark of what can be unfolded."""
    return f"{'▾' if unfolded else '▸'} {reasoning_words(measurement, reasoning)}"


async def load_markdown() -> None:
    """Import what lays out Markdown, on a thread: with the first answer it would keep a key waiting."""
    await asyncio.to_thread(importlib.import_module, "gputui.ui.chat.reading.markdown")


class FinishedAnswer(Static):
    """A finished turn: prompt, folded reasoning, the answer as Markdown, its numbers or its error."""

    def __init__(
        self,
        prompt: str,
        answer: Answer,
        look: Look,
        search: Search | None = None,
        note: TurnNote | None = None,
        resizes: Callable[[FinishedAnswer, int], None] = lambda view, rows: None,
    ) -> None:
        """``resizes`` is told how many rows it is about to have, where its Markdown came later."""
        self._resizes = resizes
        self._note = note or TurnNote()
        self._prompt = prompt
        self._answer = answer
        self._look = look
        self._search = search
        self._current: int | None = None
        self.unfolded = False
        super().__init__(self._build(first=True), markup=False, classes="turn")
        self.set_class(not self._note.sent, "-unsent")

    @property
    def answer(self) -> Answer:
        """What it shows."""
        return self._answer

    def toggle_reasoning(self) -> None:
        """Unfold the reasoning, or fold it again."""
        self.unfolded = not self.unfolded
        self.update(self._build())

    def restyle(self) -> None:
        """Draw again in the theme of now."""
        self.update(self._build())

    def annotate(self, note: TurnNote) -> None:
        """Say this beside it; drawn again where that differs."""
        if note != self._note:
            self._note = note
            self.set_class(not note.sent, "-unsent")
            self.update(self._build())

    def find(self, search: Search | None, current: int | None, *, unfold: bool = False) -> None:
        """Mark what was found, the word of number ``current`` above all; drawn again where that differs."""
        unfolds = unfold and not self.unfolded
        if unfolds or (search, current) != (self._search, self._current):
            self._search, self._current = search, current
            self.unfolded = self.unfolded or unfolds
            self.update(self._build(), layout=unfolds)

    def found_row(self) -> int:
        """The line in which the marked word stands; 0 where none is."""
        rows = self._laid_out.rows(self.app.console, self.content_size.width or self.app.size.width)
        return rows[min(self._current or 0, len(rows) - 1)] if rows else 0

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        height = super().get_content_height(container, viewport, width)
        if self._laid_out.incomplete is not None:
            # No coroutine yet: where another takes its place before it begins, nobody would await it.
            self.run_worker(self._complete, group="lay out", exclusive=True)  # type: ignore[arg-type]
        return height

    async def _complete(self) -> None:
        """Plain text becomes Markdown, with no key kept waiting for it."""
        laid_out = self._laid_out
        if await laid_out.complete(self.app.console) and laid_out is self._laid_out:
            self._resizes(self, len(laid_out))
            self.update(laid_out)

    def _build(self, *, first: bool = False) -> RenderableType:
        # A tenth of the start-up time, and not needed before this; see `load_markdown`.
        from gputui.ui.chat.reading.markdown import AnswerMarkdown

        look, answer = self._look, self._answer
        palette = look.palette
        marks = Marks(self._search, self._current, palette)
        accent = rich_style(palette.theme.colors.accent)
        asked = Text.assemble((PROMPT, accent), (shown(self._prompt), palette.strong))
        prompt = _Marked(asked, marks)
        parts: list[RenderableType] = [prompt, Text(""), *self._reasoning(marks)]
        if not self._note.sent:
            parts.insert(0, Text(LEFT_OUT, style=palette.warning))
        above = list(parts)
        if answer.text:
            parts.append(AnswerMarkdown(shown(answer.text), palette, marks))
        below: list[RenderableType] = [Text(text, style=style) for text, style in self._endings()]
        if self._note.otherwise:
            words = self._note.words
            below.append(Text(words, style=palette.value))
        if self._note.voted:
            below.append(Text(f"voted: {self._note.voted}", style=palette.dim))
        numbers = _Figures(clean_line(self._note.by, 40), answer.measurement, palette.dim)
        below.append(numbers)
        at_first = None
        if first and self._search is None and len(answer.text) > AT_ONCE_CHARACTERS:
            plain = Text(shown(answer.text).strip("\n"), overflow="fold")
            at_first = [*above, plain, *below]
        self._laid_out = LaidOut([*parts, *below], look, marks, at_first)
        return self._laid_out

    def _endings(self) -> list[tuple[str, Style]]:
        """How the answer ended, where that is worth a word."""
        palette, answer = self._look.palette, self._answer
        if answer.error:
            hint = [(answer.hint, palette.value)] if answer.hint else []
            return [(f"✗ {answer.error}", palette.error), *hint]
        if answer.finish_reason == STOPPED:
            return [("■ stopped by you", palette.dim)]
        if answer.finish_reason == "length":
            return [("cut off: the token limit was reached", palette.warning)]
        return []

    def _reasoning(self, marks: Marks) -> list[RenderableType]:
        dim, answer = self._look.palette.dim, self._answer
        tokens = answer.measurement.reasoning_tokens
        if not answer.reasoning:
            if tokens is None or tokens.origin == "client":
                return []
            spent = f"reasoning {number(tokens.value)} tokens, which the server does not show"
            return [Text(spent, style=dim), Text("")]
        fold = fold_line(answer.measurement, answer.reasoning, unfolded=self.unfolded)
        parts: list[RenderableType] = [Text(fold, dim)]
        if self.unfolded:
            parts.append(_Marked(Text(shown(answer.reasoning), dim), marks))
        return [*parts, Text("")]


class _Marked:
    """Plain text with what was found in it."""

    def __init__(self, text: Text, marks: Marks) -> None:
        self._text = text
        self._text.overflow = "fold"
        self._marks = marks

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._marks.mark(self._text.copy())


class _Figures:
    """The numbers, as many as fit, and before them who answered, "" where that stands in the frame."""

    def __init__(self, by: str, measurement: Measurement, style: Style) -> None:
        self._by = by
        self._measurement = measurement
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        by = f"{self._by}  " if self._by else ""
        room = max(1, options.max_width - cell_len(by))
        yield Text(f"{by}{figures(self._measurement, room)}", self._style)
