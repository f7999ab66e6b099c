"""A stopwatch for one answer: times stamped where the bytes arrived, numbers marked with their origin.

TTFT, TTFO and the generation speed as the field's load generators define them (vLLM's
``benchmark_serving``): TTFT counts to the first non-empty token, TPOT = (E2EL − TTFT)/(n − 1).
"""

from __future__ import annotations

import math

from gputui.chat.answering.wire import Event, PromptProgress, RequestSent, TextDelta, Timings, Usage
from gputui.chat.model import Figure, Measurement

LEAST_SECONDS = 0.05
"""From the first to the last piece, for a speed by our clock: in less, they came in one burst."""
MOST_APART = 4.0
"""How many times as many tokens as pieces, or pieces as tokens, there may be for a speed by our clock."""


class Stopwatch:
    """Takes each event with its time (seconds on the monotonic clock), gives the numbers at any time."""

    def __init__(self) -> None:
        self._sent: float | None = None
        self._first_token: float | None = None
        self._first_output: float | None = None
        self._last_token: float | None = None
        self._ended: float | None = None
        self._deltas = 0
        self._reasoning_deltas = 0
        self._usage = Usage()
        self._timings = Timings()
        self._progress: PromptProgress | None = None

    def take(self, at: float, event: Event) -> None:
        """Note an event that arrived at ``at``."""
        match event:
            case RequestSent():
                self._sent = at
            case TextDelta():
                self._take_text(at, event)
            case Usage():
                self._usage = event
            case Timings():
                self._timings = event
            case PromptProgress():
                self._progress = event
            case _:
                pass

    def finish(self, at: float) -> None:
        """The answer ended at ``at``: time stands still from now on."""
        if self._ended is None:
            self._ended = at

    def measurement(self, now: float) -> Measurement:
        """The numbers as of ``now``, or as of the end."""
        end = now if self._ended is None else self._ended
        return Measurement(
            ttft_seconds=self._since_sent(self._first_token),
            ttfo_seconds=self._since_sent(self._first_output),
            elapsed_seconds=self._since_sent(end),
            prompt_tokens=self._prompt_tokens(),
            completion_tokens=self._completion_tokens(),
            prompt_tokens_per_second=self._prompt_speed(),
            generation_tokens_per_second=self._generation_speed(),
            prompt_progress=self._prompt_done(),
            prompt_in_work=self._progress.total if self._progress else None,
            reasoning_tokens=self._reasoning_tokens(),
        )

    def _take_text(self, at: float, delta: TextDelta) -> None:
        self._deltas += 1
        self._reasoning_deltas += delta.reasoning
        self._last_token = at
        if self._first_token is None:
            self._first_token = at
        if self._first_output is None and not delta.reasoning:
            self._first_output = at

    def _since_sent(self, at: float | None) -> float | None:
        return None if at is None or self._sent is None else at - self._sent

    def _prompt_tokens(self) -> Figure | None:
        if self._usage.prompt_tokens is not None:
            return Figure(self._usage.prompt_tokens, "server")
        if self._timings.prompt_n:  # 0 while the prompt is still being processed
            return Figure(self._timings.prompt_n + (self._timings.cache_n or 0), "server")
        return None

    def _completion_tokens(self) -> Figure | None:
        """The server's count; else the pieces that came, which most servers send one a token."""
        for count in (self._usage.completion_tokens, self._timings.predicted_n or None):
            if count is not None:
                return Figure(count, "server")
        return Figure(self._deltas, "client") if self._deltas else None

    def _reasoning_tokens(self) -> Figure | None:
        """The server's count; else the pieces of reasoning that came. One of 0 beside such pieces is none:
        some servers send the field and never fill it."""
        if self._usage.reasoning_tokens:
            return Figure(self._usage.reasoning_tokens, "server")
        return Figure(self._reasoning_deltas, "client") if self._reasoning_deltas else None

    def _prompt_speed(self) -> Figure | None:
        """The server's speed over what it processed, where that is at least half of the prompt.

        After a retry or a repeated beginning most of the prompt comes from the cache: the few tokens
        left measure the server's overhead, and would stand beside the count of the whole prompt.
        """
        processed = self._timings.prompt_n or 0
        if processed <= 0 or processed < (self._timings.cache_n or 0):
            return None
        return _speed(self._timings.prompt_per_second)

    def _generation_speed(self) -> Figure | None:
        """The server's; else (tokens − 1) / (last − first piece) by our clock.

        A single token gives no speed: it has no token before it to be timed against. Nor is there one by
        our clock where all came within ``LEAST_SECONDS``, which times the network's packets, or where the
        server's count and the pieces are more than ``MOST_APART`` times apart: then one of them does not
        count what was timed. Reasoning that was only counted came before the first token that was seen.
        """
        if (self._timings.predicted_n or 0) >= 2 and (
            figure := _speed(self._timings.predicted_per_second)
        ):
            return figure
        tokens = self._completion_tokens()
        if tokens is None or self._first_token is None or self._last_token is None:
            return None
        took = self._last_token - self._first_token
        unseen = 0 if self._reasoning_deltas else self._usage.reasoning_tokens or 0
        count = tokens.value - unseen
        if count < 2 or self._deltas < 2 or took < LEAST_SECONDS:
            return None
        if not 1 / MOST_APART <= count / self._deltas <= MOST_APART:
            return None
        return Figure((count - 1) / took, "client")

    def _prompt_done(self) -> float | None:
        """The share of the prompt that is processed, while no token has come."""
        progress = self._progress
        if progress is None or self._first_token is not None or not progress.total:
            return None
        return min(1.0, max(0.0, (progress.processed or 0) / progress.total))


def _speed(per_second: float | None) -> Figure | None:
    if per_second is None or not math.isfinite(per_second) or per_second <= 0:
        return None
    return Figure(per_second, "server")
