"""Whether a busy server gets anywhere: hung ones go on answering /health (llama.cpp #13281)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gputui.llama.wire import Counters, Slot

_Progress = tuple[object, ...]


@dataclass(slots=True)
class Activity:
    """What was seen of one process. Times are on one monotonic clock.

    ``stalled_since`` is when it was last seen to get anywhere while it was busy, or to answer at all;
    None while it has nothing to do. Progress is any counter that moved, of tokens or of decodes, and any
    slot that decoded or that read more of its prompt: a long prompt is no stall while it is being read. Within
    one batch nothing moves; on a slow CPU a batch of 2048 tokens can take minutes.
    """

    stalled_since: float | None = None
    _progress: _Progress | None = None
    _answered_at: float | None = None

    def answered(self, at: float, counters: Counters, slots: Sequence[Slot]) -> None:
        """It answered /metrics, and, where it was busy, /slots."""
        running = [slot for slot in slots if slot.is_processing is True]
        busy = bool(counters.requests_processing) or bool(running)
        progress = (
            counters.prompt_tokens,
            counters.generated_tokens,
            counters.decodes,
            *((slot.key, slot.decoded, slot.processed) for slot in running),
        )
        if not busy:
            self.stalled_since = None
        elif progress != self._progress or self.stalled_since is None:
            self.stalled_since = at
        self._progress, self._answered_at = progress, at

    def silent(self) -> None:
        """It gave no answer, though it had before: as long as that lasts, it gets nowhere."""
        if self.stalled_since is None:
            self.stalled_since = self._answered_at

    def forget(self) -> None:
        """What it does is not known: it loads, sleeps, or must not be asked."""
        self.stalled_since = self._progress = self._answered_at = None
