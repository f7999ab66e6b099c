from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest

from gputui.gpu.nvml import NvmlSource
from tests.support.nvml_scenarios import Clock
from tests.support.standin_nvml import StandinNvml
from tests.support.waiting import wait_for

NOBODY = 2**22 + 5  # above the kernel's largest pid
Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def standin_nvml(
    nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandinNvml]:
    """Two healthy GPUs, behind nvidia-ml-py's true ctypes path in this process.

    nvidia-ml-py opens the library by name once a process; here it is put in by path, so that a real
    driver on the machine is not met and each test begins afresh.
    """
    standin = StandinNvml(nvml_library, tmp_path)
    library = ctypes.CDLL(str(nvml_library))
    monkeypatch.setattr(pynvml, "nvmlLib", library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(pynvml, "_nvmlLib_refcount", 0)
    for name in ("STANDIN_NVML", "STANDIN_NVML_CALLS"):
        monkeypatch.setenv(name, standin.environment(count_calls=True)[name])
    yield standin
    standin.clear()  # lets a call that hangs return before its thread is left alone
    os.environ.pop("STANDIN_NVML_CALLS", None)
    while library.nvmlShutdown() == 0:
        pass


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system answers at once is waited for, on a busy machine too."""
    monkeypatch.setattr("gputui.gpu.patience.PATIENCE_SECONDS", 20.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(standin_nvml: StandinNvml, clock: Clock) -> Iterator[NvmlSource]:
    """Its slow lane has answered when ``sample`` returns: what it gives follows from the clock alone."""
    source = NvmlSource(clock=clock, spawn=lambda work: work())
    yield source
    source.close()


@pytest.fixture
def threaded_source(standin_nvml: StandinNvml, clock: Clock) -> Iterator[NvmlSource]:
    """With the slow lane beside it, as users have it."""
    source = NvmlSource(clock=clock)
    yield source
    standin_nvml.clear()
    source.close()


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts children that end with the test; each has its arguments, as it has after exec."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
        child: subprocess.Popen[bytes] = subprocess.Popen(arguments, **options)  # type: ignore[call-overload]
        children.append(child)
        wait_for(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes(), "its arguments")
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
