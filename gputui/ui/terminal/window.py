"""How much may be under way to a terminal, judged by how late its answers come.

How full a line is cannot be seen from here: the kernel takes 20 KiB for a pseudo-terminal, and ssh and
TCP take far more. Only the terminal can say what it has drawn. So it is asked for its cursor's position
(``ESC [ 6 n``, DSR of the VT100; every terminal answers), and the answer acknowledges all that was sent
before the question. The answers' delay above the smallest one seen is what waits in queues, and the
window of unacknowledged bytes follows it, as in TCP Vegas and LEDBAT (RFC 6817). A far terminal answers
late at rest, too: that is no queue.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

QUESTION = "\x1b[6n"
LEAST = 256
"""Bytes that may be under way on any line: 0.13 s at 2 KB/s."""
UNANSWERED = 64 * 1024
"""Bytes under way before any answer: a first picture goes out whole where no answer will come."""
UNKNOWN = 8 * 1024
"""Bytes under way from the first answer on, until the second one says how fast the line is."""
MOST = 16 * 1024
"""Bytes under way on any line: a picture; a fast line that becomes a slow one has to carry them."""
DOUBTFUL = 1024
"""Bytes sent for each question that stays unanswered once others were answered."""
QUEUE_SECONDS = 0.1
"""What may wait in queues, beyond the smallest delay."""
JITTER_SECONDS = 0.015
"""Two answers so close do not say much about how fast the line is, but that it is not slow."""
JITTERY_START_SECONDS = 0.5
"""What may wait in queues at first then; a faster line gets its first picture at once."""
FIRST_PATIENCE_SECONDS = 2.0
"""For the first answer; a terminal that gives none is asked no more."""
PATIENCE_SECONDS = 2.0
PROBE_SECONDS = 10.0
"""A smallest delay older than this is measured anew where answers are late: the way may be another."""
ASK_EVERY = 1024
ENOUGH_TO_MEASURE = 48
"""Bytes between the first two questions: the modes that are set at the beginning are more."""
MARKS = 20


class _Question(NamedTuple):
    position: int
    """How many bytes were sent before it, since the beginning."""
    number: int
    asked: float
    under_way: int
    mark: int | None
    """The column that its answer names, where it must be told from others."""


class Window:
    """Bytes sent and acknowledged, in; bytes that may be sent, out. Times are seconds of one clock."""

    def __init__(self, *, silent: bool = False) -> None:
        self.size = UNKNOWN
        self.silent = silent
        """Whether the terminal does not answer, and is asked no more."""
        self.smallest_delay = math.inf
        """Seconds from a question to its answer at best."""
        self._sent = self._acknowledged = self._asked = 0
        self._questions: deque[_Question] = deque()
        self._owed = 0  # answers to questions that were given up
        self._number = 0  # of questions
        self._answers = 0
        self._last_answer = 0.0
        self._shrunk_at = 0  # as a position: one halving for one queue
        self._confirmed = 0.0  # when the smallest delay was last seen
        self._draining = False
        self._doubt = False
        self._mark = 0

    @property
    def waits(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._questions)

    @property
    def under_way(self) -> int:
        """Bytes that were sent and not acknowledged."""
        return self._sent - self._acknowledged

    def room(self) -> int:
        """How many bytes may be sent now; 0 for none: not a few at a time, which costs more."""
        if self.silent:
            return MOST
        free = (self.size if self._answers else UNANSWERED) - self.under_way
        if free < self.size // 4 or self._draining:
            return 0
        return min(free, max(self.size // 2, LEAST // 2))

    def sent(self, count: int) -> None:
        """So many bytes were handed to the line."""
        self._sent += count

    def question_is_due(self) -> bool:
        """Whether to ask behind what was sent: not more than is worth it, so that rest costs nothing."""
        if self.silent or (self._number >= 2 and not self._answers):
            return False  # two are enough for a terminal that may never answer
        unasked = self._sent - self._asked
        if self._draining or self._number == 0:
            return not self._questions
        if self._doubt:
            return bool(unasked) and not self._questions
        enough = max(min(ASK_EVERY, self.size // 2), self.size // 8)
        if self._number == 1:
            enough = ENOUGH_TO_MEASURE
        return bool(unasked) and (unasked >= enough or not self.room())

    def question(self, now: float) -> str:
        """The question to send now."""
        mark = None
        if self._doubt:
            self._mark = mark = self._mark % MARKS + 1
        self._number += 1
        self._questions.append(_Question(self._sent, self._number, now, self.under_way, mark))
        self._asked = self._sent
        # Told apart by a place that the cursor is otherwise never asked in: saved, moved, restored.
        return QUESTION if mark is None else f"\x1b7\x1b[2;{mark}H{QUESTION}\x1b8"

    def answered(self, now: float, row: int, column: int) -> bool:
        """The terminal said where its cursor is (from 1); False where nobody had asked.

        ``ESC [ 1 ; 2 R`` is also shift+F3 on some keyboards; Textual takes it for an answer, and so does
        this. It then counts a moment early, which the next answers mend.
        """
        question = self._questions[0] if self._questions else None
        if question is None or question.mark not in (None, column) or (question.mark and row != 2):
            return self._late()
        self._questions.popleft()
        passed = question.position - self._acknowledged
        delay = now - question.asked
        self._acknowledged = question.position
        self._answers += 1
        earliest, self._last_answer = self._last_answer, now
        self._learn(now, delay, question.under_way == 0)
        if self._doubt:
            self._doubt, self._owed, self.size = False, 0, LEAST
        elif question.number == 2 and self._answers == 2:
            self._begin(now - max(earliest, question.asked + self.smallest_delay), passed)
        else:
            self._adapt(now, delay, question, passed)
        return True

    def gives_up_at(self) -> float | None:
        """When ``give_up`` is to be called, unless an answer comes; None while none is awaited."""
        if not self._questions:
            return None
        # Where answers still come, if late, the line is slow, and neither lost nor standing still.
        return max(self._questions[0].asked, self._last_answer) + self.patience

    @property
    def patience(self) -> float:
        """Seconds in which an answer must come."""
        if not self._answers:
            return FIRST_PATIENCE_SECONDS
        return min(5 * PATIENCE_SECONDS, max(PATIENCE_SECONDS, 4 * self.smallest_delay))

    def give_up(self) -> None:
        """The oldest question stays unanswered: the screen goes on without.

        It may be lost, or the line stands still. What is asked next can be told from what was asked
        before, and a little is sent for each question.
        """
        self._owed += len(self._questions)
        self._questions.clear()
        self._acknowledged = self._asked = self._sent
        self._draining = False
        if self._answers:
            self._doubt, self.size = True, DOUBTFUL
        else:
            self.silent = True

    def _late(self) -> bool:
        """An answer to what was given up."""
        if not self._owed:
            return False
        self._owed -= 1
        self._answers += 1
        if self.silent:  # it does answer, if late
            self.silent, self._doubt, self.size = False, True, DOUBTFUL
            self._acknowledged = self._asked = self._sent
        return True

    def _begin(self, seconds: float, passed: int) -> None:
        """The first two answers: about how fast the line is, and how much of the first one's delay was
        that of what had been sent before it."""
        rate = passed / max(0.001, seconds)
        if seconds <= JITTER_SECONDS:
            self.size = _bounded(rate * JITTERY_START_SECONDS)
            return
        before = self._acknowledged - passed
        self.smallest_delay = max(0.0, self.smallest_delay - before / rate)
        self.size = _bounded(rate * QUEUE_SECONDS)

    def _learn(self, now: float, delay: float, at_rest: bool) -> None:
        if self._draining and at_rest:
            self._draining, self.smallest_delay = False, delay
        self.smallest_delay = min(self.smallest_delay, delay)
        if delay <= self.smallest_delay * 1.1 + 0.005:
            self._confirmed = now

    def _adapt(self, now: float, delay: float, question: _Question, passed: int) -> None:
        waited = delay - self.smallest_delay
        if waited > QUEUE_SECONDS:
            if question.position > self._shrunk_at:
                kept = max(0.5, QUEUE_SECONDS / waited)
                self.size, self._shrunk_at = _bounded(self.size * kept), self._sent
            # What is sent first of all drains, then one question alone measures the way.
            self._draining = self._draining or now - self._confirmed > PROBE_SECONDS
        elif question.under_way * 2 >= self.size:
            self.size = _bounded(self.size + passed * (1 - waited / QUEUE_SECONDS))


def _bounded(size: float) -> int:
    return max(LEAST, min(MOST, int(size)))
