"""For how long a server has been without a request, as far as it was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from gputui.instances.records import Record
from gputui.llama.probe import Reading


@dataclass(slots=True)
class _Seen:
    process: tuple[int, int]
    work: tuple[object, ...]
    idle: float = 0.0
    at: float | None = None


@dataclass(slots=True)
class Idleness:
    """Follows all instances of one session.

    A session that sees a server first cannot know of requests before, so time counts from there; where no
    request was ever made, from when it was ready. Time in which its counters cannot be read does not count.
    """

    _seen: dict[str, _Seen] = field(default_factory=dict)

    def take(
        self, record: Record, reading: Reading, requests: int | None, at: float, now: float
    ) -> float | None:
        """Seconds without a request; None where that cannot be seen at this look.

        ``requests`` is how many there were since its start, None not known. ``at`` is the time of the look
        on the monotonic clock, ``now`` in Unix time.
        """
        process = record.pid, record.start_ticks
        seen = self._seen.get(record.name)
        if seen is not None and seen.process != process:
            seen = None
        counted = reading.counted_at is not None and reading.counted_at == reading.asked_at
        if record.ready_at is None or not counted or reading.work is None:
            if seen is not None:
                seen.at = None
            return None
        work = (*reading.work, requests)
        busy = bool(reading.requests_processing) or bool(reading.requests_deferred)
        if seen is None:
            seen = self._seen[record.name] = _Seen(process, work)
            if not busy and _untouched(reading.work, requests):
                seen.idle = max(0.0, now - record.ready_at)
        elif busy or work != seen.work:
            seen.idle = 0.0
        elif seen.at is not None:
            seen.idle += max(0.0, at - seen.at)
        seen.work, seen.at = work, at
        return 0.0 if busy else seen.idle


def _untouched(work: tuple[float | None, ...], requests: int | None) -> bool:
    """Whether it is certain that no request was ever made."""
    decodes = work[-1]  # tokens alone leave out embeddings
    return not any(work) and not requests and (decodes is not None or requests is not None)
