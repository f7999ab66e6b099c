"""A stand-in NVML: compiled from tests/support/nvml, told what to answer by a file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

SOURCES = Path(__file__).parent / "nvml"
NAME = "libnvidia-ml.so.1"


class NoCompilerError(Exception):
    """There is no C compiler here, so there is no stand-in."""


def compile_library(folder: Path) -> Path:
    """Compile the stand-in into ``folder``; its path. Raises NoCompilerError."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError("no C compiler (cc) for the stand-in NVML")
    library = folder / NAME
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-O2", "-fPIC", "-shared", "-pthread"]
    command = [compiler, *flags, f"-Wl,-soname,{NAME}", "-o", str(library)]
    sources = [str(source) for source in sorted(SOURCES.glob("*.c"))]
    subprocess.run([*command, *sources], check=True)
    return library


class StandinNvml:
    """One scenario of the stand-in; see nvml/scenario.h for the keys.

    >>> standin.set(gpus=2, gpu_1={"lost": 1, "error.nvmlDeviceGetPowerUsage": 4})
    """

    def __init__(self, library: Path, folder: Path) -> None:
        self.library = library
        self.scenario = folder / "scenario"
        self.calls_file = folder / "calls"
        self._values: dict[str, object] = {}
        self._written: int | None = None
        self.set()

    def set(self, values: dict[str, object] | None = None, **more: object) -> None:
        """Change keys (None takes one away) and let the library see them at once.

        A dict under ``gpu_N`` sets keys of that GPU. What the library changed itself stays.
        """
        if self._written is not None:
            changed = self.scenario.read_bytes()[self._written :].decode().splitlines()
            self._values |= dict(line.split(" ", 1) for line in changed)
        for key, value in {**(values or {}), **more}.items():
            if isinstance(value, dict):
                prefix = key.replace("_", ".") + "."
                self._values |= {prefix + name: inner for name, inner in value.items()}
            else:
                self._values[key] = value
        lines = [f"{key} {value}\n" for key, value in self._values.items() if value is not None]
        temporary = self.scenario.with_suffix(".new")
        self._written = temporary.write_bytes("".join(lines).encode(errors="surrogateescape"))
        temporary.replace(self.scenario)

    def clear(self) -> None:
        """Back to two healthy GPUs."""
        self._values.clear()
        self._written = None
        self.set()

    def environment(self, *, count_calls: bool = False) -> dict[str, str]:
        """The variables under which a program finds this library instead of the driver's."""
        found = os.environ.get("LD_LIBRARY_PATH")
        path = f"{self.library.parent}:{found}" if found else str(self.library.parent)
        variables = {"LD_LIBRARY_PATH": path, "STANDIN_NVML": str(self.scenario)}
        return variables | ({"STANDIN_NVML_CALLS": str(self.calls_file)} if count_calls else {})

    def take_calls(self) -> Counter[tuple[str, int]]:
        """The calls since the last take, by function and GPU index (-1: none)."""
        if not self.calls_file.exists():
            return Counter()
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.unlink()
        return Counter((name, int(index)) for name, index in map(str.split, lines))
