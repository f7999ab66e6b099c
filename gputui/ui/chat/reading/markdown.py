"""An answer's Markdown in the theme's colours: no backgrounds, no links, nothing clipped.

Loaded when the first answer is finished: Rich's Markdown takes a tenth of the start-up time.
"""

from __future__ import annotations

from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import box
from rich.console import (
    Console,
    ConsoleOptions,
    JustifyMethod,
    RenderableType,
    RenderResult,
)
from rich.markdown import CodeBlock, Heading, ImageItem, Markdown, Paragraph, TableElement
from rich.padding import Padding
from rich.style import Style
from rich.syntax import Syntax, SyntaxTheme
from rich.table import Table
from rich.text import Text

from gputui.ui.chat.reading.laid_out import Marks
from gputui.ui.palette import Palette

CODE_INDENT = 2
NARROWEST_COLUMN = 12
"""A table whose columns cannot have so many cells each, or their longest word, is shown as a list."""


class CodeColours(SyntaxTheme):
    """Code in the theme's own colours, which are readable on its ground whatever theme it is."""

    def __init__(self, palette: Palette) -> None:
        hue = palette.hue
        self._plain = palette.value
        self._styles: dict[tuple[str, ...], Style] = {
            ("Comment",): palette.dim + Style(italic=True),
            ("Keyword",): hue(1) + Style(bold=True),
            ("Operator", "Word"): hue(1) + Style(bold=True),
            ("Literal",): hue(3),
            ("Literal", "String"): hue(2),
            ("Name", "Function"): hue(0),
            ("Name", "Class"): hue(0) + Style(bold=True),
            ("Name", "Decorator"): hue(0),
            ("Name", "Tag"): hue(0),
            ("Name", "Attribute"): hue(3),
            ("Generic", "Deleted"): palette.error,
            ("Generic", "Inserted"): palette.success,
            ("Generic", "Heading"): palette.strong,
            ("Generic", "Strong"): palette.strong,
        }

    def get_style_for_token(self, token_type: tuple[str, ...]) -> Style:
        """Of the token's own kind, else of the nearest wider one."""
        for length in range(len(token_type), 0, -1):
            if (style := self._styles.get(tuple(token_type[:length]))) is not None:
                return style
        return self._plain

    def get_background_style(self) -> Style:
        return Style.null()


class _Paragraph(Paragraph):
    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Paragraph:
        made = cls(justify="left")
        made.marks = marks_of(markdown)
        return made

    marks: Marks

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.overflow = "fold"
        yield self.marks.mark(self.text)


class _Heading(Heading):
    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}
    marks: Marks

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Heading:
        made = cls(token.tag)
        made.marks = marks_of(markdown)
        return made

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify, self.text.overflow = "left", "fold"
        yield self.marks.mark(self.text)


class _Code(CodeBlock):
    markdown: AnswerMarkdown

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Code:
        made = cls((token.info or "").partition(" ")[0] or "text", "")
        assert isinstance(markdown, AnswerMarkdown)  # noqa: S101 - which makes these elements
        made.markdown = markdown
        return made

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip().expandtabs(4)
        highlighted = Syntax("", self.lexer_name, theme=self.markdown.colours).highlight(code)
        highlighted.rstrip()
        for line in self.markdown.marks.mark(highlighted).split("\n", allow_blank=True):
            yield _indented(line, options.max_width // 2)


def _indented(line: Text, most: int) -> RenderableType:
    """A line of code, which where it is too long goes on below its own beginning."""
    blanks = len(line.plain) - len(line.plain.lstrip(" "))
    if blanks == len(line.plain):
        return Text("")  # of which a Padding would make no line
    line.overflow, line.no_wrap = "fold", False
    return Padding(line[blanks:], (0, 0, 0, min(blanks + CODE_INDENT, most)), expand=False)


class _Picture(ImageItem):
    """Its words: nothing is fetched for an answer."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble("[picture: ", self.text or Text(self.destination), "] ", end="")


class _Table(TableElement):
    marks: Marks

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Table:
        made = cls()
        made.marks = marks_of(markdown)
        return made

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        row_of_heads = self.header.row if self.header else None
        head = [cell.content for cell in row_of_heads.cells] if row_of_heads else []
        for cell in head:
            cell.stylize("markdown.table.header")
            self.marks.mark(cell)
        rows = [[cell.content for cell in row.cells] for row in self.body.rows] if self.body else []
        for row in rows:
            for cell in row:
                self.marks.mark(cell)
        if _least_width(head, rows) > options.max_width:
            yield from _as_list(head, rows)
            return
        table = Table(
            box=box.SIMPLE, pad_edge=False, show_edge=False, style="markdown.table.border"
        )
        for cell in head:
            table.add_column(cell, justify=cell.justify or "default", overflow="fold")
        for row in rows:
            table.add_row(*row)
        yield table


def _least_width(head: list[Text], rows: list[list[Text]]) -> int:
    """The cells that a table needs at least to be read as one."""
    widths = []
    for column, cell in enumerate(head):
        texts = [cell, *(row[column] for row in rows if column < len(row))]
        longest = max((len(word) for text in texts for word in text.plain.split()), default=1)
        widths.append(min(longest, NARROWEST_COLUMN))
    return sum(widths) + 3 * len(widths) + 1


def _as_list(head: list[Text], rows: list[list[Text]]) -> RenderResult:
    """Each row as lines of heading and value: a table that is too wide for its pane."""
    for number, row in enumerate(rows):
        if number:
            yield Text("")
        for heading, cell in zip(head, row, strict=False):
            name = heading if number == 0 else Text(heading.plain, style="markdown.table.header")
            yield Text.assemble(name, ": ", cell, overflow="fold")


class AnswerMarkdown(Markdown):
    """``text`` in what the terminal can show. Its HTML is text like all else, and is shown as it is."""

    elements: ClassVar = {
        **Markdown.elements,
        "paragraph_open": _Paragraph,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "image": _Picture,
        "table_open": _Table,
    }

    def __init__(self, text: str, palette: Palette, marks: Marks) -> None:
        super().__init__("", hyperlinks=False)
        parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
        self._source = text
        self._parser = parser
        self.colours = CodeColours(palette)
        self.marks = marks

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.parsed = self._parser.parse(self._source)
        yield from super().__rich_console__(console, options)


def marks_of(markdown: Markdown) -> Marks:
    """Those of the answer that is laid out."""
    assert isinstance(markdown, AnswerMarkdown)  # noqa: S101 - which makes these elements
    return markdown.marks
