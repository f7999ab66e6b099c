"""The watch as a whole: two clocks, several threads, stale samples, several gputuis, the user's program."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.alerts.judge import LEAST_REQUESTS, REQUESTS_SECONDS, TTFT_SECONDS, RequestWindow
from gputui.alerts.rules import rules_of
from gputui.alerts.watch import AlertWatch
from gputui.config import AlertConfig, Config, InstanceConfig, TargetsConfig, TerminalConfig
from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import GpuSample, Problem
from gputui.instances.status import State
from tests.alerts.making import gpu, identity, snapshot, status
from tests.support.hostile import HOSTILE, IDS, assert_clean
from tests.support.waiting import wait_for

HOT = AlertConfig(name="temperature", for_=2, keep_firing_for=0)
CONFIG = Config(
    instances=(
        InstanceConfig(name="coder", model="m", port=1, targets=TargetsConfig(ttft_seconds=2)),
    ),
    alerts=(HOT,),
)


class Time:
    """Both clocks of a watch."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(state: Path | None = None, config: Config = CONFIG) -> tuple[AlertWatch, Time]:
    clock = Time()
    return AlertWatch(config, rules_of(config), state, clock=clock, steady=clock), clock


def names(watch: AlertWatch) -> list[str]:
    return [alert.rule.name for alert in watch.firing]


def hot(watch: AlertWatch, clock: Time, seconds: int, celsius: float = 87) -> None:
    for _ in range(seconds):
        clock.now += 1
        watch.sampled(snapshot(clock.now, gpu(temperature_gpu=celsius)))


def test_the_time_of_gpus_is_that_of_their_samples() -> None:
    watch, _ = make()
    for at in (5.0, 6.0, 7.0):
        watch.sampled(snapshot(at, gpu(temperature_gpu=87)))
    (alert,) = watch.firing
    assert alert.began_at == 7


def test_samples_that_come_slower_count_as_known_time() -> None:
    """Though it was told only while it ran how slow they may be."""
    never = TerminalConfig(unfocused_interval=0, idle_interval=0)
    watch, _ = make(config=Config(alerts=(HOT,), terminal=never))
    slow = Config(alerts=(HOT,), terminal=TerminalConfig(idle_interval=10.0))
    watch.set_config(slow, rules_of(slow))
    assert not watch.stirring
    for at in (10.0, 20.0):
        watch.sampled(snapshot(at, gpu(temperature_gpu=40)))
    watch.sampled(snapshot(32.0, gpu(temperature_gpu=87)))
    assert watch.stirring, "pending: from here on it is looked at closely"
    assert not watch.firing
    watch.sampled(snapshot(44.0, gpu(temperature_gpu=87)))
    assert names(watch) == ["temperature"]
    assert watch.stirring, "it has begun"
    for at in range(50, 360, 10):
        watch.sampled(snapshot(float(at), gpu(temperature_gpu=87)))
    assert names(watch) == ["temperature"]
    assert not watch.stirring, "it is no news any more"
    watch.sampled(snapshot(360.0, gpu(temperature_gpu=40)))
    assert not watch.firing


def replayed(times: Sequence[float]) -> list[str]:
    watch, _ = make(config=Config())
    for at in times:
        sample = snapshot(at, gpu(temperature_gpu=87))
        watch.sampled(replace(sample, source="recorded"))
    return names(watch)


def test_a_recording_has_the_pace_of_the_machine_where_it_was_made() -> None:
    assert replayed([1000 + 30.0 * n for n in range(4)]) == ["temperature"]
    each_second = [1000.0 + n for n in range(20)]
    assert replayed([*each_second, 1050, 1051]) == [], "a gap in it is a gap still"
    assert replayed([1000, 4600, 4601]) == [], "also at its beginning"


def test_a_stale_sample_is_nothing_known_and_time_goes_on() -> None:
    watch, clock = make()
    hot(watch, clock, 3)
    assert names(watch) == ["temperature"]
    stale = snapshot(clock.now, gpu(temperature_gpu=40), problem=Problem("no answer for 9 s"))
    for _ in range(299):
        clock.now += 1
        watch.sampled(stale)
    assert names(watch) == ["temperature"], "the old values of a hung driver end nothing"
    clock.now += 1
    watch.sampled(stale)
    assert names(watch) == [], "but after five minutes it is no longer known"


def test_a_hung_driver_makes_nothing_fire() -> None:
    watch, clock = make()
    stale = snapshot(clock.now, gpu(temperature_gpu=99), problem=Problem("no answer"))
    watch.sampled(snapshot(clock.now, gpu(temperature_gpu=40)))
    for _ in range(100):
        clock.now += 1
        watch.sampled(stale)
    assert names(watch) == []


