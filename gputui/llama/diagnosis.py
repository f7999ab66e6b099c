"""Why a server died, in words: from the last lines of its log and its exit code.

The wordings are llama-server's own, from builds 10068 to 11434.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gputui.text import clean, clean_line, size

_TAIL_BYTES = 64 * 1024
_SENT = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM})
"""Signals that others send: what the log says before them is not the cause."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``reason``: what went wrong, one line. ``hint``: what to do, "" where nothing is known."""

    reason: str
    hint: str = ""


def diagnose(log: str, exit_code: int | None, port: int) -> Diagnosis:
    """Why the server that wrote ``log`` ended; ``exit_code`` negative for a signal, None unknown."""
    text = clean(log[-_TAIL_BYTES:])
    if exit_code is not None and -exit_code in _SENT:
        return _killed(-exit_code, text)
    if exit_code in (0, None) and re.search(r"cleaning up before exit\W*\Z", text):
        return Diagnosis("was asked to stop, not by gputui", "SIGTERM or SIGINT from elsewhere.")
    for pattern, explain in _RULES:
        if match := pattern.search(text):
            found = explain(match)
            return Diagnosis(found.reason.replace("{port}", str(port)), found.hint)
    if exit_code is not None and exit_code < 0:
        return _killed(-exit_code, text)
    if line := _last_error(text):
        return Diagnosis(line, "See the log.")
    if exit_code is None:
        return Diagnosis("ended by itself; why is not known", "See the log.")
    return Diagnosis(f"ended by itself with exit code {exit_code}", "See the log.")


def tail(log: Path, limit: int = _TAIL_BYTES) -> str:
    """The end of a log file, at most ``limit`` bytes; "" where it cannot be read. Not cleaned."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - limit))
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""


_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], Diagnosis]]


def _rule(pattern: str, reason: str, hint: str = "") -> _Rule:
    """A rule whose reason and hint take the pattern's groups: ``{0}``, ``{1}`` …"""

    def explain(match: re.Match[str]) -> Diagnosis:
        groups = [clean_line(group or "", 200) for group in match.groups()]

        def fill(template: str) -> str:
            for number, group in enumerate(groups):
                template = template.replace(f"{{{number}}}", group)
            return template

        return Diagnosis(fill(reason), fill(hint))

    return re.compile(pattern, re.M | re.I), explain


_LESS = (
    "Use a smaller model or quantization, a smaller ctx_size, fewer n_gpu_layers, "
    "or stop what else is on that GPU."
)
_OLD = "Is it a flag of this llama.cpp version? See llama-server --help."


def _out_of_memory(match: re.Match[str]) -> Diagnosis:
    """Group ``size`` in bytes, in MiB with a group ``unit``; ``device`` as ggml names its buffers."""
    groups = match.groupdict()
    wanted = float(groups["size"]) * (2**20 if groups.get("unit") else 1)
    device = groups.get("device") or "GPU"
    place = "host" if device.upper() == "CPU" or device.endswith("_Host") else "GPU"
    return Diagnosis(f"out of {place} memory: {size(wanted)} did not fit", _LESS)


