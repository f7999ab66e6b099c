"""An instance edited in a real terminal while its server runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputui.instances import records
from tests.instances.conftest import end_all
from tests.support.ports import new_port
from tests.support.scripted_server import make_server
from tests.support.tmux import Tmux
from tests.support.waiting import wait_for

FILE = """\
# Mine.
source = "simulated"
llama_server = "{server}"

[[instances]]
name = "one"
key = "1"
model = "{model}"
gpus = ["5090"]
port = {port}  # as ever
"""


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    server = make_server(tmp_path / "bin")
    model = tmp_path / "one.gguf"
    model.write_bytes(b"GGUF" + bytes(1000))
    file = tmp_path / "config.toml"
    file.write_text(FILE.format(server=server, model=model, port=new_port()))
    yield file
    end_all(Path(os.environ["GPUTUI_STATE"]))


@pytest.fixture
def terminal(config: Path) -> Iterator[Tmux]:
    made = Tmux((sys.executable, "-m", "gputui", "--config", str(config)), (120, 30), {})
    yield made
    made.close()


def test_a_new_port_differs_from_running_until_a_restart_applies_it(
    terminal: Tmux, config: Path
) -> None:
    state = Path(os.environ["GPUTUI_STATE"])
    terminal.until_shown("one", "stopped")
    terminal.press("1")
    terminal.until_shown("one", "ready")
    (before,) = records.running(state)
    port = new_port()
    terminal.press("e")
    terminal.until_shown("Edit one")
    terminal.press("Down", "Down", "Down")
    terminal.type(str(port))
    terminal.press("C-s")
    terminal.until_shown(f"+port = {port}  # as ever")
    terminal.press("Enter")
    terminal.until_shown("differs on restart: port")
    assert f"port = {port}  # as ever\n" in config.read_text()
    assert config.read_text().startswith("# Mine.\n")
    (now,) = records.running(state)
    assert now.identity == before.identity, "nothing is torn down"
    terminal.press("r")
    terminal.until_shown("Restart one?")
    terminal.press("y")
    wait_for(lambda: [record.port for record in records.running(state)] == [port], "the new port")
    terminal.until_shown("one", str(port), "ready")
    terminal.until(lambda screen: "differs" not in screen, "nothing differs any more")


def test_a_file_changed_by_an_editor_is_taken_over(terminal: Tmux, config: Path) -> None:
    terminal.until_shown("one", "stopped")
    right = config.read_text()
    config.write_text(right.replace('gpus = ["5090"]', "gpus = 5090"))
    terminal.until_shown("[[instances]] one: gpus")
    other = config.with_name("config.toml~")
    other.write_text(right.replace('name = "one"', 'name = "two"'))
    other.replace(config)
    terminal.until_shown("two", "stopped")
    terminal.until(lambda screen: "one: gpus" not in screen, "the banner is gone")
