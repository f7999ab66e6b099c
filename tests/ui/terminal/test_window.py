"""The window against simulated lines: any rate, any way, answers lost, late or none."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.ui.terminal.window import (
    DOUBTFUL,
    FIRST_PATIENCE_SECONDS,
    LEAST,
    MARKS,
    MOST,
    QUEUE_SECONDS,
    UNKNOWN,
    Window,
)


@dataclass
class SimulatedLine:
    """A line of ``rate`` bytes a second and a way of ``delay`` seconds there and back."""

    rate: float
    delay: float
    window: Window = field(default_factory=Window)
    now: float = 0.0
    drawn: int = 0
    free_at: float = 0.0
    most_waiting: float = 0.0
    lose: int = 0
    answers: list[tuple[float, int, int, int]] = field(default_factory=list)
    unsent: int = 0
    _order: int = 0

    def run(self, until: float, offered: float = 1e9) -> None:
        """Send all that the window lets, of ``offered`` bytes a second, until then."""
        while self.now < until:
            self._answer()
            self.unsent = int(offered * 0.005)
            self._send()
            self.now += 0.005

    def begin(self) -> None:
        """Modes are set, a question is asked, more modes are set; some time later a picture comes."""
        for count in (150, 64):
            self.unsent = count
            self._send()
            self.now += 0.001
        self.run(0.5 + 2 * self.delay, offered=0)

    def send(self, count: int) -> None:
        self.free_at = max(self.free_at, self.now) + count / self.rate
        self.drawn += count

    def _send(self) -> None:
        gives_up_at = self.window.gives_up_at()
        if gives_up_at is not None and self.now >= gives_up_at:
            self.window.give_up()
        while (room := self.window.room()) and self.unsent:
            if self.window.silent:
                return
            count = min(room, self.unsent)
            self.unsent -= count
            self.send(count)
            self.window.sent(count)
            self._ask()
        self._ask()
        self.most_waiting = max(self.most_waiting, self.free_at - self.now)

    def _ask(self) -> None:
        if not self.window.question_is_due():
            return
        text = self.window.question(self.now)
        self.send(len(text))
        row, column = 9, 9
        if "H" in text:
            row, column = (int(n) for n in text.split("[", 1)[1].split("H")[0].split(";"))
        if self.lose:
            self.lose -= 1
            return
        self._order += 1
        heapq.heappush(self.answers, (self.free_at + self.delay, self._order, row, column))

    def _answer(self) -> None:
        while self.answers and self.answers[0][0] <= self.now:
            at, _, row, column = heapq.heappop(self.answers)
            assert self.window.answered(max(at, self.now - 0.005), row, column)


@given(st.floats(1000, 1e7), st.floats(0, 0.5))
@settings(max_examples=12, deadline=None)
def test_a_full_line_is_kept_full_and_its_queue_short(rate: float, delay: float) -> None:
    line = SimulatedLine(rate, delay)
    line.begin()
    line.run(4.0)
    line.most_waiting, drawn = 0.0, line.drawn
    line.run(20.0)
    assert line.most_waiting < 2 * QUEUE_SECONDS + 1.3 * LEAST / rate + 0.01
    carried = (line.drawn - drawn) / 16
    assert carried > 0.3 * min(rate, MOST / (delay + 0.01))


@given(st.floats(1000, 4000), st.floats(0, 0.3))
@settings(max_examples=20, deadline=None)
def test_a_slow_line_is_known_from_the_first_answers(rate: float, delay: float) -> None:
    line = SimulatedLine(rate, delay)
    line.begin()
    line.unsent = 20_000
    line._send()
    assert line.window.under_way <= max(LEAST, 0.2 * rate)


def test_a_quiet_screen_asks_once_in_a_kilobyte() -> None:
    line = SimulatedLine(1e6, 0.01)
    line.run(0.1, offered=0)
    asked = len(line.answers) + line.window._answers
    for second in range(1, 61):
        line.unsent = 600
        line._send()
        line.run(second, offered=0)
    assert line.window._answers - asked <= 60 * 600 / 1024


def test_a_terminal_that_never_answers_is_asked_once_and_sent_all() -> None:
    window = Window()
    assert window.question_is_due()
    window.question(0.0)
    assert not window.question_is_due()
    assert window.room() >= UNKNOWN // 2  # a first picture does not wait
    assert window.gives_up_at() == FIRST_PATIENCE_SECONDS
    window.give_up()
    for _ in range(100):
        assert window.room() > 0
        window.sent(window.room())
        assert not window.question_is_due()
    assert not window.waits


def test_a_terminal_that_is_known_to_answer_nothing_is_not_asked() -> None:
    window = Window(silent=True)
    assert window.room() == MOST
    assert not window.question_is_due()


def test_a_first_answer_that_comes_after_all_begins_the_control() -> None:
    window = Window()
    window.question(0.0)
    window.give_up()
    window.sent(100_000)
    assert window.answered(7.0, 1, 1)
    assert not window.silent
    window.sent(200)
    assert window.question_is_due()
    text = window.question(7.0)
    assert text.startswith("\x1b7\x1b[2;")
    assert not window.answered(7.1, 40, 40)
    assert window.answered(7.2, 2, int(text.split(";")[1].split("H")[0]))
    assert window.size == LEAST


@given(st.integers(1, 30), st.floats(2000, 1e6), st.floats(0, 0.2))
@settings(max_examples=12, deadline=None)
def test_lost_answers_never_stop_the_screen(lost: int, rate: float, delay: float) -> None:
    line = SimulatedLine(rate, delay)
    line.begin()
    line.run(3.0)
    line.lose = lost
    before = line.drawn
    line.run(line.now + 2.5 * (lost + 1))
    assert line.drawn > before
    line.lose = 0
    line.run(line.now + 5)
    before = line.drawn
    line.run(line.now + 10)
    assert line.drawn - before > 5 * min(rate, LEAST / (delay + 0.01))


def test_late_answers_are_not_taken_for_the_newer_ones() -> None:
    window = Window()
    window.question(0.0)
    assert window.answered(0.01, 5, 5)
    for _ in range(3):
        window.sent(1024)
        window.question(1.0)
    window.give_up()
    assert window.size == DOUBTFUL
    window.sent(10)
    mark = int(window.question(4.0).split(";")[1].split("H")[0])
    for _ in range(3):
        assert window.answered(4.5, 5, 5)  # taken, and nothing follows from it
    assert window.under_way == 10
    assert window.answered(4.6, 2, mark)
    assert window.under_way == 0
    assert not window.answered(4.7, 5, 5)  # nobody asked: it is the application's


def test_a_longer_way_is_learnt_and_not_taken_for_a_queue() -> None:
    """A laptop changes from the cable to the phone: the smallest delay of before never comes again."""
    line = SimulatedLine(1e6, 0.01)
    line.run(5.0)
    line.delay = 0.4
    line.run(25.0)
    before = line.drawn
    line.run(30.0)
    assert (line.drawn - before) / 5 > 10 * LEAST / 0.4


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "ask", "answer", "late", "give up", "wait"]),
            st.floats(0, 3),
        ),
        max_size=60,
    )
)
@settings(deadline=None)
def test_any_order_of_events_leaves_it_in_bounds(events: list[tuple[str, float]]) -> None:
    window, now = Window(), 0.0
    for event, number in events:
        now += number
        match event:
            case "send" if room := window.room():
                window.sent(max(1, int(room * number / 3)))
            case "ask" if window.question_is_due():
                window.question(now)
            case "answer" | "late":
                window.answered(now, 2, int(number * 7) % MARKS + 1)
            case "give up" if window.waits:
                window.give_up()
        assert LEAST <= window.size <= MOST
        assert window.under_way >= 0
        assert 0 <= window.room() <= MOST
        # It never waits for something that nothing will bring.
        assert window.room() or window.waits or window.question_is_due()
