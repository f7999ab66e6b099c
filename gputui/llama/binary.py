"""The llama-server binary: where it is, and which devices its build knows."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from gputui import config as configuration
from gputui.errors import GputuiError
from gputui.files import write_file
from gputui.processes import boot_id
from gputui.text import clean, clean_line

_LIST_SECONDS = 30.0  # the first CUDA or Vulkan initialisation after boot takes seconds

VISIBILITY = (
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "GGML_VK_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
)
"""Variables that hide GPUs from a server; gputui alone sets them for its children."""

_SILENT_OPTIONS = ("LLAMA_ARG_", "LLAMA_LOG_", "LLAMA_API_KEY")


class Device(Struct, frozen=True):
    """One line of ``llama-server --list-devices``: ``CUDA0: NVIDIA GeForce RTX 5090 (…)``."""

    id: str
    name: str

    @property
    def backend(self) -> str:
        """The backend's name in lower case: ``cuda``, ``vulkan``, ``rocm``, ``mtl``."""
        return self.id.rstrip("0123456789").lower()


class Build(Struct, frozen=True):
    """What a binary says of itself. ``devices`` is () for a build or a machine without GPUs."""

    path: str
    devices: tuple[Device, ...] = ()

    @property
    def backends(self) -> frozenset[str]:
        """The backends of the devices it lists."""
        return frozenset(device.backend for device in self.devices)


def find(program: str) -> Path:
    """The absolute path of a configured ``llama_server``: a name on PATH, or a path.

    Raises GputuiError where there is no such program.
    """
    wanted = Path(program).expanduser()
    found = shutil.which(str(wanted))
    if found:
        return Path(found).absolute()
    where = 'llama_server = "/path/to/llama-server" in the configuration'
    if wanted.is_dir():
        raise GputuiError(
            f"{program}: is a directory, not llama-server", f"Set {where} to the program in it."
        )
    if wanted.exists() and len(wanted.parts) > 1:
        raise GputuiError(f"{program}: not executable", f"chmod +x {wanted}")
    if len(wanted.parts) > 1:
        raise GputuiError(f"{program}: no such file", f"Set {where}.")
    raise GputuiError(
        f"{program}: not found on PATH",
        f"Install llama.cpp, or set {where}. To try gputui without either: gputui demo",
    )


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a server: nothing in it changes one silently.

    llama-server reads an option from each ``LLAMA_ARG_*``; a ``CUDA_VISIBLE_DEVICES`` of the user's
    shell would undo a pin.
    """
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_SILENT_OPTIONS) and name not in VISIBILITY
    }


_known: dict[str, Build] = {}


def inspect(binary: Path, pin: Mapping[str, str] | None = None) -> Build:
    """The build of ``binary``, with only the devices that the variables in ``pin`` leave visible.

    Asked once for each binary (path, size and time of change) and boot: GPUs do not change while a
    machine is up. An empty list is not kept on disk, as a driver may load later. Blocks up to 30 s
    the first time. Raises GputuiError where the binary does not run.
    """
    key = cache_key(binary, pin or {})
    if key not in _known:
        file = configuration.cache_dir() / "binaries" / f"{key}.json"
        build = _read_cache(file)
        if build is None:
            build = Build(str(binary), parse_devices(_list_devices(binary, pin or {})))
            if build.devices:
                with contextlib.suppress(GputuiError):  # a cache that cannot be kept costs a second
                    write_file(file, msgspec.json.encode(build))
        _known[key] = build
    return _known[key]


def parse_devices(text: str) -> tuple[Device, ...]:
    """The devices in the output of ``--list-devices``; lines of another form are not devices."""
    found = re.findall(
        r"^\s*([A-Za-z]+\d*): (.+?)(?: \(\d+ MiB(?:, \d+ MiB free)?\))?\s*$", clean(text), re.M
    )
    seen_header = "Available devices" in text
    return tuple(
        Device(device_id, clean_line(name, 200))
        for device_id, name in found
        if seen_header and device_id[-1].isdecimal()
    )


def cache_key(binary: Path, pin: Mapping[str, str]) -> str:
    """A file name for what a binary says under these variables, on this boot. Raises GputuiError."""
    try:
        facts = binary.resolve().stat()
    except OSError as error:
        raise GputuiError(f"{binary}: {error.strerror}") from error
    parts = (str(binary), facts.st_size, facts.st_mtime_ns, sorted(pin.items()), boot_id())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _read_cache(file: Path) -> Build | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Build)
    except (OSError, msgspec.DecodeError):
        return None


def _list_devices(binary: Path, pin: Mapping[str, str]) -> str:
    environment = clean_environment(os.environ) | dict(pin)
    try:
        done = subprocess.run(
            [str(binary), "--list-devices"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIST_SECONDS,
            check=False,
        )
    except OSError as error:
        raise GputuiError(
            f"{binary}: cannot be run: {error.strerror}", "Is it built for this machine?"
        ) from error
    except subprocess.TimeoutExpired:
        raise GputuiError(
            f"{binary} --list-devices gave no answer in {_LIST_SECONDS:.0f} s",
            "The GPU driver may hang: does nvidia-smi answer?",
        ) from None
    output = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    if done.returncode != 0 and "invalid argument" not in output:
        raise does_not_run(binary, done.returncode, output)
    return output


def does_not_run(binary: Path, code: int, output: str) -> GputuiError:
    """The error for a binary that ends with ``code`` when asked for its devices."""
    library = re.search(r"loading shared libraries: (\S+?):", output)
    if library:
        return GputuiError(
            f"{binary}: does not run: the shared library {clean_line(library[1])} is missing",
            "Keep llama-server in the folder it was built or unpacked in, or add the folder of "
            "the library to LD_LIBRARY_PATH.",
        )
    lines = [line for line in clean(output).splitlines() if line.strip()]
    reason = clean_line(lines[-1], 200) if lines else f"exit code {code}"
    return GputuiError(f"{binary}: does not run: {reason}", f"Try it by hand: {binary} --version")
