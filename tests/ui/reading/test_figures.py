"""The numbers of an answer: as many as fit, the most important kept longest."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.model import Figure, Measurement
from gputui.ui.chat.reading.figures import figures, reasoning_words, thinking_seconds

FULL = Measurement(
    ttft_seconds=0.21,
    ttfo_seconds=3.31,
    elapsed_seconds=9.4,
    prompt_tokens=Figure(18, "server"),
    completion_tokens=Figure(512, "server"),
    prompt_tokens_per_second=Figure(310.5, "server"),
    generation_tokens_per_second=Figure(48.2, "server"),
    reasoning_tokens=Figure(412, "server"),
)


def test_with_room_for_all_everything_is_said_and_by_whom() -> None:
    assert figures(FULL) == (
        "server: tg 48.2 pp 310.5 tok/s · 18+512 tok | client: TTFT 0.2 s · 9.4 s"
    )


def test_what_is_not_known_is_left_out() -> None:
    assert figures(Measurement(elapsed_seconds=2.2)) == "client: 2.2 s"
    assert figures(Measurement(ttft_seconds=0.2)) == "client: TTFT 0.2 s"


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (73, "server: tg 48.2 pp 310.5 tok/s · 18+512 tok | client: TTFT 0.2 s · 9.4 s"),
        (72, "server: tg 48.2 pp 310.5 tok/s | client: TTFT 0.2 s · 9.4 s"),
        (57, "server: tg 48.2 tok/s | client: TTFT 0.2 s · 9.4 s"),
        (45, "server: tg 48.2 tok/s | client: TTFT 0.2 s"),
        (25, "server: tg 48.2 tok/s"),
        (15, "tg 48.2 tok/s"),
    ],
)
def test_the_generation_speed_is_kept_longest(width: int, shown: str) -> None:
    assert figures(FULL, width) == shown


def test_two_answers_are_told_in_the_same_numbers_however_long_these_are() -> None:
    fast = Measurement(
        ttft_seconds=0.21,
        elapsed_seconds=12.7,
        prompt_tokens=Figure(61, "server"),
        completion_tokens=Figure(8, "server"),
        prompt_tokens_per_second=Figure(31.5, "server"),
        generation_tokens_per_second=Figure(4.2, "server"),
    )
    for width in range(20, 100):
        one, other = (re.sub(r"[\d.]+|\bms\b", "", figures(each, width)) for each in (FULL, fast))
        assert one == other, width


@given(
    st.integers(0, 100),
    st.builds(
        Measurement,
        ttft_seconds=st.none() | st.floats(0, 1e4),
        ttfo_seconds=st.none() | st.floats(0, 1e4),
        elapsed_seconds=st.none() | st.floats(0, 1e4),
        completion_tokens=st.none() | st.builds(Figure, st.integers(0, 10**7), st.just("client")),
        generation_tokens_per_second=st.none()
        | st.builds(Figure, st.floats(0.1, 1e5), st.sampled_from(["server", "client"])),
    ),
)
def test_no_line_is_wider_than_its_pane(width: int, measurement: Measurement) -> None:
    assert len(figures(measurement, width)) <= width


def test_reasoning_is_told_in_tokens_and_whose_count_it_is() -> None:
    assert reasoning_words(FULL, "a b c") == "reasoning 412 tokens, 3.1 s · TTFO 3.3 s"
    ours = Measurement(ttft_seconds=1, elapsed_seconds=4, reasoning_tokens=Figure(7, "client"))
    assert reasoning_words(ours, "a b c") == "reasoning 7 tokens (client), 3.0 s"
    assert reasoning_words(Measurement(), "a b c") == "reasoning 3 words, –"
    assert thinking_seconds(ours) == 3, "it is still thinking, or was cut off there"
