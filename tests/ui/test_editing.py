"""Instances added, changed, copied and removed by keys."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.events import Key
from textual.widgets import Input

from gputui.config import InstanceConfig, load
from gputui.errors import GputuiError
from gputui.instances.fit.reckoning import Fit
from gputui.instances.status import State
from gputui.ui.dashboard import Dashboard
from gputui.ui.editing.form import InstanceForm, Trouble
from gputui.ui.editing.widgets import GpuField
from tests.ui.editing import FILE, SIZE, Desk, fill, opened, saved
from tests.ui.harness import (
    screen_text,
    snapshot,
    status,
    until,
    until_shown,
)


@pytest.mark.parametrize("size", [(160, 45), (120, 30), (80, 24)])
async def test_an_instance_is_changed_by_keys(
    desk: Callable[..., Desk], size: tuple[int, int]
) -> None:
    one = desk()
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await pilot.press("down", "down", "down", *"9000", "tab", "tab", *"4096")
        await saved(pilot, "-port = 8080", "+port = 9000", "+ctx_size = 4096")
        await until(pilot, lambda: one.rig.supervisor.config is not None)
        config = one.rig.supervisor.config
        assert config is not None
        changed = config.instances[0]
        assert (changed.port, changed.ctx_size, changed.batch_size) == (9000, 4096, 512)
        assert 'gpus = ["PRO 6000"]  # the big one\n' in one.file.read_text()


async def test_keys_in_a_burst_go_to_the_fields_that_are_meant(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        for key in ("down", "down", "down", *"9001", "down", "down", *"512"):
            one.app.post_message(Key(key, key if len(key) == 1 else None))
        context = pilot.app.screen.query_one("#field-ctx_size", Input)
        await until(pilot, lambda: context.value == "512")
        assert pilot.app.screen.query_one("#field-port", Input).value == "9001"


async def test_every_field_says_what_is_wrong_beneath_it(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=(120, 60), notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        for key, text, words in (
            ("port", "70000", "must be at most 65535"),
            ("key", "0", "Use one digit"),
            ("n_gpu_layers", "some", "a number, auto or all"),
            ("idle_unload", "10x", "a number with a unit"),
            ("cpus", "all", "0-15"),
            ("args", "--a 'b", "quotes do not match"),
        ):
            await fill(pilot, key, text)
            await until_shown(pilot, words)
        before = one.file.read_text()
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert "Write this" not in screen_text(one.app)
        assert "Not saved: 6 fields are wrong." in screen_text(one.app)
        assert pilot.app.focused is pilot.app.screen.query_one("#field-port")
        assert one.file.read_text() == before


async def test_what_only_the_whole_file_shows_is_said_too(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=(120, 60), notifications=True) as pilot:
        await until_shown(pilot, "coder")
        await pilot.press("down")
        await opened(pilot, "e", "Edit coder")
        await fill(pilot, "name", "deepseek")
        await until_shown(pilot, "is taken by")
        await fill(pilot, "name", "coder")
        await fill(pilot, "port", "8080")
        trouble = pilot.app.screen.query_one("#trouble-port", Trouble)
        words = "deepseek and coder are both on port 8080, and run together in pair"
        await until(pilot, lambda: trouble.said[0].startswith(words))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: pilot.app.focused is one.app.screen.query_one("#field-port"))
        await fill(pilot, "port", "8081")
        await fill(pilot, "args", "--port 5")
        await until_shown(pilot, "which gputui sets")


async def test_what_another_has_is_said_beside_other_errors(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=(120, 60), notifications=True) as pilot:
        await until_shown(pilot, "coder")
        await pilot.press("down")
        await opened(pilot, "e", "Edit coder")
        await fill(pilot, "n_gpu_layers", "some")
        await fill(pilot, "name", "DeepSeek")
        await fill(pilot, "key", "1")
        await until_shown(pilot, "DeepSeek is taken by another instance")
        await until_shown(pilot, "is taken by deepseek")
        await until_shown(pilot, "a number, auto or all")
        await until_shown(pilot, "There is no such file.")
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            await fill(pilot, "port", str(stranger.getsockname()[1]))
            await until_shown(pilot, "in use now by")


async def test_keys_that_edit_a_field_act_in_their_order(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        port = pilot.app.screen.query_one("#field-port", Input)
        pilot.app.screen.set_focus(port)
        await pilot.pause()
        for key in ("ctrl+a", "ctrl+k", *"2048", "home", "delete", "1"):
            one.app.post_message(Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: port.value == "1048")


async def test_a_second_enter_is_none_for_the_dashboard(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await fill(pilot, "port", "9000")
        await pilot.press("ctrl+s")
        await until_shown(pilot, "enter or y writes it")
        for _ in range(3):
            one.app.post_message(Key("enter", "\r"))
        await until(pilot, lambda: one.rig.supervisor.config is not None)
        await until(pilot, lambda: not isinstance(pilot.app.screen, InstanceForm))
        await pilot.pause()
        assert isinstance(pilot.app.screen, Dashboard), "the details stay closed"
        assert one.data()["instances"][0]["port"] == 9000


async def test_what_is_wrong_with_the_last_field_can_be_seen(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await fill(pilot, "args", "--such-a-flag 'is not closed")
        await until_shown(pilot, "quotes do not match")
        await until_shown(pilot, "--such-a-flag")


async def test_keys_are_told_that_do_something_to_the_field(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await pilot.press("down")
        await until_shown(pilot, "enter opens the list")
        await pilot.press("down")
        await until_shown(pilot, "digits or space choose")


async def test_a_running_instance_keeps_its_name(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await fill(pilot, "name", "other")
        await until_shown(pilot, "It runs under its name")


async def test_a_new_one_has_a_port_a_key_and_a_gpu_proposed(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk()
    (tmp_path / "coder.gguf").write_bytes(b"GGUF")
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: bool(one.rig.supervisor.gpus))
        await opened(pilot, "n", "New instance")
        port = pilot.app.screen.query_one("#field-port", Input).value
        assert int(port) >= 8082
        await fill(pilot, "name", "third")
        await fill(pilot, "model", str(tmp_path / "coder.gguf"))
        await saved(pilot, '+name = "third"', f"+port = {port}", '+key = "2"')
        await until_shown(pilot, "third is in")
    table = one.data()["instances"][2]
    assert table["gpus"] == [snapshot().identities[1].uuid], "the GPU that nobody is on"
    assert load(one.file).instances[2].name == "third"


async def test_the_first_instance_of_all_makes_the_file(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk(None)
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until_shown(pilot, "No instance is configured")
        await pilot.press("n")
        await until_shown(pilot, "New instance")
        await fill(pilot, "name", "first")
        await fill(pilot, "model", "/m.gguf")
        await saved(pilot)
        await until(pilot, lambda: one.rig.supervisor.config is not None)
    assert one.file.read_text().startswith("# gputui")
    assert one.file.stat().st_mode & 0o777 == 0o600


async def test_a_copy_has_a_name_and_a_port_of_its_own(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "d", "Copy of deepseek")
        await saved(pilot, '+name = "deepseek-copy"', "+batch_size = 512")
    assert one.instances() == ["deepseek", "deepseek-copy", "coder"]
    copied = one.data()["instances"][1]
    assert copied["port"] not in (8080, 8081)
    assert copied["key"] == "2"


async def test_gpus_are_chosen_by_their_index(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: bool(one.rig.supervisor.gpus))
        await opened(pilot, "e", "Edit deepseek")
        field = pilot.app.screen.query_one(GpuField)
        assert field.chosen == [snapshot().identities[0].uuid]
        pilot.app.screen.set_focus(field)
        await pilot.press("1", "0")
        await saved(pilot, f'+gpus = ["{snapshot().identities[1].uuid}"]  # the big one')


async def test_escape_asks_only_where_something_was_typed(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, InstanceForm))
        await opened(pilot, "e", "Edit deepseek")
        await fill(pilot, "port", "1234")
        await pilot.press("escape")
        await until_shown(pilot, "Leave without saving")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, InstanceForm))
        await pilot.press("escape", "y")
        await until(pilot, lambda: not isinstance(pilot.app.screen, InstanceForm))
    assert 1234 not in [table["port"] for table in one.data()["instances"]]


async def test_somebody_elses_change_is_never_written_over(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await fill(pilot, "port", "9000")
        theirs = one.file.read_text().replace("port = 8081", "port = 8099")
        await pilot.press("ctrl+s")
        await until_shown(pilot, "Write this to")
        one.file.write_text(theirs)
        await pilot.press("enter")
        await until_shown(pilot, "changed by somebody else")
        assert one.file.read_text() == theirs
        await saved(pilot)
    assert [table["port"] for table in one.data()["instances"]] == [9000, 8099]


async def test_removing_says_what_else_names_it_and_what_runs_on(desk: Callable[..., Desk]) -> None:
    one = desk()
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "delete", "Remove deepseek from")
        await until_shown(pilot, "It is taken out of layout pair, too.")
        await until_shown(pilot, "it runs on until it is stopped")
        await pilot.press("enter")
        await pilot.pause()
        assert one.instances() == ["deepseek", "coder"], "enter alone keeps it"
        await opened(pilot, "delete", "Remove deepseek from")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: one.instances() == ["coder"])
        assert one.rig.supervisor.asked == []
        assert one.data()["layouts"][0]["instances"] == ["coder"]


async def test_stopping_comes_before_removing(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.rig.supervisor.refusal = GputuiError("it hangs")
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "delete", "Remove deepseek from")
        await pilot.press("down", "enter")
        await until_shown(pilot, "it hangs")
        assert one.instances() == ["deepseek", "coder"], "what does not stop stays"


@pytest.mark.parametrize("key", ["e", "d", "delete"])
async def test_what_the_file_does_not_configure_is_not_changed(
    desk: Callable[..., Desk], key: str
) -> None:
    one = desk(statuses=[status("stranger", State.READY, 0, 8090)])
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until_shown(pilot, "stranger")
        await pilot.press(key)
        await until_shown(pilot, "stranger is not in")


@pytest.mark.parametrize("key", ["e", "n", "d", "delete"])
async def test_readonly_changes_nothing(desk: Callable[..., Desk], key: str) -> None:
    one = desk(readonly=True)
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await until_shown(pilot, "deepseek")
        await pilot.press(key)
        await until_shown(pilot, "--readonly")


async def test_the_fit_is_shown_as_it_is_typed(desk: Callable[..., Desk]) -> None:
    async def fit(instance: InstanceConfig) -> Fit:
        fits = (instance.ctx_size or 0) < 5000
        return Fit(instance.name, fits, words="" if fits else "3 GiB missing")

    one = desk(fit=fit)
    async with one.app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await until_shown(pilot, "fits")
        await fill(pilot, "ctx_size", "9000")
        await until_shown(pilot, "does not fit: 3 GiB missing")


async def test_flags_are_held_against_the_binarys_own(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    program = tmp_path / "llama-server"
    flags = "\n".join(f"--flag-{n} N    a flag" for n in range(30))
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{flags}\n--mlock    lock\nEOF\n")
    program.chmod(0o755)
    one = desk(f'llama_server = "{program}"\n' + FILE)
    async with one.app.run_test(size=(120, 60), notifications=True) as pilot:
        await opened(pilot, "e", "Edit deepseek")
        await fill(pilot, "args", "--mlokc")
        await until_shown(pilot, 'Did you mean "--mlock"?')
        await saved(pilot, '+args = ["--mlokc"]')
