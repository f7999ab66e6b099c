"""What is done to a process from the table: signals, environments, the tree."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gputui.gpu.host_processes import HostProcesses
from gputui.gpu.sample import GpuProcess
from gputui.text import clean_line
from tests.support.hostile import HOSTILE
from tests.support.waiting import wait_for
from tests.ui.harness import (
    GIB,
    host_process,
    make_rig,
    screen_text,
    until,
    until_shown,
)
from tests.ui.processes import (
    lines_of,
    processes,
    some,
    taken,
    with_instance,
)
from tests.ui.test_hostile import assert_harmless


@pytest.fixture
def children() -> Iterator[Callable[..., GpuProcess]]:
    """Starts real processes and gives them as NVML and the host would show them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **options: object) -> GpuProcess:
        child = subprocess.Popen(arguments, **options)  # type: ignore[call-overload]
        started.append(child)
        wait_for(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes(), "its arguments")
        local = HostProcesses().look({child.pid})[child.pid]
        return GpuProcess(child.pid, local.name, 5 * GIB, host=local.host)

    start.started = started  # type: ignore[attr-defined]
    yield start
    for child in started:
        with contextlib.suppress(psutil.Error):
            for further in psutil.Process(child.pid).children(recursive=True):
                further.kill()
        child.kill()
        child.wait()


def popen(children: object) -> subprocess.Popen[bytes]:
    return children.started[-1]  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("place", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM), (3, signal.SIGKILL)]
)
async def test_a_signal_is_asked_for_twice_and_arrives(
    children: Callable[..., GpuProcess], place: int, number: signal.Signals
) -> None:
    process = children("sleep", "600")
    one = make_rig(snapshots=[taken((process,))])
    async with processes(one, (80, 24)) as pilot:
        await until_shown(pilot, "sleep")
        await pilot.press("k")
        await until_shown(pilot, f"Signal process {process.pid} sleep?")
        text = screen_text(one.app)
        assert process.host is not None
        assert f"user {process.host.user}" in text
        assert "5.0 GiB on GPU 0" in text
        await pilot.press(*["down"] * place, "enter")
        await until_shown(pilot, f"Send {number.name} to {process.pid} sleep?")
        await pilot.press("y")
        await until_shown(pilot, f"{number.name} was sent to {process.pid} sleep.")
        assert await asyncio.to_thread(popen(children).wait, 60) == -number


async def test_enter_alone_signals_nothing(children: Callable[..., GpuProcess]) -> None:
    process = children("sleep", "600")
    one = make_rig(snapshots=[taken((process,))])
    async with processes(one, (80, 24)) as pilot:
        await until_shown(pilot, "sleep")
        await pilot.press("k")
        await until_shown(pilot, "Signal process")
        await pilot.press("enter")
        await until(pilot, lambda: "Signal process" not in screen_text(one.app))
        await pilot.press("k")
        await until_shown(pilot, "Signal process")
        await pilot.press("down", "down", "down", "enter")
        await until_shown(pilot, "Send SIGKILL")
        await pilot.press("enter", "enter", "enter")
        await until(pilot, lambda: "Send SIGKILL" not in screen_text(one.app))
        await pilot.press("k")
        await until_shown(pilot, "Signal process")
        await pilot.press("escape")
        await pilot.pause()
        assert popen(children).poll() is None


async def test_a_process_that_is_another_one_by_then_is_left_alone(
    children: Callable[..., GpuProcess],
) -> None:
    process = children("sleep", "600")
    assert process.host is not None
    ticks = process.host.identity.start_ticks - 1
    earlier = replace(process.host, identity=replace(process.host.identity, start_ticks=ticks))
    one = make_rig(snapshots=[taken((replace(process, host=earlier),))])
    async with processes(one, (120, 30)) as pilot:
        await until_shown(pilot, "sleep")
        await pilot.press("k")
        await until_shown(pilot, "Signal process")
        await pilot.press("down", "down", "down", "enter")
        await until_shown(pilot, "Send SIGKILL")
        await pilot.press("y")
        await until_shown(pilot, "is another process by now")
        assert popen(children).poll() is None


async def test_a_process_that_ended_meanwhile_is_told(
    children: Callable[..., GpuProcess],
) -> None:
    process = children("sleep", "600")
    one = make_rig(snapshots=[taken((process,))])
    async with processes(one, (120, 30)) as pilot:
        await until_shown(pilot, "sleep")
        await pilot.press("k")
        await until_shown(pilot, "Signal process")
        await pilot.press("down", "enter")
        await until_shown(pilot, "Send SIGINT")
        popen(children).kill()
        popen(children).wait()
        await pilot.press("y")
        await until_shown(pilot, f"process {process.pid} has ended")


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("foreign", "is not visible here"),
        ("theirs", "belongs to bob"),
        ("gputui", "is gputui itself, or what runs it"),
        ("readonly", "--readonly"),
        ("recorded", "this is a recording"),
    ],
)
async def test_what_is_refused_is_refused_in_words(
    children: Callable[..., GpuProcess], which: str, words: str
) -> None:
    process = children("sleep", "600")
    assert process.host is not None
    if which == "foreign":
        process = replace(process, host=None)
    elif which == "theirs":
        process = replace(process, host=replace(process.host, own=False, user="bob"))
    elif which == "gputui":
        local = HostProcesses().look({(pid := _parent())})[pid]
        process = replace(process, pid=pid, host=replace(local.host, own=True))
    sample = taken((process,))
    if which == "recorded":
        sample = replace(sample, source="recorded")
    one = make_rig(snapshots=[sample], readonly=which == "readonly")
    async with processes(one, (120, 30)) as pilot:
        await until_shown(pilot, "Processes: 1")
        if which == "recorded":
            await until_shown(pilot, "sleep")  # a recording knows the name alone
        await pilot.press("k")
        await until_shown(pilot, words)
        assert "Leave it" not in screen_text(one.app)
        assert popen(children).poll() is None


