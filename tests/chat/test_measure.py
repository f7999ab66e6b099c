"""The stopwatch: what it takes from the server, what from its own clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.answering.measure import Stopwatch
from gputui.chat.answering.wire import PromptProgress, RequestSent, TextDelta, Timings, Usage
from gputui.chat.model import Figure


def watch(*events: tuple[float, object]) -> Stopwatch:
    stopwatch = Stopwatch()
    for at, event in events:
        stopwatch.take(at, event)  # type: ignore[arg-type]
    return stopwatch


def test_before_the_request_nothing_is_known() -> None:
    measurement = Stopwatch().measurement(5)
    assert measurement.elapsed_seconds is None
    assert measurement.ttft_seconds is None


def test_ttft_counts_reasoning_and_ttfo_does_not() -> None:
    stopwatch = watch(
        (10, RequestSent()), (12, TextDelta("r", reasoning=True)), (15, TextDelta("a"))
    )
    measurement = stopwatch.measurement(16)
    assert measurement.ttft_seconds == 2
    assert measurement.ttfo_seconds == 5
    assert measurement.elapsed_seconds == 6


@pytest.mark.parametrize(
    ("said", "counted"),
    [(412, Figure(412, "server")), (None, Figure(2, "client")), (0, Figure(2, "client"))],
)
def test_reasoning_tokens_are_the_servers_count_else_the_pieces(
    said: int | None, counted: Figure
) -> None:
    pieces = [(at, TextDelta("r", reasoning=True)) for at in (1, 2)]
    usage = Usage(completion_tokens=500, reasoning_tokens=said)
    stopwatch = watch((0, RequestSent()), *pieces, (3, TextDelta("a")), (4, usage))
    assert stopwatch.measurement(4).reasoning_tokens == counted


def test_without_reasoning_there_are_no_tokens_of_it() -> None:
    usage = Usage(completion_tokens=5, reasoning_tokens=0)
    stopwatch = watch((0, RequestSent()), (1, TextDelta("a")), (2, usage))
    assert stopwatch.measurement(2).reasoning_tokens is None


def test_a_request_sent_again_starts_the_clock_again() -> None:
    measurement = watch((10, RequestSent()), (11, RequestSent()), (12, TextDelta("a")))
    assert measurement.measurement(12).ttft_seconds == 1


def test_the_servers_timings_come_first() -> None:
    timings = Timings(5, 37, 600.0, 61.6, 45, 1000.0, 45.0)
    measurement = watch(
        (0, RequestSent()), (1, TextDelta("a")), (3, TextDelta("b")), (3, timings)
    ).measurement(4)
    assert measurement.generation_tokens_per_second == Figure(45.0, "server")
    assert measurement.prompt_tokens_per_second == Figure(61.6, "server")
    assert measurement.prompt_tokens == Figure(42, "server")
    assert measurement.completion_tokens == Figure(45, "server")


@pytest.mark.parametrize(("cached", "shown"), [(None, True), (41, True), (42, False), (132, False)])
def test_a_prompt_that_came_from_the_cache_has_no_speed(cached: int | None, shown: bool) -> None:
    """The server times only what it processes: 41 of 173 tokens say nothing of its speed."""
    timings = Timings(cache_n=cached, prompt_n=41, prompt_ms=640.0, prompt_per_second=64.1)
    measurement = watch((0, RequestSent()), (1, timings)).measurement(2)
    assert (measurement.prompt_tokens_per_second is not None) is shown
    assert measurement.prompt_tokens == Figure(41 + (cached or 0), "server")


def test_without_timings_our_clock_says_so() -> None:
    events = [(1 + n * 0.1, TextDelta("x")) for n in range(11)]
    measurement = watch((0, RequestSent()), *events).measurement(9)
    figure = measurement.generation_tokens_per_second
    assert figure is not None
    assert figure.origin == "client"
    assert figure.value == pytest.approx(10)
    assert measurement.completion_tokens == Figure(11, "client")
    assert measurement.prompt_tokens_per_second is None


def test_usage_corrects_the_count_of_pieces() -> None:
    measurement = watch(
        (0, RequestSent()), (1, TextDelta("a b c")), (3, TextDelta("d e f")), (3, Usage(9, 7))
    ).measurement(3)
    assert measurement.completion_tokens == Figure(7, "server")
    assert measurement.generation_tokens_per_second == Figure(3, "client")
    assert measurement.prompt_tokens == Figure(9, "server")


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan"), None])
def test_a_speed_that_cannot_be_is_not_shown(speed: float | None) -> None:
    timings = Timings(
        prompt_n=3, prompt_per_second=speed, predicted_n=9, predicted_per_second=speed
    )
    measurement = watch((0, RequestSent()), (0, timings)).measurement(1)
    assert measurement.prompt_tokens_per_second is None
    assert measurement.generation_tokens_per_second is None


def test_one_token_gives_no_speed() -> None:
    timings = Timings(predicted_n=1, predicted_ms=0.001, predicted_per_second=1e6)
    stopwatch = watch((0, RequestSent()), (1, TextDelta("a")), (1, timings))
    assert stopwatch.measurement(2).generation_tokens_per_second is None


def test_a_burst_gives_no_speed() -> None:
    stopwatch = watch(
        (0, RequestSent()), (1, TextDelta("a")), (1.0001, TextDelta("b")), (1.0001, Usage(9, 7))
    )
    assert stopwatch.measurement(2).generation_tokens_per_second is None


@pytest.mark.parametrize(
    ("pieces", "said", "known"), [(40, 9, False), (9, 40, False), (9, 30, True)]
)
def test_a_count_that_contradicts_the_pieces_gives_no_speed(
    pieces: int, said: int, known: bool
) -> None:
    events = [(1 + n * 0.1, TextDelta("x")) for n in range(pieces)]
    stopwatch = watch((0, RequestSent()), *events, (9, Usage(9, said)))
    assert (stopwatch.measurement(9).generation_tokens_per_second is not None) is known


def test_progress_is_shown_until_the_first_token() -> None:
    stopwatch = watch((0, RequestSent()), (1, PromptProgress(total=200, cache=50, processed=100)))
    assert stopwatch.measurement(1).prompt_progress == 0.5
    stopwatch.take(2, TextDelta("a"))
    assert stopwatch.measurement(2).prompt_progress is None


def test_time_stands_still_after_the_end() -> None:
    stopwatch = watch((0, RequestSent()))
    stopwatch.finish(3)
    stopwatch.finish(4)
    assert stopwatch.measurement(9).elapsed_seconds == 3


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.one_of(
                st.builds(TextDelta, st.just("x"), st.booleans()),
                st.builds(Usage, st.none() | st.integers(0, 99), st.none() | st.integers(0, 99)),
                st.builds(PromptProgress, *[st.none() | st.integers(-5, 99)] * 3),
                st.builds(
                    Timings,
                    *[st.none() | st.integers(-5, 99), st.none() | st.integers(-5, 99)],
                    *[st.none() | st.floats(), st.none() | st.floats()],
                    *[st.none() | st.integers(-5, 99), st.none() | st.floats()],
                    st.none() | st.floats(),
                ),
            ),
        ),
        max_size=20,
    )
)
def test_whatever_arrives_the_numbers_are_possible(steps: list[tuple[float, object]]) -> None:
    stopwatch, now = Stopwatch(), 100.0
    stopwatch.take(now, RequestSent())
    for pause, event in steps:
        now += pause
        stopwatch.take(now, event)  # type: ignore[arg-type]
        measurement = stopwatch.measurement(now)
        for figure in (
            measurement.generation_tokens_per_second,
            measurement.prompt_tokens_per_second,
        ):
            assert figure is None or 0 < figure.value < float("inf")
        assert measurement.prompt_progress is None or 0 <= measurement.prompt_progress <= 1
        assert measurement.ttft_seconds is None or measurement.ttft_seconds >= 0
