"""A day of two GPUs, recorded and replayed at speed: size on disk, samples a second, memory.

    python -m tests.bench.replay [--hours 24] [--interval 1] [--keep FILE]

The trace is the simulation under a load that wanders, with a busy process that comes and goes, host
readings, and everything that ``gputui record`` writes, flushed every 5 s of the recording as it does.
The replay goes through the sampler and the history, as the dashboard's does, at 3600 times the speed
and then as fast as it can be read. Memory is the process's own peak, less what it had before.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gputui.gpu.recorded import EndOfRecording, RecordedSource
from gputui.gpu.sample import GpuSample, Snapshot
from gputui.gpu.sampler import Sampler
from gputui.gpu.simulated import SIMULATED_GPUS, ProcessUse, SimulatedSource
from gputui.gpu.trace_reader import read_trace
from gputui.gpu.trace_writer import TraceWriter
from gputui.host import Disk, HostSample

CORES = 8
MIB = 2**20
BEGAN = 1.77e9


class Rig:
    """Two GPUs, a process on each, and a host, over simulated time."""

    def __init__(self, interval: float) -> None:
        self._chance = random.Random(1)  # noqa: S311
        self._interval = interval
        self.now = 0.0
        self._busy = {11: 60.0, 12: 30.0}
        self._cpu = dict.fromkeys(self._busy, 0.0)
        pins = {gpu.uuid: [pid] for gpu, pid in zip(SIMULATED_GPUS, self._busy, strict=True)}
        self._source = SimulatedSource(
            lambda: pins, clock=lambda: self.now, use=self._use, cores=CORES
        )

    def snapshots(self, hours: float) -> Iterator[Snapshot]:
        """One every interval."""
        for _ in range(round(hours * 3600 / self._interval)):
            self.now += self._interval
            for pid in self._busy:
                self._busy[pid] = min(100.0, max(0.0, self._busy[pid] + self._chance.gauss(0, 9)))
                self._cpu[pid] += self._interval * CORES * self._busy[pid] / 100
            late = self._chance.uniform(0, 0.002)
            snapshot = replace(self._source.sample(), taken_at=BEGAN + self.now + late)
            yield replace(
                snapshot, gpus=tuple(map(self._utilized, snapshot.gpus)), host=self._host()
            )

    def _use(self, pid: int) -> ProcessUse | None:
        if pid == 12 and self.now % 1800 > 1500:
            return None  # it is away for five minutes of each half hour
        return ProcessUse(self._cpu[pid], 6000 * MIB + int(self.now) % 7 * MIB, f"server-{pid}")

    def _utilized(self, gpu: GpuSample) -> GpuSample:
        busy = gpu.values["utilization_gpu"]
        processes = tuple(replace(p, utilization_sm=busy) for p in gpu.processes)
        return replace(gpu, processes=processes)

    def _host(self) -> HostSample:
        used = 40 * 2**30 + self._chance.randrange(2**28)
        load = round(sum(self._busy.values()) / 25, 2)
        disk = Disk("/models", 500 * 2**30 - int(self.now) // 60 * 4096, 2**41)
        cpu = round(self._chance.uniform(5, 60), 1)
        return HostSample(cpu, used, 2**37, 0, 2**33, (load, load, load), (disk,))


def write(path: Path, hours: float, interval: float) -> None:
    """The trace, flushed as often as a recording is."""
    rig = Rig(interval)
    began = time.perf_counter()
    with TraceWriter(path, "simulated", force=True, clock=lambda: rig.now) as writer:
        for snapshot in rig.snapshots(hours):
            writer.write(snapshot)
    took = time.perf_counter() - began
    size = path.stat().st_size
    print(
        f"{hours:g} h at {interval:g} s, {len(SIMULATED_GPUS)} GPUs: {writer.count} samples, "
        f"{size / MIB:.2f} MiB, {size / writer.count:.0f} bytes each; "
        f"written at {writer.count / took:.0f}/s with the simulation"
    )


def read(path: Path) -> None:
    """Reading alone."""
    before, began = peak(), time.perf_counter()
    count = sum(1 for _ in read_trace(path))
    took = time.perf_counter() - began
    print(f"read: {count} samples, {count / took:.0f}/s, {peak() - before:.1f} MiB")


def replay(path: Path, speed: float) -> None:
    """Through sampler and history."""
    over, told = threading.Event(), [0]

    def listener(snapshot: Snapshot) -> None:
        if isinstance(snapshot.problem, EndOfRecording):
            over.set()
        else:
            told[0] += 1

    sampler = Sampler(RecordedSource(path, speed=speed), 1.0, listener)
    before, began, cpu = peak(), time.perf_counter(), time.process_time()
    sampler.start()
    over.wait()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    sampler.stop(wait=5)
    print(
        f"replayed at {speed:g}: {told[0]} samples told, {sampler.history.ticks} in the history, "
        f"{took:.1f} s, {told[0] / took:.0f}/s, CPU {100 * cpu / took:.0f} %, "
        f"{peak() - before:.1f} MiB"
    )


def peak() -> float:
    """The most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Write, read, replay; each reading in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--keep", type=Path, help="write the trace there, and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder) / "day.trace.gz"
        write(path, options.hours, options.interval)
        for work, arguments in ((read, ()), (replay, (3600.0,)), (replay, (1e6,))):
            process = multiprocessing.get_context("spawn").Process(
                target=work, args=(path, *arguments)
            )
            process.start()
            process.join()


if __name__ == "__main__":
    main()
