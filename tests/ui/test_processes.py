"""The screen of processes: what it shows, how it is ordered, and what may be done to a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psutil
import pytest
from textual.events import Key, Paste
from textual.pilot import Pilot
from textual.widgets import Input

from gputui.config import Config
from gputui.gpu.host_processes import HostProcesses
from gputui.gpu.sample import GpuProcess, ProcessType, Snapshot
from gputui.text import clean, clean_line
from gputui.ui.process_table import ProcessTable
from tests.support.hostile import HOSTILE
from tests.ui.harness import (
    BOTH,
    GIB,
    Rig,
    gpu_sample,
    host_process,
    make_rig,
    rig,
    screen_text,
    until,
    until_shown,
)
from tests.ui.test_hostile import assert_harmless

SIZES = pytest.mark.parametrize("size", [(160, 45), (120, 30), (80, 24)])
FOREIGN = 2**22 + 7


def some(tick: int = 0) -> tuple[tuple[GpuProcess, ...], tuple[GpuProcess, ...]]:
    """Processes on two GPUs: an instance of ours, another user's on both, a foreign one, a game."""
    llama = GpuProcess(
        12080, "llama-server", 61 * GIB, ProcessType.COMPUTE, 92.0 - tick,
        host_process(12080, cpu_percent=310.0),
    )  # fmt: skip
    train = GpuProcess(
        40211, "python3", 12 * GIB, ProcessType.COMPUTE, 7.0 + tick,
        host_process(40211, user="bob", own=False, command="/usr/bin/python3 train.py"),
    )  # fmt: skip
    game = GpuProcess(
        40500, "game", 3 * GIB, ProcessType.BOTH, 44.0,
        host_process(40500, command="game [bold]x[/bold]", cpu_percent=12.0),
    )  # fmt: skip
    foreign = GpuProcess(FOREIGN, "", 8 * GIB)
    return (llama, train, foreign), (replace(train, used_gpu_memory=9 * GIB), game)


def taken(first: tuple[GpuProcess, ...], second: tuple[GpuProcess, ...] = ()) -> Snapshot:
    gpus = (gpu_sample(0, processes=first), gpu_sample(1, processes=second))
    return Snapshot("nvml", 1e9, gpus, "999.1")


@asynccontextmanager
async def processes(one: Rig, size: tuple[int, int] = (160, 45)) -> Iterator[Pilot[str | None]]:  # type: ignore[misc]
    """The screen of processes, open."""
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        await pilot.press("p")
        await until_shown(pilot, "Processes")
        yield pilot


def with_instance(**more: object) -> Rig:
    statuses = (replace(BOTH[0], pid=12080), BOTH[1])
    return rig(**({"snapshots": [taken(*some())], "statuses": statuses} | more))


def shown_pids(one: Rig) -> list[int]:
    """The pids of the table, from top to bottom."""
    words = (line.replace("│", " ").replace("▸", " ").split() for line in _lines(one))
    return [int(w[1]) for w in words if len(w) > 1 and w[0][0] == "■" and w[1].isdecimal()]


def _lines(one: Rig) -> list[str]:
    return screen_text(one.app).splitlines()


def cursor_pid(one: Rig) -> int:
    row = one.app.screen.query_one(ProcessTable).selected
    assert row is not None
    return row.pid


@SIZES
async def test_all_processes_on_all_gpus(size: tuple[int, int]) -> None:
    one = with_instance()
    async with processes(one, size) as pilot:
        await until_shown(pilot, "deepseek")
        text = screen_text(one.app)
        assert shown_pids(one) == [12080, 40211, FOREIGN, 40211, 40500]
        for part in ("61.0 GiB", "92", "310", "llama-server", "python3", "not visible here"):
            assert part in text
        assert all(len(line) <= size[0] for line in text.splitlines())
        if size[0] >= 120:
            for part in ("bob", "C+G", "2 h 00", "3.0 GiB"):
                assert part in text
        await pilot.press("escape")
        await until_shown(pilot, "Instances")


