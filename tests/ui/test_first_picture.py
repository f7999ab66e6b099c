"""The first picture: drawn once, with the first sample in it, and what it does not need comes after it."""

from __future__ import annotations

import pytest
from rich.console import RenderableType
from textual.css.stylesheet import Stylesheet
from textual.screen import Screen
from textual.widgets._footer import FooterKey

from gputui.ui.dashboard import Dashboard
from gputui.ui.keys_line import KeysLine
from gputui.ui.power.screen import PowerScreen
from tests.ui.harness import Rig, make_rig, rig, screen_text, until, until_shown


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the first sample comes late, too."""
    monkeypatch.setattr("gputui.ui.dashboard.FIRST_PICTURE_SECONDS", 60.0)


def pictures_of(one: Rig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the screen shows at each picture that is sent."""
    sent: list[str] = []
    display = one.app._display

    def spy(screen: Screen[object], picture: RenderableType | None) -> None:
        if picture is not None and not one.app._batch_count:
            sent.append(screen_text(one.app))
        display(screen, picture)

    monkeypatch.setattr(one.app, "_display", spy)
    return sent


async def test_all_but_the_keys_is_in_the_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    one = rig()
    sent = pictures_of(one, monkeypatch)
    async with one.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "^p palette")
    first = sent[0]
    for text in ("gputui", "GiB", "°C", "W", "deepseek", "Press c, type a prompt", "to A and B"):
        assert text in first
    assert first.count("util") == 2
    assert "^p palette" not in first


async def test_without_a_sample_there_is_a_picture_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gputui.ui.dashboard.FIRST_PICTURE_SECONDS", 0.01)
    one = make_rig(snapshots=())
    async with one.app.run_test(size=(160, 45)) as pilot:
        await until_shown(pilot, "waiting for the first sample", "no model chosen", "^p palette")


async def test_the_stylesheets_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Stylesheet] = []
    reparse = Stylesheet.reparse

    def spy(self: Stylesheet) -> None:
        parsed.append(self)
        reparse(self)

    monkeypatch.setattr(Stylesheet, "reparse", spy)
    one = rig()
    async with one.app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, "^p palette")
        await pilot.press("question_mark")
        await until_shown(pilot, "Any key can be changed")
        frame = one.app.screen.query_one(".text-screen")
        assert frame.styles.border.top[0] == "round", "their own stylesheet was read with the first"
        await pilot.press("escape")
        await pilot.press("w")
        await until(pilot, lambda: isinstance(one.app.screen, PowerScreen))
        assert not parsed
        one.app.theme = "paper"
        await until(pilot, lambda: bool(parsed))


async def test_the_keys_are_made_anew_only_where_others_hold() -> None:
    one = rig()
    async with one.app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, "^p palette")
        line = one.app.screen.query_one(KeysLine)
        made = list(line.query(FooterKey))
        one.app.screen.refresh_bindings()
        await pilot.pause()
        assert list(line.query(FooterKey)) == made
        await pilot.press("c")
        await until_shown(pilot, "Commands", "To whom")
        assert not set(made).intersection(line.query(FooterKey))


async def test_it_is_told_once_when_it_was_drawn() -> None:
    told: list[bool] = []
    one = rig(shown=lambda: told.append(True))
    async with one.app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, "^p palette")
        await pilot.press("question_mark")
        await until_shown(pilot, "Any key can be changed")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(one.app.screen, Dashboard))
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
    assert told == [True]


async def test_it_is_told_although_a_key_typed_ahead_covers_it() -> None:
    told: list[bool] = []
    one = rig(shown=lambda: told.append(True))
    async with one.app.run_test(size=(120, 30)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: told == [True])
        assert not isinstance(one.app.screen, Dashboard)
