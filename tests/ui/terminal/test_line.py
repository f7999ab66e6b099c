"""The thread that sends, on a true pseudo-terminal whose other side is the test."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator

import pytest

from gputui.ui.terminal.line import Line
from gputui.ui.terminal.picture import BEGIN_FRAME, END_FRAME, Picture
from gputui.ui.terminal.window import QUESTION, UNANSWERED
from tests.support.pty_terminal import Emulator
from tests.support.waiting import wait_for

COLUMNS, ROWS = 80, 24
ENTER = "\x1b[?1049h"


class Far:
    """A line, and what comes out at the terminal's end of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.master, self._slave = os.openpty()
        self.line = Line(self._slave, Picture(COLUMNS, ROWS), clock=clock)
        self.line.start()
        self.came = b""
        self.emulator = Emulator((COLUMNS, ROWS))

    def read(self) -> bytes:
        """What is there now."""
        new = b""
        while select.select([self.master], [], [], 0)[0]:
            new += os.read(self.master, 1 << 16)
        self.came += new
        self.emulator.feed(new)
        return new

    def until_came(self, text: str) -> None:
        def came() -> bool:
            self.read()
            return text.encode() in self.came

        wait_for(came, text)

    def answer(self, read: bytes) -> None:
        """Say that what was asked in it is drawn."""
        for _ in range(read.count(QUESTION.encode())):
            self.line.answered(5, 5)

    def hang_up(self) -> None:
        os.close(self.master)
        os.close(self._slave)
        self.master = self._slave = -1

    def close(self) -> None:
        self.line.close(0.0)
        for descriptor in {self.master, self._slave} - {-1}:
            os.close(descriptor)


@pytest.fixture
def far() -> Iterator[Far]:
    made = Far()
    try:
        yield made
    finally:
        made.close()


def frame(number: int) -> str:
    """A whole screen that is another one for each number."""
    letter = chr(ord("a") + number % 26)
    rows = (f"\x1b[{row};1H" + f"{number:07}{letter}" * 10 for row in range(1, ROWS + 1))
    return "".join(rows)


def test_frames_are_dropped_and_no_write_waits() -> None:
    far = Far(lambda: 0.0)  # however long it takes, the terminal is not given up
    try:
        drop_frames(far)
    finally:
        far.close()


def drop_frames(far: Far) -> None:
    far.line.ask()
    for number in range(2000):  # 4 MB; nobody reads
        far.line.write(frame(number))
        far.line.flush()
    wait_for(lambda: select.select([far.master], [], [], 0)[0], "what was sent")
    far.answer(far.read())
    assert len(far.came) <= UNANSWERED + 2000
    row = f"{1999:07}{frame(1999)[-1]}" * 10

    def shown() -> bool:
        far.answer(far.read())
        return far.emulator.lines() == [row] * ROWS

    wait_for(shown, "the last frame")


def test_a_question_is_asked_only_once_somebody_reads_the_answers(far: Far) -> None:
    far.line.write(f"{ENTER}\x1b[1;1Hone")
    far.until_came("one")
    assert QUESTION.encode() not in far.came
    assert not far.line.answered(1, 1)  # it is the application's
    far.line.ask()
    far.until_came(QUESTION)
    assert far.line.answered(1, 1)
    assert not far.line.answered(1, 1)


def test_settling_waits_for_the_answer_to_all(far: Far) -> None:
    far.line.ask()
    far.line.write(f"{ENTER}\x1b[1;1Hone")
    far.until_came("one")
    assert not far.line.settle(0.02)
    far.line.close(1.0)
    far.read()
    assert far.came.endswith(QUESTION.encode())


def test_what_is_written_last_is_sent_at_the_end(far: Far) -> None:
    """Also where the terminal has not answered for all before it."""
    far.line.ask()
    far.line.write(f"{ENTER}{frame(1)}")
    far.line.write("\x1b[?1049l\x1b[?25h")
    far.line.close(10.0)
    far.read()
    assert far.came.endswith(b"\x1b[?1049l\x1b[?25h")