def test_a_gpu_that_is_gone_fires_no_more() -> None:
    watch, clock = make()
    hot(watch, clock, 3)
    watch.sampled(snapshot(clock.now + 1, gpu(1, temperature_gpu=40)))
    assert names(watch) == []


def test_a_ttft_counts_for_ten_minutes_and_for_the_process_that_gave_it() -> None:
    watch, clock = make()
    watch.answered("coder", 3.0)
    watch.observed([status(started_at=clock.now - 10)])
    assert names(watch) == ["ttft"]
    clock.now += 1
    watch.answered("coder", 1.0)
    watch.observed([status(started_at=900.0)])
    clock.now += 61
    for _ in range(62):
        clock.now += 1
        watch.observed([status(started_at=900.0)])
    assert names(watch) == [], "a faster answer ends it"
    watch.answered("coder", 3.0)
    watch.observed([status(started_at=clock.now + 1)])
    assert names(watch) == [], "a process that started later did not give it"
    clock.now += TTFT_SECONDS + 1
    watch.observed([status(started_at=900.0)])
    assert names(watch) == []
    watch.answered("stranger", 99.0)
    watch.observed([status("stranger"), status()])
    assert names(watch) == []


def test_the_window_of_requests_forgets_what_is_older() -> None:
    window = RequestWindow()
    assert window.take(0, 1000, 100) is None, "growth alone counts"
    assert window.take(1, 1000 + LEAST_REQUESTS - 1, 105) is None
    assert window.take(2, 1000 + LEAST_REQUESTS, 105) == (LEAST_REQUESTS, 5)
    assert window.take(REQUESTS_SECONDS, 1100, 105) == (100, 5)
    assert window.take(REQUESTS_SECONDS + 2, 1100, 105) == (90, 0)
    assert window.take(REQUESTS_SECONDS + 3, None, None) is None
    assert window.take(REQUESTS_SECONDS + 4, 20, 20) is None, "a new process begins anew"
    assert window.take(REQUESTS_SECONDS + 5, 40, 21) == (20, 1)
    assert window.take(3, 60, 41) is None, "so does a clock that went back"


