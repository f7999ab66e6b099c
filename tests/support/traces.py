"""Snapshots of any shape, for tests of traces."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from hypothesis import strategies as st

from gputui.errors import GputuiError
from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.sample import GpuProcess, GpuSample, Problem, ProcessType, Snapshot
from gputui.gpu.trace_reader import read_trace
from gputui.host import Disk, HostSample
from gputui.identity import GpuIdentity

word = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), max_size=12)
thousandths = st.integers(-(10**12), 10**12).map(lambda number: number / 1000)
sizes = st.integers(0, 2**50)
problems = st.none() | st.builds(Problem, word, word)
processes = st.builds(
    GpuProcess,
    st.integers(0, 2**22),
    word,
    st.none() | sizes,
    st.sampled_from(ProcessType),
    st.none() | st.integers(0, 100).map(float),
)
hosts = st.none() | st.builds(
    HostSample,
    st.none() | thousandths,
    *[st.none() | sizes] * 4,
    st.none() | st.tuples(*[thousandths] * 3),
    st.lists(st.builds(Disk, word, sizes, sizes), max_size=2).map(tuple),
)


@st.composite
def gpus(draw: st.DrawFn, index: int) -> GpuSample:
    known = draw(st.dictionaries(st.sampled_from(sorted(METRICS_BY_NAME)), thousandths))
    return GpuSample(
        GpuIdentity(index, f"GPU-{index}", draw(word), draw(word), draw(st.booleans())),
        known,
        {name: draw(word) for name in METRICS_BY_NAME if name not in known},
        tuple(draw(st.lists(processes, max_size=3))),
        draw(problems),
        draw(st.booleans()),
        draw(st.none() | word),
    )


@st.composite
def recordings(draw: st.DrawFn) -> list[Snapshot]:
    """Some of whose snapshots are much like the one before, as real ones are."""
    source, snapshots = draw(word), list[Snapshot]()
    for milliseconds in draw(st.lists(st.integers(0, 4 * 10**12), min_size=1, max_size=5)):
        if snapshots and draw(st.booleans()):
            same = snapshots[-1].gpus
        else:
            same = tuple(draw(gpus(index)) for index in range(draw(st.integers(0, 3))))
        snapshots.append(
            Snapshot(
                source,
                milliseconds / 1000,
                same,
                draw(st.none() | word),
                draw(problems),
                draw(st.none() | word),
                draw(hosts),
            )
        )
    return snapshots


def snapshot(taken_at: float, power: float = 1.0, source: str = "nvml") -> Snapshot:
    """One GPU that knows one thing."""
    missing = {name: "not recorded" for name in METRICS_BY_NAME if name != "power_draw"}
    names = GpuIdentity(0, "GPU-0", "a GPU", "bus")
    return Snapshot(source, taken_at, (GpuSample(names, {"power_draw": power}, missing),))


def write_lines(path: Path, *lines: object, packed: bool = False) -> None:
    """A trace by hand: objects as JSON, bytes as they are."""
    whole = b"".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
        for line in ({"gputui_trace": 1}, *lines)
    )
    path.write_bytes(gzip.compress(whole) if packed else whole)


def read_up_to_damage(path: Path) -> tuple[list[Snapshot], str]:
    """The snapshots before the damage, and what is said of it ("" where there is none)."""
    read: list[Snapshot] = []
    try:
        read += read_trace(path)  # += keeps what came before an error
    except GputuiError as error:
        return read, error.message
    return read, ""
