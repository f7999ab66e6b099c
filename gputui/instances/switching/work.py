"""Whether a server is in the middle of an answer: asked of it now, not read off an old reading."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from gputui.config import url_of
from gputui.instances.records import Record
from gputui.llama.probe import Health, Probe, Reading, new_client

_PATIENCE = 4.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a running instance is at. ``requests`` are in work or wait in its queue; None: it does not say,
    as one that hangs or is deep in a batch."""

    name: str
    requests: int | None

    @property
    def words(self) -> str:
        """``deepseek is answering (2 requests)``."""
        if self.requests is None:
            return f"{self.name} does not say whether it is answering"
        return f"{self.name} is answering ({self.requests} request{'s' * (self.requests != 1)})"


async def at_work(servers: Iterable[Record]) -> tuple[Work, ...]:
    """Those of the running ``servers`` that are answering, or do not say; asked at once, some seconds
    at most."""
    asked = tuple(servers)
    if not asked:
        return ()
    client = await asyncio.to_thread(new_client)
    probes = [Probe(url_of(record.host, record.port), may_wake=True) for record in asked]
    try:
        readings = await asyncio.gather(*(probe.look(client, _PATIENCE) for probe in probes))
    finally:
        for probe in probes:
            probe.cancel()
        await client.aclose()
    works = [Work(one.name, _requests(said)) for one, said in zip(asked, readings, strict=True)]
    return tuple(work for work in works if work.requests != 0)


def _requests(reading: Reading) -> int | None:
    if reading.health in (Health.REFUSED, Health.LOADING):
        return 0
    if reading.health is not Health.READY:
        return None
    if reading.props is not None and reading.props.is_sleeping is True:
        return 0
    known = [n for n in (reading.requests_processing, reading.slots_busy) if n is not None]
    if reading.counted_at != reading.asked_at or not known:
        return None
    return max(known) + (reading.requests_deferred or 0)
