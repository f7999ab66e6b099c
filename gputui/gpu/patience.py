"""Questions to the system that may take for ever, asked so that nobody waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

PATIENCE_SECONDS = 0.1
"""For an answer that mostly comes at once; where another question is open already, none is waited for."""

MOST_OPEN = 8
"""Questions at a time: each has a thread, which stays until its answer is there."""

Answer = TypeVar("Answer")


class Patience(Generic[Answer]):
    """Asks each question on a daemon thread of its own; one thread uses it."""

    def __init__(self) -> None:
        self._threads: dict[Hashable, threading.Thread] = {}
        self._answers: dict[Hashable, Answer] = {}

    def ask(self, key: Hashable, question: Callable[[], Answer]) -> Answer | None:
        """The answer to ``question``, which raises nothing; None where there is none yet: ask again
        then, with the same ``key``. An answer that was handed over is forgotten."""
        if key not in self._threads and not self._begin(key, question):
            return None
        if self._threads[key].is_alive():
            return None
        del self._threads[key]
        return self._answers.pop(key, None)

    def _begin(self, key: Hashable, question: Callable[[], Answer]) -> bool:
        open_now = sum(thread.is_alive() for thread in self._threads.values())
        if open_now >= MOST_OPEN:
            return False
        if len(self._threads) >= 2 * MOST_OPEN:  # nobody came for these
            self._drop_answered()

        def work() -> None:
            self._answers[key] = question()

        thread = threading.Thread(target=work, daemon=True, name="patience")
        try:
            thread.start()
        except RuntimeError:  # no more threads are to be had
            return False
        self._threads[key] = thread
        thread.join(0 if open_now else PATIENCE_SECONDS)
        return True

    def _drop_answered(self) -> None:
        for key in [key for key, thread in self._threads.items() if not thread.is_alive()]:
            del self._threads[key]
            self._answers.pop(key, None)
