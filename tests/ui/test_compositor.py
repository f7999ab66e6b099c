"""A frame in pieces: put on top of what was there, they are the screen as a whole."""

from __future__ import annotations

import random
from collections.abc import Iterator

from rich.cells import cell_len
from rich.style import Style
from textual.app import App, ComposeResult
from textual.strip import Strip
from textual.widgets import Static

from gputui.themes import read_theme, shipped_dir
from gputui.ui.cells import CellView, Line
from gputui.ui.compositor import SpansUpdate
from gputui.ui.palette import Look, Palette
from gputui.ui.still import StillScreen

LOOK = Look(Palette.of(read_theme(shipped_dir() / "midnight.toml")))
STYLES = [Style(color="red"), Style(color="blue"), Style(bold=True)]
SIZE = (40, 12)
STEPS = 60

Cell = tuple[str, Style | None]


class Noise(CellView):
    """Some lines, a few characters of which change at each step; some are two cells wide."""

    DEFAULT_CSS = "Noise { height: 5; border: round red; }"

    def __init__(self, chance: random.Random) -> None:
        super().__init__(LOOK)
        self._chance = chance
        self._text = [self._some(30) for _ in range(3)]

    def step(self) -> None:
        for row in self._chance.sample(range(3), 2):
            at = self._chance.randrange(25)
            text = self._text[row]
            self._text[row] = text[:at] + self._some(2) + text[at + 2 :]
        self.redraw()

    def lines(self, width: int) -> Iterator[Line]:
        for number, text in enumerate(self._text):
            yield Line().add(text[:9], STYLES[number]).add(text[9:], STYLES[0])

    def _some(self, count: int) -> str:
        return "".join(self._chance.choice("ab 漢字é▂█") for _ in range(count))


class Covered(StillScreen[None]):
    """Two views, and something that lies over a part of both."""

    CSS = """
    Covered { layers: below above; }
    #over { layer: above; width: 11; height: 5; offset: 9 2; border: round blue; }
    """

    def __init__(self) -> None:
        super().__init__()
        chance = random.Random(5)  # noqa: S311
        self.views = [Noise(chance), Noise(chance)]

    def compose(self) -> ComposeResult:
        yield from self.views
        yield Static("over", id="over")


class Program(App[None]):
    """Shows the screen, and puts each update on what was there."""

    def __init__(self) -> None:
        super().__init__()
        self.covered = Covered()
        self.shown: list[list[Cell]] = []
        self.pieces = 0

    def on_mount(self) -> None:
        self.push_screen(self.covered)

    def whole(self) -> list[list[Cell]]:
        return [cells(strip) for strip in self.covered._compositor.render_strips(self.size)]

    def update(self) -> None:
        update = self.covered._compositor.render_update()
        assert update is None or isinstance(update, SpansUpdate)
        for x, y, strip in update.pieces if update else ():
            self.shown[y][x : x + strip.cell_length] = cells(strip)
            self.pieces += 1
        if update is not None:
            assert update.render_segments(self.console).count("\x1b[") >= len(update.pieces)


def cells(strip: Strip) -> list[Cell]:
    """By cell, so that half a wide character is seen."""
    found: list[Cell] = []
    for text, style, _ in strip:
        for character in text:
            found += [(character, style)] + [("", style)] * (cell_len(character) - 1)
    return found


async def test_pieces_on_what_was_there_are_the_whole_screen() -> None:
    program = Program()
    async with program.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.pause()
        program.shown = program.whole()
        for _ in range(STEPS):
            for view in program.covered.views:
                view.step()
            program.covered._compositor.update_widgets(set(program.covered.views))
            program.update()
            assert program.shown == program.whole()
        assert program.pieces > STEPS
