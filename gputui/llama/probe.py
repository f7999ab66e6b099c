"""Asking a running llama-server how it is: /health, /props, /metrics, /slots.

A server in the middle of a batch answers /metrics and /slots only after it, so a question is never
cut short: whoever looks takes what is known by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from gputui.llama.activity import Activity
from gputui.llama.wire import Counters, ModelMeta, Models, Props, Slot, read_metrics
from gputui.text import error_words

if TYPE_CHECKING:
    import httpx

_BODY_LIMIT = 4 * 2**20
_ANSWER_SECONDS = 5.0


class Health(StrEnum):
    """What /health says."""

    REFUSED = "refused"  # nothing listens
    LOADING = "loading"
    READY = "ready"
    ODD = "odd"  # something answers that is no llama-server, or one in trouble
    SILENT = "silent"  # it listens and gives no answer


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server said last; None is not known.

    ``asked_at`` and ``answered_at`` are on the monotonic clock: when it was asked last, and when it
    last answered /health; ``counted_at`` is the ``asked_at`` of the round that read the counters last.
    Rates as InstanceMetrics says. ``trouble`` is what went wrong in reading its answers, in words, ""
    where nothing did. ``prompts``: the tasks whose prompt is being read, and the share of it, 0 to 1, that
    is read. ``stalled_since``: as Activity has it. ``work``: counters that move with every
    request; None where none of them is known.
    """

    health: Health | None = None
    asked_at: float = 0.0
    answered_at: float | None = None
    counted_at: float | None = None
    props: Props | None = None
    meta: ModelMeta | None = None
    slots_busy: int | None = None
    requests_deferred: int | None = None
    generation_rate: float | None = None
    prompt_rate: float | None = None
    requests_processing: int | None = None
    tokens_generated: int | None = None
    prompts: Mapping[int, float | None] = field(default_factory=dict)
    trouble: str = ""
    stalled_since: float | None = None
    work: tuple[float | None, ...] | None = None

    @property
    def stalled_seconds(self) -> float | None:
        """For how long it has been busy, or silent, and got nowhere."""
        since = self.stalled_since
        return None if since is None else max(0.0, time.monotonic() - since)


@dataclass(slots=True)
class Probe:
    """The questions to one server. ``may_wake``: /metrics and /slots disturb no sleeping model."""

    url: str
    may_wake: bool
    last: Reading = field(default_factory=Reading)
    _task: asyncio.Task[None] | None = None
    _counters: Counters | None = None
    _asked_models: bool = False
    _decoded: Mapping[tuple[int, int], int] = field(default_factory=dict)
    _decoded_at: float = 0.0
    _activity: Activity = field(default_factory=Activity)

    async def look(self, client: httpx.AsyncClient, patience: float) -> Reading:
        """What is known after at most ``patience`` seconds; an unfinished round goes on behind.

        Whatever an odd server does to the round is told in the reading, and never raised.
        """
        if self._task is None or self._task.done():
            self.last = replace(self.last, asked_at=time.monotonic())
            self._task = asyncio.create_task(self._round(client), name=f"probe {self.url}")
        await asyncio.wait({self._task}, timeout=patience)
        if self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            trouble = error_words(error, 200) if error else ""
            self.last = replace(self.last, trouble=trouble)
        return self.last

    def cancel(self) -> None:
        """End an unfinished round."""
        if self._task is not None:
            self._task.cancel()

    async def _round(self, client: httpx.AsyncClient) -> None:
        health = await self._health(client)
        answered = self.last.answered_at
        if health not in (Health.REFUSED, Health.SILENT):
            answered = time.monotonic()
        self.last = replace(self.last, health=health, answered_at=answered)
        if health is Health.SILENT:
            self._activity.silent()
        elif health is Health.READY:
            await self._learn_props(client)
            await self._count(client)
        else:
            self._activity.forget()
        self.last = replace(self.last, stalled_since=self._activity.stalled_since)

    async def _count(self, client: httpx.AsyncClient) -> None:
        """Ask for the counters and, where it is busy, for its slots."""
        if not self.may_wake or self._sleeps:
            self._activity.forget()
            return
        try:
            metrics = await self._body(client, "/metrics")
            now = Counters() if metrics is None else read_metrics(metrics.decode(errors="replace"))
            slots: list[Slot] = []
            if now.requests_processing != 0:
                slots = decode(await self._body(client, "/slots"), list[Slot]) or []
        except _no_answer():
            self._activity.silent()
            self._take(Counters(), [])
        else:
            self._activity.answered(time.monotonic(), now, slots)
            self._take(now, slots)

    @property
    def _sleeps(self) -> bool:
        return self.last.props is not None and self.last.props.is_sleeping is True

    async def _learn_props(self, client: httpx.AsyncClient) -> None:
        """Only sleep changes in them while a process lives."""
        if self.last.props is None or self._sleeps or not self.may_wake:
            props = decode(await self._get(client, "/props"), Props)
            self.last = replace(self.last, props=props or self.last.props)
        if not self._asked_models and self.may_wake and not self._sleeps:
            self._asked_models = True  # it does not change while a process lives
            models = decode(await self._get(client, "/v1/models"), Models)
            self.last = replace(self.last, meta=models.meta if models else None)

    async def _health(self, client: httpx.AsyncClient) -> Health:
        import httpx

        try:
            status, body = await _fetch(client, f"{self.url}/health")
        except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL):
            return Health.REFUSED
        except (httpx.TimeoutException, TimeoutError):
            return Health.SILENT
        except (httpx.HTTPError, OSError):
            return Health.ODD
        if status == 200:
            return Health.READY if _is_object(body) else Health.ODD
        loading = status == 503 and (b"oading model" in body or b"unavailable_error" in body)
        return Health.LOADING if loading else Health.ODD

    def _take(self, now: Counters, slots: list[Slot]) -> None:
        """Keep what the two say; what they leave out this time is not known this time."""
        before, self._counters = self._counters, now
        live = self._live_rate(slots)
        busy = sum(slot.is_processing is True for slot in slots) if slots else None
        self.last = replace(
            self.last,
            slots_busy=now.requests_processing if busy is None else busy,
            requests_deferred=now.requests_deferred,
            generation_rate=live or now.generation_rate(before),
            prompt_rate=now.prompt_rate(before),
            counted_at=self.last.asked_at,
            requests_processing=now.requests_processing,
            tokens_generated=_whole(now.generated_tokens),
            prompts={slot.key[1]: slot.prompt_share for slot in slots if slot.reads_prompt},
            work=_known(now.prompt_tokens, now.generated_tokens, now.decodes),
        )

    def _live_rate(self, slots: list[Slot]) -> float | None:
        """Tokens per second of the tasks that were running at the last look already.

        The counters of /metrics move only when a task ends.
        """
        now = time.monotonic()
        decoded = {slot.key: slot.decoded for slot in slots if slot.is_processing is True}
        grown = sum(count - self._decoded.get(key, count) for key, count in decoded.items())
        passed = now - self._decoded_at
        self._decoded, self._decoded_at = decoded, now
        return grown / passed if grown > 0 and passed > 0 else None

    async def _get(self, client: httpx.AsyncClient, path: str) -> bytes | None:
        return await fetch(client, self.url + path)

    async def _body(self, client: httpx.AsyncClient, path: str) -> bytes | None:
        """The body of a 200 answer, None for another one. Raises what ``_no_answer`` lists."""
        status, body = await _fetch(client, self.url + path)
        return body if status == 200 else None