@given(st.lists(st.tuples(st.floats(0, 300), st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_the_window_is_what_a_full_history_gives(steps: list[tuple[float, int, int]]) -> None:
    window, history = RequestWindow(), []
    at, total, failed = 0.0, 0, 0
    for step, requests, failures in steps:
        at, total, failed = at + step, total + requests + failures, failed + failures
        history.append((at, total, failed))
        old = [entry for entry in history if entry[0] <= at - REQUESTS_SECONDS]
        base = old[-1] if old else history[0]
        grown = (total - base[1], failed - base[2])
        assert window.take(at, total, failed) == (grown if grown[0] >= LEAST_REQUESTS else None)


def test_news_and_problems_are_given_once() -> None:
    watch, clock = make()
    hot(watch, clock, 5)
    assert [event.message for event in watch.take_news()] == [
        "GPU 0 temperature 87 °C (> 85 °C for 2 s)"
    ]
    assert watch.take_news() == ()


def test_what_is_wrong_inside_is_told_once_and_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch, clock = make()
    monkeypatch.setattr(watch, "_gpu_judge", None)
    hot(watch, clock, 5)
    (problem,) = watch.take_problems()
    assert "judging alerts failed" in problem.message
    watch.observed([status(state=State.FAILED)])
    assert names(watch) == ["instance-failed"], "the other half goes on"


def test_the_program_runs_at_the_beginning_and_the_end_off_the_callers_thread(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    write = f"import sys, json; open({str(out)!r}, 'a').write(json.dumps(sys.argv[1:]) + chr(10))"
    config = Config(alerts=(HOT,), on_alert=(sys.executable, "-c", write, "{state}", "{message}"))
    watch, clock = make(tmp_path / "state", config)
    hot(watch, clock, 4)
    hot(watch, clock, 2, celsius=50)
    lines = wait_for(lambda: out.exists() and out.read_text().count("\n") == 2 and out.read_text())
    began, ended = (json.loads(line) for line in str(lines).splitlines())
    assert began == ["firing", "GPU 0 temperature 87 °C (> 85 °C for 2 s)"]
    assert ended[0] == "resolved"
    assert ended[1].endswith(": over after 00:02")
    hot(watch, clock, 4)
    watch.close()
    assert out.read_text().count("\n") == 2, "again within ten minutes runs nothing"


def test_of_two_watches_on_one_rig_one_runs_the_program_and_both_show_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = Config(alerts=(HOT,), on_alert=("sh", "-c", f"echo x >> {out}"))
    (one, clock), (other, later) = make(tmp_path, config), make(tmp_path, config)
    hot(one, clock, 3)
    wait_for(lambda: len(one.incidents()) == 1, "the first")
    later.now = clock.now
    hot(other, later, 3)
    assert (names(one), names(other)) == (["temperature"], ["temperature"])
    wait_for(lambda: out.exists() and out.read_text() == "x\n", "the program")
    assert len(other.incidents()) == 1, "the other watches by now"
    one.close()
    (line,) = other.incidents()
    assert line.ended_at is None
    other.close()
    assert out.read_text() == "x\n"


def test_what_is_replayed_is_kept_nowhere_and_calls_nobody(tmp_path: Path) -> None:
    out = tmp_path / "out"
    watch, clock = make(None, Config(alerts=(HOT,), on_alert=("touch", str(out))))
    hot(watch, clock, 4)
    assert [line.rule for line in watch.incidents()] == ["temperature"]
    watch.close()
    assert list(tmp_path.iterdir()) == []


def test_of_simulated_gpus_nothing_is_kept_and_nobody_called_but_for_instances(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    config = Config(alerts=(HOT,), on_alert=("sh", "-c", f"echo $0 >> {out}", "{name}"))
    watch, clock = make(tmp_path / "state", config)
    for _ in range(4):
        clock.now += 1
        sample = snapshot(clock.now, gpu(temperature_gpu=87))
        watch.sampled(replace(sample, source="simulated"))
    watch.observed([status(state=State.FAILED)])
    wait_for(lambda: out.exists() and out.read_text() == "instance-failed\n", "the program")
    assert {line.rule for line in watch.incidents()} == {"temperature", "instance-failed"}
    watch.close()
    again, _ = make(tmp_path / "state")
    assert [line.rule for line in again.incidents()] == ["instance-failed"]
    again.close()
    assert out.read_text().split() in (["instance-failed"], ["instance-failed"] * 2)


def test_it_may_be_asked_from_all_threads_at_once(tmp_path: Path) -> None:
    watch, clock = make(tmp_path)
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            watch.observed([status(state=State.FAILED)])
            watch.take_news()
            watch.take_problems()
            assert len(watch.firing) <= 2
            watch.incidents(5)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(300):
        hot(watch, clock, 1, celsius=87 if n // 5 % 2 else 50)
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert watch.take_problems() == ()
    watch.close()


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=IDS)
def test_no_foreign_word_leaves_unclean(name: str, text: str, tmp_path: Path) -> None:
    watch, clock = make(tmp_path)
    for _ in range(12):
        clock.now += 1
        watch.sampled(snapshot(clock.now, gpu(problem=Problem(text))))
        watch.observed([status(state=State.FAILED, last_error=text)])
    messages = [alert.message for alert in watch.firing]
    wait_for(lambda: len(watch.incidents()) == 2, name)
    for message in (*messages, *(line.message for line in watch.incidents())):
        assert_clean(message)
        assert "\n" not in message
        assert len(message) <= 500
    watch.close()


VALUES = st.dictionaries(
    st.sampled_from(["throttle_reasons", "memory_total", *(metric.name for metric in METRICS)]),
    st.just(float("inf")) | st.floats() | st.integers(-(2**70), 2**70).map(float),
    max_size=12,
)


@given(st.lists(st.tuples(VALUES, st.booleans(), st.floats(-1e3, 1e4)), max_size=8))
def test_no_reading_and_no_order_of_times_breaks_it(
    steps: list[tuple[dict[str, float], bool, float]],
) -> None:
    watch, clock = make()
    for values, stale, passed in steps:
        clock.now += passed
        one = GpuSample(identity(0), values)
        problem = Problem("x") if stale else None
        watch.sampled(snapshot(clock.now, one, problem=problem))
        tokens = next(iter(values.values()), None)
        watch.observed([replace(status(generation_tokens_per_second=tokens, slots_busy=1))])
    assert watch.take_problems() == ()


def test_other_rules_hold_from_the_next_sample_on() -> None:
    watch, clock = make()
    hot(watch, clock, 4)
    assert names(watch) == ["temperature"]
    cooler = Config(
        alerts=(AlertConfig(name="temperature", for_=2, keep_firing_for=0, threshold=90),)
    )
    watch.set_config(cooler, rules_of(cooler))
    hot(watch, clock, 2)
    assert names(watch) == []
    watch.set_config(CONFIG, rules_of(CONFIG))
    hot(watch, clock, 4)
    (alert,) = watch.firing
    off = Config(alerts=(AlertConfig(name="temperature", enabled=False),))
    watch.set_config(off, rules_of(off))
    hot(watch, clock, 1)
    assert names(watch) == []
    assert watch.hint_of(alert.rule.name) == ""
