"""A source whose processes carry what this host knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from gputui.gpu.host_processes import HostProcesses, LocalProcess
from gputui.gpu.sample import GpuProcess, GpuSample, Snapshot


class LiveSource(Protocol):
    """A source that gives one snapshot at each call, of that moment; see Source."""

    name: str

    def sample(self) -> Snapshot:
        """All GPUs now."""
        ...

    def close(self) -> None:
        """Give back what ``sample`` opened."""
        ...


class HostedSource:
    """``source`` with the host's side of each process that is here; the others stay foreign.

    The host is looked at on the thread that samples.
    """

    live = True

    def __init__(self, source: LiveSource, host: HostProcesses) -> None:
        self.name = source.name
        self._source = source
        self._host = host

    def samples(self) -> tuple[Snapshot]:
        """One, of this moment; see Source."""
        return (self.sample(),)

    def sample(self) -> Snapshot:
        """As ``source`` says, with names and host facts; see Source."""
        snapshot = self._source.sample()
        pids = {process.pid for gpu in snapshot.gpus for process in gpu.processes}
        here = self._host.look(pids)
        gpus = tuple(_with_host(gpu, here) if gpu.processes else gpu for gpu in snapshot.gpus)
        return replace(snapshot, gpus=gpus)

    def close(self) -> None:
        """Close ``source``."""
        self._source.close()


def _with_host(gpu: GpuSample, here: Mapping[int, LocalProcess]) -> GpuSample:
    return replace(gpu, processes=tuple(_process(one, here.get(one.pid)) for one in gpu.processes))


def _process(process: GpuProcess, local: LocalProcess | None) -> GpuProcess:
    """A name that belongs to another process of the same pid goes."""
    if local is None:
        return replace(process, name="", host=None)
    return replace(process, name=local.name, host=local.host)
