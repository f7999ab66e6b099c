"""A turn as lines, laid out once for each width: without what a terminal should not get, words marked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme

from gputui.ui.palette import Look, Palette, rich_style

if TYPE_CHECKING:
    from gputui.instances.log.lines import Search


_FOUND = "found"
"""The key under which a style says which one of the words that were found it marks."""


class Marks:
    """Marks found words in the texts of one turn, in their order; ``current`` is the one to go to."""

    def __init__(self, search: Search | None, current: int | None, palette: Palette) -> None:
        self._search = search
        self._current = current
        self._accent = rich_style(palette.theme.colors.accent, bold=True)
        self._count = 0

    def begin(self) -> None:
        """The turn is laid out from its start on."""
        self._count = 0

    def mark(self, text: Text) -> Text:
        """``text`` itself, with the words marked."""
        for start, end in self._search.spans(text.plain) if self._search else ():
            style = Style(bold=True, underline=True, meta={_FOUND: self._count})
            if self._count == self._current:
                style += self._accent + Style(reverse=True)
            text.stylize(style, start, end)
            self._count += 1
        return text


class LaidOut:
    """The parts of a turn below each other, as Rich draws them at a width.

    ``at_first``: what is shown in their place until ``complete`` has laid them out, on a thread, at the width
    of now: Markdown of some pages takes longer than a key may wait. None: they are laid out at once.
    ``incomplete`` is the width at which they are not laid out as yet, None where they are.
    """

    def __init__(
        self,
        parts: Sequence[RenderableType],
        look: Look,
        marks: Marks,
        at_first: Sequence[RenderableType] | None = None,
    ) -> None:
        self.incomplete: int | None = None
        self._group = Group(*parts)
        self._at_first = None if at_first is None else Group(*at_first)
        self._look = look
        self._marks = marks
        self._width = -1
        self._lines: list[list[Segment]] = []
        self._rows: list[int] = []

    def __len__(self) -> int:
        return len(self._lines)

    def rows(self, console: Console, width: int) -> Sequence[int]:
        """The line of each word that was found."""
        self._lay_out(console, console.options.update(width=width, highlight=False))
        return self._rows

    async def complete(self, console: Console) -> bool:
        """Lay out the parts; False where that is not wanted any more: the width is another by now."""
        width = self.incomplete
        if width is None:
            return False
        options = console.options.update(width=width, highlight=False)
        loop = asyncio.get_running_loop()
        lines = await loop.run_in_executor(_thread(), self._drawn, self._group, console, options)
        if self.incomplete != width:
            return False
        self.incomplete = None
        self._take(width, lines)
        return True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self._lay_out(console, options)
        for line in self._lines:
            yield from line
            yield Segment.line()

    def _lay_out(self, console: Console, options: ConsoleOptions) -> None:
        width = options.max_width
        if width == self._width:
            return
        if self._at_first is not None:
            self.incomplete = width
        self._take(width, self._drawn(self._at_first or self._group, console, options))

    def _drawn(
        self, group: Group, console: Console, options: ConsoleOptions
    ) -> list[list[Segment]]:
        """The lines of a group; on any thread, for Rich keeps what is being drawn by thread."""
        self._marks.begin()
        with console.use_theme(_styles(self._look.palette)):
            lines = console.render_lines(group, options.update(height=None), pad=False)
        return [[self._safe(segment) for segment in line] for line in lines]

    def _take(self, width: int, lines: list[list[Segment]]) -> None:
        self._width, self._lines = width, lines
        self._rows = list(_rows(lines))

    def _safe(self, segment: Segment) -> Segment:
        """In the terminal's characters, on the screen's own ground, and no link."""
        text, style, _ = segment
        return Segment(self._look.text(text), _bare(style) if style else None)


def _rows(lines: Sequence[Sequence[Segment]]) -> Iterator[int]:
    """The line in which each mark begins; a word can be cut by the end of one."""
    last = -1
    for row, line in enumerate(lines):
        for _, style, _ in line:
            number = style.meta.get(_FOUND, -1) if style and style._meta else -1
            if number > last:
                last = number
                yield row


@cache
def _thread() -> ThreadPoolExecutor:
    """One for all: more of them would only take the interpreter from each other, and from the keys."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="lay out")


@lru_cache(maxsize=512)
def _bare(style: Style) -> Style:
    """Without a background: Rich and Pygments choose some for grounds of their own. Nor a link."""
    if style.bgcolor is None and style.link is None:
        return style
    return Style(
        color=style.color,
        bold=style.bold,
        dim=style.dim,
        italic=style.italic,
        underline=style.underline,
        strike=style.strike,
        reverse=style.reverse,
        meta=style.meta or None,
    )


@lru_cache(maxsize=8)
def _styles(palette: Palette) -> Theme:
    """Markdown in the colours of the theme."""
    return Theme(
        {
            "markdown.h1": palette.strong + Style(underline=True),
            "markdown.h2": palette.strong + Style(underline=True),
            **{f"markdown.h{level}": palette.strong for level in "3456"},
            "markdown.code": rich_style(palette.theme.colors.accent, bold=True),
            "markdown.code_block": palette.value,
            "markdown.block_quote": palette.dim,
            "markdown.hr": palette.dim,
            "markdown.link": palette.value + Style(underline=True),
            "markdown.link_url": palette.dim,
            "markdown.item.bullet": palette.dim,
            "markdown.item.number": palette.dim,
            "markdown.table.border": palette.track,
            "markdown.table.header": palette.strong,
        }
    )
