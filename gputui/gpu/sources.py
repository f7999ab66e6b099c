"""Which source a word or a path names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gputui.errors import GputuiError
from gputui.gpu.host_processes import HostProcesses, nvml_pid_is_local
from gputui.gpu.hosted import HostedSource
from gputui.gpu.source import Source
from gputui.text import clean_line, nearest

WORDS = ("auto", "nvml", "simulated")
"""What ``--source`` takes besides the path of a trace."""


def open_source(
    spec: str,
    pids_by_uuid: Callable[[], Mapping[str, Sequence[int]]],
    speed: float | None = None,
) -> Source:
    """The source that ``spec`` names: ``auto`` and ``nvml`` the driver, ``simulated``, or a trace.

    ``pids_by_uuid`` gives the processes pinned to each GPU, for the simulation; ``speed`` is that of a
    trace, None as recorded. Asks no driver: that is for the first ``samples``. Raises GputuiError for
    a trace that cannot be read, or a speed for what is none.
    """
    if spec in WORDS and speed is not None:
        raise GputuiError(
            f"--speed is for recordings, and the source is {spec}",
            "Name one with --source FILE; gputui record FILE makes it.",
        )
    if spec in ("auto", "nvml"):
        from gputui.gpu.nvml import NvmlSource

        return HostedSource(NvmlSource(), HostProcesses(nvml_pid_is_local))
    if spec == "simulated":
        from gputui.gpu.simulated import SimulatedSource

        return HostedSource(SimulatedSource(pids_by_uuid), HostProcesses())
    path = Path(spec).expanduser()
    if not path.is_file():
        raise GputuiError(f'source "{clean_line(spec)}": {_why(path)}', _hint(spec))
    from gputui.gpu.recorded import RecordedSource

    return RecordedSource(path, speed=1.0 if speed is None else speed)


def _why(path: Path) -> str:
    return "not a file" if path.exists() else "no such file"


def _hint(spec: str) -> str:
    near = nearest(spec.lower(), WORDS)
    question = f'Did you mean "{near}"? ' if near else ""
    return f"{question}A source is auto, nvml, simulated, or the path of a recorded trace."