async def test_the_screen_follows_the_samples_and_the_instances() -> None:
    one = with_instance()
    async with processes(one) as pilot:
        await until_shown(pilot, "deepseek")
        one.sampler.take(taken(*some(tick=5)))
        await until_shown(pilot, " 87 ")
        one.sampler.take(taken(()))
        await until_shown(pilot, "No process has a context on a GPU.")


@SIZES
async def test_sorting_by_any_column(size: tuple[int, int]) -> None:
    one = with_instance()
    async with processes(one, size) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        assert "GPU▴" in screen_text(one.app)
        for _ in range(20):
            if "SM %▾" in screen_text(one.app):
                break
            await pilot.press("greater_than_sign")
        assert shown_pids(one) == [12080, 40500, 40211, 40211, FOREIGN], "not known comes last"
        await pilot.press("r")
        assert "SM %▴" in screen_text(one.app)
        assert shown_pids(one) == [40211, 40211, 40500, 12080, FOREIGN], "then too"
        await pilot.press("less_than_sign")
        assert "GPU memory▾" in screen_text(one.app)
        assert shown_pids(one) == [12080, 40211, 40211, FOREIGN, 40500]


async def test_the_cursor_stays_on_its_process() -> None:
    one = with_instance()
    async with processes(one) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        await pilot.press("end")
        assert cursor_pid(one) == 40500
        await pilot.press("r")
        assert cursor_pid(one) == 40500
        assert shown_pids(one)[1] == 40500
        first, second = some()
        more = tuple(GpuProcess(pid, "", 70 * GIB) for pid in range(5_000_000, 5_000_060))
        one.sampler.take(taken((*more, *first), second))
        await until_shown(pilot, "Processes: 64")
        assert cursor_pid(one) == 40500
        assert 40500 in shown_pids(one), "the table scrolled to it"
        one.sampler.take(taken(first))
        await until_shown(pilot, "Processes: 3")
        assert cursor_pid(one) in {12080, 40211, FOREIGN}, "it is gone; its place is not"


async def test_moving_through_many() -> None:
    many = tuple(GpuProcess(pid, "", pid) for pid in range(5_000_300, 5_000_000, -1))
    one = make_rig(snapshots=[taken(many)])
    async with processes(one, (80, 24)) as pilot:
        await until_shown(pilot, "Processes: 300")
        assert cursor_pid(one) == 5_000_300
        await pilot.press("pagedown")
        page = 5_000_300 - cursor_pid(one)
        assert 10 < page < 24
        await pilot.press("pagedown", "down", "up", "pageup")
        assert cursor_pid(one) == 5_000_300 - page
        await pilot.press("end")
        assert shown_pids(one)[-1] == cursor_pid(one) == 5_000_001
        await pilot.press("home")
        assert shown_pids(one)[0] == cursor_pid(one) == 5_000_300


async def test_letters_typed_right_after_the_filters_key_are_the_filters() -> None:
    one = with_instance()
    async with processes(one, (120, 30)) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        for key in ("slash", *"kte", "slash"):
            one.app.post_message(Key(key, "/" if key == "slash" else key))
        await until(pilot, lambda: one.app.screen.query_one(Input).value == "kte/")
        assert "Leave it" not in screen_text(one.app)


async def test_what_is_pasted_into_the_filter_is_cleaned() -> None:
    one = with_instance()
    async with processes(one, (120, 30)) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        await pilot.press("slash")
        box = one.app.screen.query_one(Input)
        for _, text in HOSTILE:
            first = (clean(text[:150]).splitlines() or [""])[0]
            one.app.post_message(Paste(text[:150]))
            await until(pilot, lambda first=first: box.value == first)  # type: ignore[misc]
            assert_harmless(one.app)
            box.value = ""


