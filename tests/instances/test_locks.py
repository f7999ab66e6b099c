"""Locks between sessions: what their holders say, and when they say nothing any more."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gputui.errors import GputuiError
from gputui.instances import locks


def test_a_holder_says_what_it_is_at(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with locks.hold(path, "start") as say:
        say("waits for two")
        assert locks.holder(path) == locks.Holder(os.getpid(), "start", "waits for two")
    assert locks.holder(path) is None


def test_what_is_said_after_the_release_goes_nowhere(tmp_path: Path) -> None:
    with locks.hold(tmp_path / "one.lock", "start") as late:
        pass
    other = tmp_path / "other"
    handle = os.open(other, os.O_RDWR | os.O_CREAT)  # the descriptor that the lock had
    try:
        os.write(handle, b"a record, or a database")
        late("still here")
        speaker = threading.Thread(target=late, args=("on a thread",))
        speaker.start()
        speaker.join()
        assert other.read_bytes() == b"a record, or a database"
    finally:
        os.close(handle)


def test_a_refusal_is_in_the_words_of_who_asks(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    refused = locks.hold(
        path, "stop", refusal=lambda by: GputuiError(f"{by.action if by else 'unknown'} goes on")
    )
    with (
        locks.hold(path, "start"),
        pytest.raises(GputuiError, match="start goes on"),
        refused,
    ):
        pass
