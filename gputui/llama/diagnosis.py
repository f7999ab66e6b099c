"""Why a server died, in words: from its exit code, the last lines of its log, and what the kernel says."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gputui.llama import causes
from gputui.text import clean, clean_line

_TAIL_BYTES = 64 * 1024
_EVIDENCE_LINES = 3
_NEAR = 4  # lines around the decisive one that may belong to it
_POLITE = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM})
"""Signals that ask to end. As for systemd's on-failure, who obeys has not failed."""
_SENT = _POLITE | {signal.SIGKILL}
"""Signals that others send: what the log says before them is not the cause."""
_SEE = "See the log."
_STOPPED = "was asked to stop, not by gputui"


class Killer(Enum):
    """Who sent a SIGKILL."""

    KERNEL = "kernel"  # its log says so
    LIKELY_KERNEL = "likely the kernel"  # it killed somebody since the process began
    OTHER = "other"  # it killed nobody since then
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``reason``: what went wrong, one line. ``hint``: what to do, "" where nothing is known.

    ``evidence``: the lines of the log that say it, cleaned, three at most. ``again``: another try may
    go better. ``crash``: False where it was asked to end by somebody else. ``gpu_fault``: the kernel's log
    may say more of the GPU.
    """

    reason: str
    hint: str = ""
    evidence: tuple[str, ...] = ()
    again: bool = True
    crash: bool = True
    gpu_fault: bool = False


def diagnose(
    log: str,
    exit_code: int | None,
    port: int,
    *,
    served: bool = False,
    killer: Killer = Killer.UNKNOWN,
) -> Diagnosis:
    """Why the server that wrote ``log`` ended; ``exit_code`` negative for a signal, None unknown.

    ``served``: it had been ready.
    """
    text = clean(log[-_TAIL_BYTES:])
    if exit_code == -signal.SIGKILL or (exit_code is None and killer is Killer.KERNEL):
        return _killed_outright(killer)
    if exit_code is not None and -exit_code in _SENT:
        return _asked(f"killed by {signal_name(-exit_code)}", "Something outside gputui sent it.")
    if exit_code in (0, None) and re.search(r"cleaning up before exit\W*\Z", text):
        return _asked(_STOPPED, "SIGTERM or SIGINT from elsewhere.")
    if _stumbled(text):
        return _asked(
            f"{_STOPPED}, and crashed while it ended", "SIGTERM or SIGINT from elsewhere."
        )
    if exit_code == 0:  # as for systemd: who says that all is well has not failed
        return _asked("ended by itself with exit code 0", _SEE)
    if cause := causes.find(text):
        return _known(cause, text, port, served)
    if exit_code is not None and exit_code < 0:
        return _crashed(-exit_code, text)
    found = _last_error(text)
    if found is not None:
        return Diagnosis(_bare(text, found), _SEE, _evidence(text, found))
    if exit_code is None:
        return Diagnosis("ended by itself; why is not known", _SEE)
    return Diagnosis(f"ended by itself with {exit_words(exit_code)}", _SEE)


def exit_words(exit_code: int | None) -> str:
    """``exit code 1``, ``killed by SIGSEGV``; negative for a signal, None not known."""
    if exit_code is None:
        return "exit code not known"
    return f"killed by {signal_name(-exit_code)}" if exit_code < 0 else f"exit code {exit_code}"


def signal_name(number: int) -> str:
    """``SIGKILL``; ``signal 70`` where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def tail(log: Path, limit: int = _TAIL_BYTES) -> str:
    """The end of a log file, at most ``limit`` bytes; "" where it cannot be read. Not cleaned."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - limit))
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""


def _stumbled(text: str) -> bool:
    """Whether it served, was asked to stop, and failed only then: two SIGTERMs can do that."""
    ending = text.rfind("cleaning up before exit")
    served = 0 <= text.rfind("listening on http") < ending
    return served and causes.find(text[ending:]) is None


def _known(cause: causes.Cause, text: str, port: int, served: bool) -> Diagnosis:
    reason, hint = cause.reason.replace("{port}", str(port)), cause.hint
    if cause.memory and served:
        reason = reason.replace("memory", "memory while answering", 1)
        hint = f"Answers need room beside the model. {hint}"
    return Diagnosis(
        reason,
        hint,
        _evidence(text, text.count("\n", 0, cause.start)),
        again=cause.again,
        gpu_fault=cause.gpu_fault,
    )


def _asked(reason: str, hint: str) -> Diagnosis:
    return Diagnosis(reason, hint, again=False, crash=False)


_OOM_HINT = "Use a smaller model or ctx_size, or stop what else uses the host's memory."
_KILLS: dict[Killer, tuple[str, str]] = {
    Killer.KERNEL: ("killed by the kernel (SIGKILL): the host's memory ran out", _OOM_HINT),
    Killer.LIKELY_KERNEL: (
        "killed by SIGKILL, most likely by the kernel: it has killed for want of memory since the start",
        f"To be sure: journalctl -k | grep -i oom. {_OOM_HINT}",
    ),
    Killer.OTHER: (
        "killed by SIGKILL from outside, not by the kernel",
        "By hand (kill -9), or by a guard such as earlyoom or systemd-oomd.",
    ),
    Killer.UNKNOWN: (
        "killed by SIGKILL, by hand or by the kernel",
        "When memory runs out, Linux kills like this: journalctl -k | grep -i oom",
    ),
}


def _killed_outright(killer: Killer) -> Diagnosis:
    return Diagnosis(*_KILLS[killer])


_SIGNAL_HINTS = {
    "SIGILL": "This llama-server is built for another CPU (its instructions are missing here): "
    "use a build for this machine.",
    "SIGSEGV": "A crash in llama-server: try another version.",
    "SIGBUS": "The model file changed or vanished while it was mapped, or its disk failed.",
    "SIGABRT": "A failed check in llama-server: see the log.",
}


def _crashed(number: int, text: str) -> Diagnosis:
    """It died of a signal of its own."""
    name = signal_name(number)
    found = _last_error(text) if name == "SIGABRT" else None
    reason = f"killed by {name}" + ("" if found is None else f": {_bare(text, found)}")
    hint = _SIGNAL_HINTS.get(name, "Something outside gputui sent it.")
    evidence = () if found is None else _evidence(text, found)
    return Diagnosis(reason, hint, evidence, again=name != "SIGILL")


_PREFIX = re.compile(r"^(?:\d+\.)+\d+\s+[EW]\s+(?:\w+\s+)?\S+:\s*")
_ERROR_LIKE = re.compile(
    r"^(?:\d+\.)+\d+ E |\berror\b|\bfail(?:ed|ure)\b|GGML_ASSERT|terminate called|abort|cannot"
    r"|out of memory|invalid|what\(\)",
    re.I,
)
_NOT_A_CAUSE = re.compile(r"exiting due to|cleaning up before exit|ptrace|See GitHub issue")


def _last_error(text: str) -> int | None:
    """The number of the last line that looks like a cause."""
    lines = text.split("\n")
    for number in range(len(lines) - 1, -1, -1):
        if _looks_like_a_cause(lines[number]):
            return number
    return None


def _looks_like_a_cause(line: str) -> bool:
    return bool(_ERROR_LIKE.search(line)) and not _NOT_A_CAUSE.search(line)


def _bare(text: str, number: int) -> str:
    """A line without llama-server's time and function name."""
    return clean_line(_PREFIX.sub("", text.split("\n")[number]), 200)


def _evidence(text: str, decisive: int) -> tuple[str, ...]:
    """The decisive line of the log, and those near it that speak of errors too, in their order."""
    lines = text.split("\n")
    near = range(max(0, decisive - _NEAR), min(len(lines), decisive + _NEAR + 1))
    chosen = [number for number in near if number == decisive or _looks_like_a_cause(lines[number])]
    chosen.sort(key=lambda number: abs(number - decisive))
    cleaned = (clean_line(lines[number], 300) for number in sorted(chosen[:_EVIDENCE_LINES]))
    return tuple(line for line in cleaned if line)