def test_a_terminal_that_takes_nothing_does_not_hold_the_end(far: Far) -> None:
    for number in range(10):  # more than the kernel keeps for it
        far.line.write(f"{frame(number)}\x1b]2;{'x' * 10_000}\x07")
    wait_for(lambda: select.select([], [far._slave], [], 0)[1] == [], "a full line")
    far.line.close(0.05)
    assert not far.line._thread.is_alive()


def test_a_terminal_that_is_gone(far: Far) -> None:
    far.line.ask()
    far.until_came(QUESTION)
    far.hang_up()
    for number in range(10):
        far.line.write(frame(number))
        far.line.flush()
    wait_for(lambda: far.line.gone, "the line to notice")
    far.line.write(frame(11))
    before = time.monotonic()
    assert not far.line.settle(30.0)
    far.line.close(30.0)
    assert time.monotonic() - before < 25
    assert not far.line._thread.is_alive()


class Failing(Picture):
    def take(self, most: int | None = None) -> str:
        raise ZeroDivisionError


def test_a_failure_of_the_picture_is_told_and_nobody_waits_for_it() -> None:
    reading, writing = os.pipe()
    told: list[Exception] = []
    line = Line(writing, Failing(COLUMNS, ROWS), failed=told.append)
    line.start()
    line.ask()
    line.write(f"{ENTER}one")
    wait_for(lambda: told, "the failure")
    before = time.monotonic()
    assert not line.settle(30.0)
    line.close(30.0)
    assert time.monotonic() - before < 25
    assert line.gone
    os.close(writing)
    assert os.read(reading, 10) == b""  # its own opening is closed
    os.close(reading)
    assert isinstance(told[0], ZeroDivisionError)


def test_all_is_sent_again_once_it_is_forgotten(far: Far) -> None:
    far.line.write(f"{ENTER}\x1b[3;3Hone")
    far.until_came("one")
    far.came = b""
    far.line.forget()
    far.line.flush()
    far.until_came("one")


def test_a_large_piece_is_shown_at_once_where_the_terminal_can(far: Far) -> None:
    def write(text: str) -> None:
        far.line.write(BEGIN_FRAME)
        far.line.write(text)
        far.line.write(END_FRAME)
        far.line.flush()

    far.line.write(ENTER)
    write("\x1b[1;1Hsmall")
    far.until_came("small")
    assert BEGIN_FRAME.encode() not in far.came
    write(frame(1))
    far.until_came(END_FRAME)
    assert far.came.count(BEGIN_FRAME.encode()) == far.came.count(END_FRAME.encode()) == 1


def test_a_terminal_that_answers_late_is_asked_again_so_that_its_answers_can_be_told_apart() -> (
    None
):
    now = 0.0
    far = Far(lambda: now)
    try:
        far.line.ask()
        far.until_came(QUESTION)
        now = 3.0
        far.line.flush()  # to look at the clock
        far.line.write(f"{ENTER}{frame(1)}")
        wait_for(lambda: (far.read(), far.emulator.lines()[-1])[1] == f"{1:07}b" * 10, "all of it")
        assert far.came.count(QUESTION.encode()) == 1
        assert far.line.answered(1, 1)
        far.line.write(frame(2))
        far.until_came("\x1b8")
        assert far.line.answered(2, 1)
        assert not far.line.waits
    finally:
        far.close()


def test_a_terminal_of_another_encoding_gets_no_byte_that_it_has_not() -> None:
    reading, writing = os.pipe()
    line = Line(writing, Picture(COLUMNS, ROWS), "ascii")  # a pipe has no second opening, too
    line.start()
    line.write("\x1b[1;1Ha█b")
    line.close(10.0)
    os.close(writing)
    assert b"a?b" in os.read(reading, 1000)
    os.close(reading)
