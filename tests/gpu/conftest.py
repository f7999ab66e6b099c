from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from gputui.gpu.nvml import NvmlSource
from tests.support.nvml_scenarios import Clock
from tests.support.standin_nvml import StandinNvml


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
