"""Trees of widgets at random, which change and are resized: the same screen with the picture."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Grid, Horizontal, Vertical, VerticalScroll
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Button, DataTable, Input, ProgressBar, Sparkline, Static, Switch

from tests.ui.terminal.pair import Pair, RecordingDriver

NARROW = ["plain", "───", "█▇▆", "é", "e\u0301", "wörter", "[3/4]", "¹²³"]
WORDS = [*NARROW, "漢字かな", "🙂", "👩\u200d👩", "❤\ufe0f", "ｆｕｌｌ"]
STYLES = [
    "",
    "bold red",
    "on #102030",
    "underline",
    "reverse",
    "strike dim",
    "link https://a.example",
]
STEPS = 14


def words(chance: random.Random, most: int = 12) -> Text:
    text = Text()
    for _ in range(chance.randint(1, most)):
        text.append(chance.choice(WORDS), chance.choice(STYLES)).append(" ")
    return text


def leaf(chance: random.Random) -> Widget:
    table: DataTable[str] = DataTable()
    makers: list[Callable[[], Widget]] = [
        lambda: Static(words(chance, 40)),
        lambda: Static(words(chance)),
        lambda: Button(chance.choice(WORDS)),
        lambda: Input(value="漢字 and more"),
        lambda: Switch(animate=False),
        lambda: Sparkline([chance.random() for _ in range(30)]),
        lambda: ProgressBar(total=7),
        lambda: table,
    ]
    widget = chance.choice(makers)()
    if widget is table:
        table.add_columns("a", "漢")
        table.add_rows((chance.choice(WORDS), chance.choice(WORDS)) for _ in range(5))
    widget.styles.background = chance.choice(["red", "#123456", "transparent"])
    widget.styles.border = chance.choice([None, ("round", "green"), ("heavy", "yellow")])
    return widget


def tree(chance: random.Random, depth: int = 2) -> Widget:
    if not depth or chance.random() < 0.2:
        return leaf(chance)
    kind = chance.choice([Vertical, Horizontal, VerticalScroll, Grid])
    container = kind(*(tree(chance, depth - 1) for _ in range(chance.randint(1, 4))))
    container.styles.grid_size_columns = 2
    return container


class Trees(App[None]):
    CSS = "Screen { layers: below above; } .above { layer: above; offset: 3 2; width: 30; height: 6; }"

    def __init__(self, chance: random.Random) -> None:
        super().__init__(driver_class=RecordingDriver)
        self.chance = chance
        self._sync_available = True

    def compose(self) -> ComposeResult:
        yield tree(self.chance)

    async def change(self, pilot: Pilot[None]) -> None:
        """One thing at random."""
        chance, statics = self.chance, list(self.query(Static))
        what = chance.randrange(7)
        if what == 0:
            await self.screen.remove_children()
            await self.screen.mount(tree(chance))
        elif what == 1:
            await self.screen.mount(Static(words(chance), classes="above"))
        elif what == 2:
            size = chance.randint(8, 70), chance.randint(3, 20)
            assert isinstance(self._driver, RecordingDriver)
            self._driver.record.append(size)
            await pilot.resize_terminal(*size)
        elif what == 3:
            await pilot.press("tab", chance.choice(["x", "end", "down"]))
        elif statics:
            chance.choice(statics).update(words(chance, 20))
        for area in self.query(VerticalScroll):
            area.scroll_to(y=chance.randint(0, 5), animate=False)
        await pilot.pause()


@pytest.mark.parametrize("seed", range(3))
async def test_the_screen_is_the_same_at_every_frame(seed: int) -> None:
    app = Trees(random.Random(seed))  # noqa: S311
    async with app.run_test(headless=False, size=(60, 16)) as pilot:
        for _ in range(STEPS):
            await app.change(pilot)
        driver = app._driver
    assert isinstance(driver, RecordingDriver)
    pair = Pair(60, 16)
    assert pair.replay(driver.record) > STEPS
    assert pair.picture.framed
    assert pair.sent < pair.written
