"""The picker of a model, and what changes in the file while the dashboard is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.widgets import Input

from tests.ui.editing import SIZE, Desk, opened
from tests.ui.harness import (
    screen_text,
    until,
    until_shown,
)

# ── the picker ───────────────────────────────────────────────────────────────────────────────────


async def test_a_model_is_picked_from_a_list_of_hostile_names(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("[red]bold.gguf", "ünï-Q4_K_M.gguf", "bad\x1b[31m.gguf", "mmproj-x.gguf"):
        (models / name).write_bytes(b"GGUF" + b"\xff" * 40)
    one = desk()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot, "n", "New instance")
        pilot.app.screen.set_focus(pilot.app.screen.query_one("#field-model"))
        await pilot.press("enter")
        await until_shown(pilot, "[red]bold")
        assert "mmproj-x" not in screen_text(one.app)
        assert "31m" not in screen_text(one.app)
        await until_shown(pilot, "not usable")
        await pilot.press(*"bold")
        await until(pilot, lambda: "ünï" not in screen_text(one.app))
        await pilot.press("enter")
        form = one.app.screen
        assert form.query_one("#field-model", Input).value == str(models / "[red]bold.gguf")
        await until(pilot, lambda: form.query_one("#field-name", Input).value == "red-bold")
        form.set_focus(form.query_one("#field-mmproj"))
        await pilot.press("enter")
        await until_shown(pilot, "mmproj-x")


async def test_a_path_can_be_typed_in_the_picker(desk: Callable[..., Desk], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "deep.gguf").write_bytes(b"GGUF")
    one = desk()
    async with one.app.run_test(size=(100, 30), notifications=True) as pilot:
        await opened(pilot, "n", "New instance")
        pilot.app.screen.set_focus(pilot.app.screen.query_one("#field-model"))
        await pilot.press("enter")
        await until_shown(pilot, "Choose a model")
        pilot.app.screen.query_one(Input).value = f"{tmp_path}/elsewhere/"
        await until_shown(pilot, "deep.gguf")
        await pilot.press("enter")
        await until_shown(pilot, "New instance")
        field = one.app.screen.query_one("#field-model", Input)
        assert field.value == str(tmp_path / "elsewhere" / "deep.gguf")


# ── the file is watched ──────────────────────────────────────────────────────────────────────────


async def test_what_is_written_elsewhere_is_taken_over(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until_shown(pilot, "deepseek")
        one.file.write_text(one.file.read_text().replace('key = "1"', 'key = "7"'))
        await until(pilot, lambda: one.rig.supervisor.config is not None)
        await pilot.press("7")
        await until_shown(pilot, "Stop deepseek?")


async def test_a_side_whose_instance_is_gone_is_free_again(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until_shown(pilot, "B  coder")
        text = one.file.read_text().replace('"coder"', '"qwen"')
        one.file.write_text(text)
        await until_shown(pilot, "B  qwen")


async def test_a_wrong_file_changes_nothing_and_says_where_until_it_is_right(
    desk: Callable[..., Desk],
) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until_shown(pilot, "deepseek")
        right = one.file.read_text()
        one.file.write_text(right.replace("port = 8081", 'port = "x"'))
        await until_shown(pilot, '[[instances]] coder: port = "x"')
        assert one.rig.supervisor.config is None
        one.app.clear_notifications()
        one.file.write_text(right)
        await until(pilot, lambda: 'port = "x"' not in screen_text(one.app))


async def test_what_cannot_change_while_it_runs_is_said(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until_shown(pilot, "deepseek")
        one.file.write_text("interval = 2.0\n" + one.file.read_text())
        await until_shown(pilot, "interval: applies when gputui is started again")
        one.file.write_text(one.file.read_text() + "\n[terminal]\ndifferences = false\n")
        await until_shown(pilot, "terminal.differences: applies when")


async def test_a_row_says_what_a_restart_would_change(desk: Callable[..., Desk]) -> None:
    one = desk()
    ready = one.rig.supervisor.statuses[0]
    from dataclasses import replace

    one.rig.supervisor.statuses[0] = replace(ready, differs=("ctx_size", "threads"))
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until_shown(pilot, "ready differs")
        await until_shown(pilot, "differs on restart: ctx_size, threads")
