"""How far a load is: an estimate from bytes and from the last load."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.identity import GpuMemory
from gputui.instances import loading
from gputui.instances.loading import Durations, GpuBytes, Loaded, estimate, load_note, seconds_left
from gputui.instances.status import State, status_json
from gputui.processes import read_bytes
from tests.instances.conftest import Rig, started, status_of, until, until_so

amounts = st.none() | st.integers(0, 2**45)
times = st.floats(-1e6, 1e6)


@given(amounts, amounts, amounts, amounts, times, st.none() | st.floats(0, 1e6))
def test_an_estimate_is_never_all_and_is_none_only_where_nothing_is_known(
    resident: int | None,
    read: int | None,
    on_gpus: int | None,
    size: int | None,
    elapsed: float,
    last: float | None,
) -> None:
    done = estimate(Loaded(resident, read, on_gpus), size, elapsed, last)
    witness = bool(last) or (bool(size) and (resident, read, on_gpus) != (None, None, None))
    assert (done is not None) == witness
    assert done is None or 0 <= done <= 0.99


@pytest.mark.parametrize(
    ("loaded", "elapsed", "last", "done"),
    [
        (Loaded(resident=43), 0, None, 0.43),
        (Loaded(resident=5, read=43), 0, None, 0.43),  # --no-mmap, direct I/O
        (Loaded(resident=200), 0, None, 0.99),
        (Loaded(resident=0, on_gpus=100), 0, None, 0.1),  # taken before it is filled
        (Loaded(resident=100, on_gpus=0), 0, None, 0.9),  # read, and not on the GPU yet
        (Loaded(on_gpus=50), 0, None, 0.5),
        (Loaded(resident=60), 4, 10, 0.5),
        (Loaded(), 4, 10, 0.4),
        (Loaded(), 400, 10, 0.99),
    ],
)
def test_estimates(loaded: Loaded, elapsed: float, last: float | None, done: float) -> None:
    assert estimate(loaded, 100, elapsed, last) == pytest.approx(done)


def test_the_time_that_is_left() -> None:
    assert (seconds_left(4, None), load_note(4, None)) == (None, "")
    assert seconds_left(4, 14) == 10
    assert load_note(4, 14) == "about 10 s left, by its last load"
    assert seconds_left(31, 14) == 0
    assert load_note(31, 14) == "has loaded for 31 s: longer than last time (14 s)"


async def test_a_load_is_estimated_and_ends_in_ready_with_its_duration_remembered(rig: Rig) -> None:
    ends = rig.folder / "ends"
    rig.add("slow", {"load_file": str(ends)})
    session = rig.session()
    for known in (False, True):
        ends.unlink(missing_ok=True)
        await session.start("slow")
        seen, loads = [], []
        while (status := await status_of(session, "slow")).state is not State.READY:
            seen.append(status)
            loads = [status for status in seen if status.state is State.LOADING]
            if len(loads) >= 3:
                ends.touch()
            await asyncio.sleep(0.02)
        progress = [status.load_progress for status in seen]
        assert None not in progress  # its bytes, at least
        assert progress == sorted(progress, key=float)  # type: ignore[arg-type]
        assert all(0 <= part <= 0.99 for part in progress if part is not None)
        assert [status.load_seconds_left is not None for status in loads] == [known] * len(loads)
        words = ("by its last load", "longer than last time")
        assert [any(w in one.note for w in words) for one in loads] == [known] * len(loads)
        assert (status.load_progress, status.load_seconds_left) == (None, None)
        await session.stop("slow")


async def test_one_that_takes_longer_than_the_last_says_so(rig: Rig) -> None:
    ends = rig.folder / "ends"
    slow = rig.add("slow", {"load_file": str(ends)})
    durations = Durations(rig.state / "loads.json")
    durations.put(Path(slow.model), 0.2)
    session = rig.session()
    await session.start("slow")
    status = await until_so(
        session,
        "slow",
        lambda status: status.state is State.LOADING and status.load_seconds_left == 0,
    )
    assert "longer than last time (0.2 s)" in status.note
    (told,) = status_json((status,))["instances"]
    assert told["load_progress"] == status.load_progress
    assert told["load_seconds_left"] == 0
    ends.touch()
    await until(session, "slow", State.READY)
    await session.stop("slow")


def test_sessions_do_not_forget_each_others_durations(tmp_path: Path) -> None:
    one, two = Durations(tmp_path / "loads"), Durations(tmp_path / "loads")
    assert one.get(Path("/a")) is two.get(Path("/b")) is None
    one.put(Path("/a"), 1.0)
    two.put(Path("/b"), 2.0)
    new = Durations(tmp_path / "loads")
    assert (new.get(Path("/a")), new.get(Path("/b"))) == (1.0, 2.0)


def test_bytes_that_are_read_count(tmp_path: Path) -> None:
    import os

    file = tmp_path / "file"
    file.write_bytes(bytes(3_000_000))
    before = read_bytes(os.getpid())
    file.read_bytes()
    after = read_bytes(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before >= 3_000_000
    assert read_bytes(2**22 + 1) is None


async def test_what_a_process_holds_on_its_gpus_and_a_driver_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "_GPU_SECONDS", 20.0)
    free = threading.Event()
    free.set()
    asked = []

    def read() -> Mapping[str, GpuMemory]:
        asked.append(time.monotonic())
        free.wait(60)
        return {
            "A": GpuMemory(1.0, 100, 90, {7: 40.0, 8: 1.0}),
            "B": GpuMemory(1.0, 100, 90, {7: 2.0, 9: None}),
            "C": GpuMemory(1.0, 100, 90),
        }

    held = GpuBytes(read)
    assert await held.held(7, ()) is None
    assert not asked
    assert await held.held(7, ("A", "B", "C")) == 42
    assert await held.held(7, ("B",)) == 2
    assert await held.held(9, ("A", "B")) is None
    assert len(asked) == 1
    monkeypatch.setattr(loading, "_GPU_SECONDS", 0.05)
    await asyncio.sleep(0.1)  # what is known is old by now
    free.clear()
    for _ in range(3):
        assert await held.held(8, ("A",)) == 1  # what was known stays, and nobody waits long
    assert len(asked) == 2
    free.set()
    held.close()


async def test_a_load_in_which_nothing_is_known_has_no_bar(rig: Rig) -> None:
    slow = rig.add("slow", {"load_seconds": 600})
    session = rig.session()
    await session.start("slow")
    Path(slow.model).unlink()  # noqa: ASYNC240 - its size is not known any more
    status = await until(session, "slow", State.LOADING)
    assert (status.load_progress, status.load_seconds_left) == (None, None)
    await session.stop("slow")


async def test_ready_has_no_estimate(rig: Rig) -> None:
    rig.add("one")
    status = await started(rig.session(), "one")
    assert status.load_progress is None
    await rig.sessions[0].stop("one")
