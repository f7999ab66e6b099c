"""``gputui chat`` with instances: only the model that was named may answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gputui.cli.root import group
from gputui.config import state_dir
from gputui.errors import GputuiError
from gputui.instances import records
from gputui.instances.ports import answers
from tests.instances.conftest import end_all
from tests.support.ports import new_port
from tests.support.scripted_server import make_server
from tests.support.waiting import wait_for


class Rig:
    """Scripted servers as instances of one configuration file; all are ended after the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config.toml"
        self.tables: dict[str, str] = {}

    def add(self, name: str, port: int, **script: Any) -> None:
        """Configure an instance; one of the same name is configured anew."""
        model = self.folder / f"{name}.gguf"
        model.write_bytes(b"GGUF")
        server = make_server(self.folder / name, reply=[name] * 3, rate=1000, **script)
        self.tables[name] = (
            f'[[instances]]\nname = "{name}"\nmodel = "{model}"\nport = {port}\n'
            f'llama_server = "{server}"\n'
        )
        self.file.write_text("".join(self.tables.values()))

    def start(self, name: str, *options: str) -> None:
        words = ("--config", str(self.file), "start", name, *options)
        subprocess.run([sys.executable, "-m", "gputui", *words], check=True, timeout=60)

    def chat(self, *arguments: str) -> Result:
        return CliRunner().invoke(group, ["--config", str(self.file), "chat", *arguments])

    def refusal(self, *arguments: str) -> GputuiError:
        """What the user is told; nobody was asked."""
        result = self.chat(*arguments)
        assert isinstance(result.exception, GputuiError), result.output
        assert result.stdout == ""
        return result.exception


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    yield Rig(tmp_path)
    end_all(state_dir())


def test_the_instance_that_shares_the_port_never_answers_for_another(
    rig: Rig, free_port: int
) -> None:
    rig.add("one", free_port)
    rig.add("two", free_port)
    rig.start("one", "--wait")
    error = rig.refusal("--a", "one", "--b", "two", "hi")
    assert error.message == f"two is stopped: port {free_port} is used by one"
    assert error.hint == "Start it with: gputui start two"
    result = rig.chat("--a", "one", "hi")
    assert result.exit_code == 0, result.output
    assert result.stdout == "one one one \n"


def test_an_instance_answers_where_it_runs_not_where_its_configuration_says_since(
    rig: Rig, free_port: int
) -> None:
    rig.add("one", free_port)
    rig.start("one", "--wait")
    rig.add("one", new_port())
    result = rig.chat("--a", "one", "hi")
    assert result.exit_code == 0, result.output
    assert result.stdout == "one one one \n"


def test_a_server_started_by_hand_may_have_any_alias(rig: Rig, free_port: int) -> None:
    rig.add("one", free_port)
    words = (rig.folder / "one" / "llama-server", "-m", rig.folder / "one.gguf")
    by_hand = subprocess.Popen([*words, "--port", str(free_port), "--alias", "mine"])
    try:
        wait_for(lambda: answers("127.0.0.1", free_port))
        result = rig.chat("--a", "one", "hi")
    finally:
        by_hand.terminate()
        by_hand.wait(60)
    assert result.exit_code == 0, result.output
    assert result.stdout == "one one one \n"


def test_an_instance_that_is_loading_or_failed_is_not_asked(rig: Rig, free_port: int) -> None:
    rig.add("slow", free_port, load_seconds=600)
    rig.start("slow")
    error = rig.refusal("--a", "slow", "hi")
    assert error.message.startswith("slow is ")
    assert "gputui status" in error.hint
    end_all(state_dir())
    wait_for(lambda: not list(records.running(state_dir())))
    error = rig.refusal("--a", "slow", "hi")
    assert error.message.startswith("slow failed: ")
    assert error.hint