def _parent() -> int:
    return os.getppid()


async def test_an_instance_of_ours_is_stopped_by_the_supervisor() -> None:
    one = with_instance()
    async with processes(one) as pilot:
        await until_shown(pilot, "deepseek")
        await pilot.press("k")
        await until_shown(pilot, "Stop deepseek?")
        await pilot.press("y")
        await until(pilot, lambda: one.supervisor.asked == [("stop", "deepseek")])


async def test_the_environment_of_an_own_process(children: Callable[..., GpuProcess]) -> None:
    environment = {
        "PLAIN": "value [bold]x[/]",
        "OPENAI_API_KEY": "zqzqzq",
        "EVIL": "\x1b]52;c;ZXZpbA==\x07red",
    }
    process = children("/bin/sleep", "600", env=environment)
    one = make_rig(snapshots=[taken((process,))])
    async with processes(one, (120, 30)) as pilot:
        await until_shown(pilot, "sleep")
        await pilot.press("e")
        await until_shown(pilot, "PLAIN=value [bold]x[/]")
        text = screen_text(one.app)
        assert "OPENAI_API_KEY=***" in text
        assert "EVIL=red" in text
        assert "zqzq" not in text
        assert_harmless(one.app)
        await pilot.press("escape")
        await until(pilot, lambda: "PLAIN" not in screen_text(one.app))


@pytest.mark.parametrize("which", ["foreign", "theirs", "recorded"])
async def test_no_environment_of_others(which: str) -> None:
    process = replace(some()[0][1], host=None) if which == "foreign" else some()[0][1]
    sample = taken((process,))
    words = {"foreign": "is not visible here", "theirs": "belongs to bob"}
    if which == "recorded":
        sample = replace(sample, source="recorded")
    one = make_rig(snapshots=[sample])
    async with processes(one, (120, 30)) as pilot:
        await until_shown(pilot, "Processes: 1")
        await pilot.press("e")
        await until_shown(pilot, words.get(which, "this is a recording"))


async def test_the_tree_shows_who_started_a_process_and_what_it_started(
    children: Callable[..., GpuProcess],
) -> None:
    process = children("bash", "-c", "sleep 611 & wait")
    one = make_rig(snapshots=[taken((process,), (replace(process, used_gpu_memory=1),))])
    async with processes(one) as pilot:
        await until_shown(pilot, "bash")
        await pilot.press("t")
        await until_shown(pilot, "└─ sleep 611")
        lines = lines_of(one)
        (child,) = [line for line in lines if "└─ sleep 611" in line]
        assert "GiB" not in child.partition("sleep")[0].partition("MiB")[0], "no GPU memory"
        mine = [line for line in lines if str(process.pid) in line]
        assert len(mine) == 2, "one row a GPU"
        assert any("python" in line or "pytest" in line for line in lines), "who started it"
        await pilot.press("slash", *"611", "enter")
        await until(pilot, lambda: "Processes: 1 of 1" in screen_text(one.app))
        await until_shown(pilot, "└─ sleep 611")
        await pilot.press("escape", "t")
        await until(pilot, lambda: "└─" not in screen_text(one.app))
        await pilot.press("t", "end")
        await until_shown(pilot, "└─ sleep 611")


async def test_hostile_users_names_and_commands() -> None:
    """As the rooms hand them over: through the cleaning function, markup and all."""
    texts = [clean_line(text[:4000], 300) for _, text in HOSTILE]
    evil = [
        GpuProcess(100 + n, text, 1, host=host_process(100 + n, user=text, command=text))
        for n, text in enumerate(texts)
    ]
    one = make_rig(snapshots=[taken(tuple(evil))])
    async with processes(one, (160, 45)) as pilot:
        await until_shown(pilot, f"Processes: {len(texts)}")
        assert_harmless(one.app)
        await pilot.press("t", "r")
        await until_shown(pilot, "tree")
        assert_harmless(one.app)


@pytest.mark.parametrize("name", ["clipboard", "action", "closing tag", "bidi"])
async def test_a_hostile_process_in_every_dialog(name: str) -> None:
    text = clean_line(dict(HOSTILE)[name], 300)
    evil = GpuProcess(7, text, 1, host=host_process(7, user=text, command=text))
    one = make_rig(snapshots=[taken((evil,))])
    async with processes(one, (120, 30)) as pilot:
        await until_shown(pilot, "Processes: 1")
        await pilot.press("e")
        await until_shown(pilot, "environment of 7")
        assert_harmless(one.app)
        await pilot.press("escape", "k")
        await until_shown(pilot, "Signal process 7")
        assert_harmless(one.app)
        await pilot.press("down", "enter")
        await until_shown(pilot, "Send SIGINT to 7")
        assert_harmless(one.app)
        await pilot.press("y")
        await until_shown(pilot, "pid 7 is another process by now")
        assert_harmless(one.app)