_RULES: tuple[_Rule, ...] = (
    _rule(
        r"couldn't bind HTTP server socket",
        "port {port} is in use",
        "Stop what uses it, or give the instance another port.",
    ),
    _rule(
        r"error: invalid argument: (\S+)",
        "llama-server knows no flag {0}",
        _OLD,
    ),
    _rule(
        r'error while handling argument "([^"\n]*)": (?:error: )?(.*)',
        "llama-server does not take this value of {0}: {1}",
        "See llama-server --help.",
    ),
    _rule(
        r"error: (.*) requires an argument|expected value for argument(.*)",
        "a flag of llama-server lacks its value: {0}{1}",
        "Look at args in the configuration.",
    ),
    _rule(
        r"error while loading shared libraries: ([^:\s]+)",
        "llama-server does not run: the shared library {0} is missing",
        "Keep llama-server in the folder it was built or unpacked in.",
    ),
    _rule(
        r"failed to open GGUF file '?(.*?)'? \(?(No such file or directory|Permission denied)",
        "the model file {0} cannot be opened: {1}",
        "Look at model in the configuration.",
    ),
    _rule(
        r"invalid magic characters?:? ?(.*?), expected 'GGUF'",
        "the model file is not a GGUF: it begins with {0}",
        "Download it again: such a file is often an error page or a Git LFS pointer.",
    ),
    _rule(
        r"(data is not within the file bounds|failed to read key-value pairs"
        r"|failed to read tensor (?:info|data)|failed to read magic|corrupted or incomplete)",
        "the model file is incomplete or corrupt",
        "Download it again and compare its size or checksum.",
    ),
    _rule(
        r"unknown model architecture: '([^'\n]*)'",
        "this llama-server does not know the model architecture {0}",
        "Use a newer llama.cpp.",
    ),
    (
        re.compile(
            r"(?:failed|unable) to allocate (?P<device>\S+) buffer of size (?P<size>\d{1,18})", re.I
        ),
        _out_of_memory,
    ),
    (
        re.compile(
            r"allocating (?P<size>\d{1,12}(?:\.\d{1,6})?) (?P<unit>MiB) on device.*out of memory",
            re.I,
        ),
        _out_of_memory,
    ),
    (
        re.compile(r"Device memory allocation of size (?P<size>\d{1,18}) failed", re.I),
        _out_of_memory,
    ),
    _rule(
        r"(CUDA error: out of memory|cudaMalloc failed: out of memory|ErrorOutOfDeviceMemory"
        r"|CUBLAS_STATUS_ALLOC_FAILED|hipErrorOutOfMemory)",
        "out of GPU memory",
        _LESS,
    ),
    _rule(
        r"(failed to allocate buffer for kv cache|failed to allocate compute|insufficient memory"
        r"|std::bad_alloc|ErrorOutOfHostMemory)",
        "out of memory",
        _LESS,
    ),
    _rule(
        r"(ErrorDeviceLost|CUDA error: (?:unspecified launch failure|an illegal memory access.*))",
        "the GPU failed: {0}",
        "Look for Xid lines in the kernel log: journalctl -k | grep -i xid",
    ),
    _rule(
        r"CUDA error: (.*)",
        "CUDA error: {0}",
        "Does nvidia-smi work? The driver must be new enough for the CUDA this binary is built for.",
    ),
)


def _killed(number: int, text: str) -> Diagnosis:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hints = {
        "SIGKILL": "When memory runs out, Linux kills like this: journalctl -k | grep -i oom",
        "SIGILL": "This llama-server is built for another CPU (its instructions are missing here): "
        "use a build for this machine.",
        "SIGSEGV": "A crash in llama-server: try another version.",
        "SIGABRT": "A failed check in llama-server: see the log.",
    }
    line = _last_error(text) if name == "SIGABRT" else ""
    reason = f"killed by {name}" + (f": {line}" if line else "")
    return Diagnosis(reason, hints.get(name, "Something outside gputui sent it."))


_PREFIX = re.compile(r"^(?:\d+\.)+\d+\s+[EW]\s+(?:\w+\s+)?\S+:\s*")
_ERROR_LIKE = re.compile(
    r"^(?:\d+\.)+\d+ E |\berror\b|\bfail(?:ed|ure)\b|GGML_ASSERT|terminate called|abort|cannot",
    re.I,
)
_NOT_A_CAUSE = re.compile(r"exiting due to|cleaning up before exit")


def _last_error(text: str) -> str:
    """The last line that looks like a cause, without llama-server's time and function name."""
    for line in reversed(text.splitlines()):
        if _ERROR_LIKE.search(line) and not _NOT_A_CAUSE.search(line):
            return clean_line(_PREFIX.sub("", line), 200)
    return ""