@SIZES
async def test_the_filter_is_live_and_escape_clears_it(size: tuple[int, int]) -> None:
    one = with_instance()
    async with processes(one, size) as pilot:
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        await pilot.press("slash", *"bob tr")
        await until(pilot, lambda: shown_pids(one) == [40211, 40211])
        assert "Processes: 1 of 4" in screen_text(one.app)
        await pilot.press("down", "enter")
        assert one.app.screen.query_one(Input).display, "it still shows what it keeps"
        await pilot.press("escape")
        await until(pilot, lambda: len(shown_pids(one)) == 5)
        await pilot.press("slash", *"k]qt", "escape")
        assert len(shown_pids(one)) == 5, "letters in the filter are no keys"
        await pilot.press("slash", *"zzz")
        await until_shown(pilot, "No process matches the filter.")
        await pilot.press("escape", "escape")
        await until_shown(pilot, "Instances")


async def test_one_gpu_alone_needs_no_gpu_column() -> None:
    one = with_instance()
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        dashboard = one.app.screen
        uuid = gpu_sample(1).identity.uuid
        table = ProcessTable(one.app.look, dashboard.process_actions, uuid=uuid)  # type: ignore[attr-defined]
        await dashboard.mount(table, before=0)
        table.update_processes(taken(*some()), {})
        await until_shown(pilot, "game")
        text = screen_text(one.app)
        assert "Processes: 2" in text
        assert "40500" in text
        assert "12080" not in text
        assert "GPU▴" not in text
        table.show_gpu(gpu_sample(0).identity.uuid)
        await until_shown(pilot, "Processes: 3")
        assert "12080" in screen_text(one.app)
        table.show_gpu(None)
        await until_shown(pilot, "Processes: 4")
        assert "■1" in screen_text(one.app)


@SIZES
async def test_the_details_of_a_gpu_show_its_processes(size: tuple[int, int]) -> None:
    one = with_instance()
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        await pilot.press("g")
        await until_shown(pilot, "Utilization")
        for _ in range(9):  # three parts, one after the other where they do not fit
            if "Processes: 3" in screen_text(one.app):
                break
            await pilot.press("tab")
            await pilot.pause(0.3)
        await until_shown(pilot, "GPU memory▾")
        text = screen_text(one.app)
        assert "12080" in text
        assert "deepseek" in text
        assert "40500" not in text
        await pilot.press("right_square_bracket")
        await until_shown(pilot, "40500")
        assert "12080" not in screen_text(one.app)


async def test_without_unicode_all_is_ascii() -> None:
    one = with_instance(ascii_only=True)
    async with processes(one, (120, 30)) as pilot:
        await until_shown(pilot, "deepseek")
        await pilot.press("t", "r")
        await until_shown(pilot, "GPUv")
        table = [line for line in _lines(one) if "#" in line]
        assert len(table) == 5
        assert all(line.isascii() for line in table), table


async def test_the_keys_are_listed_with_their_ids_and_can_be_changed() -> None:
    one = make_rig(
        Config(keys={"view.processes": "f9", "processes.tree": "f8"}), snapshots=[taken(*some())]
    )
    async with one.app.run_test(size=(120, 160), notifications=True) as pilot:
        await until_shown(pilot, "Instances")
        await pilot.press("f9")
        await until_shown(pilot, "Processes: 4")
        await pilot.press("f8")
        await until_shown(pilot, "tree")
        await pilot.press("question_mark")
        for part in ("processes.signal", "processes.filter", "view.processes", "f9"):
            await until_shown(pilot, part)


# ── what is done to a process ────────────────────────────────────────────────────────────────────


@pytest.fixture
def children() -> Iterator[Callable[..., GpuProcess]]:
    """Starts real processes and gives them as NVML and the host would show them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **options: object) -> GpuProcess:
        child = subprocess.Popen(arguments, **options)  # type: ignore[call-overload]
        started.append(child)
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
        assert await asyncio.to_thread(popen(children).wait, 10) == -number


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
        lines = _lines(one)
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
