"""Keys and the cursor's positions, apart."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.message import Message

from gputui.ui.terminal.input import InputReader
from tests.support.waiting import wait_for


class Typed:
    """A reader on a pipe, and what it delivers."""

    def __init__(self, expected: int = 10**6) -> None:
        self.messages: list[Message] = []
        self.positions: list[tuple[int, int]] = []
        self._expected = expected
        reading, self.writing = os.pipe()
        self._reading = reading
        self.reader = InputReader(reading, self._answered, self.messages.append)
        self.ended_by_itself: bool | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def type(self, *parts: bytes) -> None:
        for part in parts:
            os.write(self.writing, part)

    def pressed(self) -> list[str]:
        return [message.key for message in self.messages if isinstance(message, events.Key)]

    def stop(self) -> None:
        self.reader.stop()
        self.thread.join()

    def close(self) -> None:
        if self.thread.is_alive():
            self.stop()
        os.close(self._reading)
        if self.writing >= 0:
            os.close(self.writing)

    def _run(self) -> None:
        self.ended_by_itself = not self.reader.run()

    def _answered(self, row: int, column: int) -> bool:
        self.positions.append((row, column))
        return len(self.positions) <= self._expected


@pytest.fixture
def typed() -> Iterator[Typed]:
    made = Typed()
    try:
        yield made
    finally:
        made.close()


def test_a_position_within_a_paste_is_no_part_of_it(typed: Typed) -> None:
    typed.type(b"\x1b[200~one ", b"\x1b[12;40R", b"two", b"\x1b[201~")
    wait_for(lambda: typed.messages, "the paste")
    paste = typed.messages[0]
    assert isinstance(paste, events.Paste)
    assert paste.text == "one two"
    assert typed.positions == [(12, 40)]


def test_a_lone_escape_is_a_key_though_nothing_follows(typed: Typed) -> None:
    typed.type(b"\x1b")
    wait_for(typed.pressed, "the key")
    assert typed.pressed() == ["escape"]


def test_what_nobody_asked_for_is_the_applications() -> None:
    typed = Typed(expected=1)
    try:
        typed.type(b"\x1b[1;2R\x1b[3;4Rx")
        wait_for(lambda: typed.pressed() == ["x"], "the key")
        first = typed.messages[0]
        assert isinstance(first, events.CursorPosition)
        assert (first.x, first.y) == (3, 2)
    finally:
        typed.close()


def test_bytes_that_are_no_text_end_nothing(typed: Typed) -> None:
    typed.type(b"\xff\xfea")
    wait_for(lambda: "a" in typed.pressed(), "the key")


def test_stopping_reads_what_has_come_and_wakes_at_once(typed: Typed) -> None:
    typed.type(b"abc")
    typed.stop()
    assert typed.pressed() == ["a", "b", "c"]
    assert typed.ended_by_itself is False


def test_the_end_of_the_terminal_ends_it(typed: Typed) -> None:
    os.close(typed.writing)
    typed.writing = -1
    typed.thread.join(60)
    assert typed.ended_by_itself is True


@given(st.lists(st.sampled_from(["a", "é", "\x1b[A", "\x1b[7;9R", "\x1b[I", "\r"]), max_size=12))
def test_positions_are_taken_out_of_anything(parts: list[str]) -> None:
    typed = Typed()
    try:
        typed.type("".join(parts).encode() or b"a")
        typed.stop()
        names = {"a": "a", "é": "é", "\x1b[A": "up", "\r": "enter"}
        assert typed.pressed() == [names[part] for part in parts or ["a"] if part in names]
        assert len(typed.positions) == parts.count("\x1b[7;9R")
    finally:
        typed.close()