def _no_answer() -> tuple[type[Exception], ...]:
    import httpx

    return httpx.HTTPError, OSError


def new_client() -> httpx.AsyncClient:
    """The client for all probes: no proxies, no redirects, no TLS, bounded time.

    Blocks for some 0.3 s the first time: httpx imports its asyncio side only at the first request,
    so that is imported here, where no event loop waits.
    """
    import anyio._backends._asyncio  # noqa: F401
    import httpcore  # noqa: F401
    import httpx

    return httpx.AsyncClient(
        trust_env=False,
        verify=False,  # noqa: S501 - http:// only; a certificate store costs 50 ms to load
        timeout=httpx.Timeout(_ANSWER_SECONDS, connect=1.0),
        limits=httpx.Limits(max_connections=128, keepalive_expiry=30),
    )


class Client:
    """One client for many questions, made at the first of them. Used by one event loop."""

    def __init__(self) -> None:
        self._making: asyncio.Task[httpx.AsyncClient] | None = None

    async def get(self) -> httpx.AsyncClient:
        """The client: however many ask at once, there is one."""
        if self._making is None or _failed(self._making):
            self._making = asyncio.create_task(asyncio.to_thread(new_client), name="http client")
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        """Let go of its connections; the next question makes another one."""
        making, self._making = self._making, None
        if making is None:
            return
        await asyncio.wait({making})
        if not _failed(making):
            await making.result().aclose()


def _failed(task: asyncio.Task[httpx.AsyncClient]) -> bool:
    """Whether it has ended without a client."""
    return task.done() and (task.cancelled() or task.exception() is not None)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _known(*counters: float | None) -> tuple[float | None, ...] | None:
    return counters if any(counter is not None for counter in counters) else None


def decode(body: bytes | None, kind: Any) -> Any:
    """A body as typed values, None where it is something else."""
    if body is None:
        return None
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


async def fetch(client: httpx.AsyncClient, url: str) -> bytes | None:
    """The body of a 200 answer, None for everything else."""
    try:
        status, body = await _fetch(client, url)
    except _no_answer():
        return None
    return body if status == 200 else None


async def _fetch(client: httpx.AsyncClient, url: str) -> tuple[int, bytes]:
    """Status and body; a body over 4 MiB is cut, as no answer of a llama-server is that long."""
    body = bytearray()
    async with asyncio.timeout(_ANSWER_SECONDS * 2), client.stream("GET", url) as response:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _BODY_LIMIT:
                break
        return response.status_code, bytes(body)


def _is_object(body: bytes) -> bool:
    return isinstance(decode(body, Any), dict)
