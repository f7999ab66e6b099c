"""gputui layout, as a user calls it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gputui.instances import records
from tests.cli.test_instance_commands import Machine
from tests.instances.conftest import end_all
from tests.support.pty_terminal import PtyTerminal
from tests.support.waiting import wait_for


class LayoutMachine(Machine):
    """Two models alone on a GPU each, or one across both."""

    def __init__(self, folder: Path, **scripts: dict[str, object]) -> None:
        super().__init__(folder)
        self.add("deepseek", scripts.get("deepseek"), '["PRO 6000"]')
        self.add("coder", scripts.get("coder"), '["5090"]')
        self.add("split", scripts.get("split"), '["PRO 6000", "5090"]')
        with self.file.open("a") as file:
            file.write('[[layouts]]\nname = "pair"\ninstances = ["deepseek", "coder"]\n')
            file.write('[[layouts]]\nname = "whole"\ninstances = ["split"]\n')

    @property
    def running(self) -> list[str]:
        return sorted(record.name for record in records.running(self.state))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[LayoutMachine]:
    yield LayoutMachine(tmp_path)
    end_all(tmp_path / "state")


def test_a_layout_is_listed_shown_and_switched_to(machine: LayoutMachine) -> None:
    assert machine.run("layout") == "pair           deepseek, coder\nwhole          split\n"
    machine.run("start", "--wait", "split")
    shown = machine.run("layout", "pair", "--dry-run")
    assert [line for line in shown.splitlines() if "whether it fits" not in line] == [
        "layout pair:",
        "  stops   split (GPU 0, GPU 1)",
        "  starts  deepseek on GPU 0",
        "  starts  coder on GPU 1",
    ]
    assert machine.running == ["split"]
    body = json.loads(machine.run("layout", "pair", "--json"))
    assert body["stops"] == [{"name": "split", "reasons": ["GPU 0", "GPU 1"]}]
    assert [one["name"] for one in body["starts"]] == ["deepseek", "coder"]
    assert (body["active"], body["stays"], body["cannot"]) == (False, [], [])
    done = machine.run("layout", "pair", "--yes")
    assert re.search(
        r"split: stopping\nsplit: stopped\ndeepseek: starting\n"
        r"deepseek: ready on http://127.0.0.1:\d+\ncoder: starting\n.*\nlayout pair runs\n$",
        done,
    )
    assert machine.running == ["coder", "deepseek"]
    assert machine.run("layout", "pair", "--yes") == "layout pair runs already: deepseek, coder\n"
    listed = json.loads(machine.run("layout", "--json"))
    assert [(one["name"], one["active"]) for one in listed["layouts"]] == [
        ("pair", True),
        ("whole", False),
    ]
    machine.run("stop", "--all")


def test_what_it_refuses(machine: LayoutMachine) -> None:
    assert "nobody to ask: give --yes" in machine.run("layout", "pair", code=2)
    assert 'Did you mean "pair"?' in machine.run("layout", "pare", code=2)
    assert "called with --readonly" in machine.run("--readonly", "layout", "pair", "--yes", code=1)
    assert "starts  split" in machine.run("--readonly", "layout", "whole", "--dry-run")
    (machine.folder / "coder.Q4_K_M.gguf").unlink()
    refused = machine.run("layout", "pair", "--yes", code=1)
    assert "cannot  coder:" in refused
    assert "no such file" in refused
    assert "layout pair cannot be had as things are" in refused
    assert machine.running == []


def test_a_failure_half_way_is_told_with_the_way_back(tmp_path: Path) -> None:
    machine = LayoutMachine(tmp_path, coder={"crash": 1})
    machine.run("start", "--wait", "split")
    text = machine.run("layout", "pair", "--yes", code=1)
    assert "layout pair is not complete (stopped: split; started: deepseek): coder failed" in text
    assert "Back: gputui stop deepseek && gputui start split" in text
    machine.run("stop", "deepseek")


def test_ctrl_c_says_where_it_stands(tmp_path: Path) -> None:
    machine = LayoutMachine(tmp_path, deepseek={"load_seconds": 60})
    machine.run("start", "--wait", "split")
    switching = machine.popen("layout", "pair", "--yes")
    wait_for(lambda: machine.running == ["deepseek"], "the start")
    switching.send_signal(signal.SIGINT)
    _, error = switching.communicate(timeout=60)
    assert switching.returncode == 130
    assert "layout pair is broken off (stopped: split; started: deepseek)" in error
    assert "Back: gputui stop deepseek && gputui start split" in error
    assert machine.running == ["deepseek"]
    machine.run("stop", "deepseek")


def test_on_a_terminal_it_asks_and_asks_again_where_answers_would_end(
    machine: LayoutMachine,
) -> None:
    plan = machine.folder / "split" / "llama-server.script.json"
    plan.write_text(json.dumps({"reply": ["word"] * 2000, "rate": 50}))
    machine.run("start", "--wait", "split")
    (record,) = records.running(machine.state)
    command = [sys.executable, "-m", "gputui", "--config", str(machine.file), "layout", "pair"]
    environment = {**os.environ, "GPUTUI_STATE": str(machine.state), "TERM": "xterm"}
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    url = f"http://127.0.0.1:{record.port}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, timeout=60, trust_env=False) as answer:
        lines = answer.iter_lines()  # the answer stays open as long as this is held
        assert next(lines)
        terminal = PtyTerminal(command, (100, 24), environment)
        try:
            terminal.until(lambda screen: "Switch to layout pair? [y/N]" in screen, "the question")
            assert "stops   split (GPU 0, GPU 1)" in terminal.screen()
            terminal.type("y\r")
            terminal.until(lambda screen: "Break the answers off?" in screen, "the second question")
            assert "split is answering (1 request)" in terminal.screen()
            assert machine.running == ["split"]
            terminal.type("y\r")
            terminal.until(lambda screen: "layout pair runs" in screen, "the end")
            assert terminal.until_ended() == 0
        finally:
            terminal.close()
    assert machine.running == ["coder", "deepseek"]
    terminal = PtyTerminal([*command[:-1], "whole"], (100, 24), environment)
    try:
        terminal.until(lambda screen: "Switch to layout whole? [y/N]" in screen, "the question")
        terminal.type("n\r")
        assert terminal.until_ended() == 1
        assert "nothing was changed" in terminal.screen()
    finally:
        terminal.close()
    machine.run("stop", "--all")
