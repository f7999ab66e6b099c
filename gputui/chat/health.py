"""The health of ``[[endpoints]]``: whether each answers, how soon, and which models it lists.

Asked by GET …/models in the background, so that nobody waits for a host that is gone. Whatever comes
back becomes a state and words: a page, a redirect, a body without end, a certificate that is no good.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from gputui.chat.model import Endpoint
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.text import clean_line, error_words

if TYPE_CHECKING:
    import httpx

EVERY_SECONDS = 10.0
_WHOLE_SECONDS = 5.0
_CONNECT_SECONDS = 3.0
_MOST_BYTES = 1 << 20


class EndpointState(StrEnum):
    """What an endpoint is found to be."""

    ASKING = "asking"  # nothing is known yet
    UP = "up"
    LOADING = "loading"  # a llama-server that reads its model
    UNAUTHORISED = "unauthorised"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint at its last answer.

    ``latency_seconds``: from the question to the whole answer; None where there was none. ``models`` are
    the names it lists, cleaned, at most fifty; () where it lists none. ``model`` is the one that is
    configured. ``problem`` says in words why it is not up. ``context``, ``sees`` and ``llama`` are as an
    Endpoint has them.
    """

    name: str
    url: str
    state: EndpointState = EndpointState.ASKING
    latency_seconds: float | None = None
    models: tuple[str, ...] = ()
    model: str | None = None
    problem: str = ""
    context: int | None = None
    sees: bool | None = None
    llama: bool = False

    @property
    def served(self) -> str:
        """The model that answers, as far as that is known: the configured one, else the only one."""
        if self.model is not None:
            return self.model
        if len(self.models) > 1:
            return f"{self.models[0]} +{len(self.models) - 1}"
        return self.models[0] if self.models else ""


class EndpointWatch:
    """Asks all endpoints of a configuration again and again. Used by one event loop."""

    def __init__(self, config: Config) -> None:
        self._news = asyncio.Event()
        self.statuses: tuple[EndpointStatus, ...] = ()
        self.set_config(config)

    def set_config(self, config: Config) -> None:
        """Whom to ask from now on; what is known of those that stay is kept."""
        known = {(status.name, status.url, status.model): status for status in self.statuses}
        self._config = config
        self.statuses = tuple(
            known.get((table.name, table.url, table.model))
            or EndpointStatus(table.name, table.url, model=table.model)
            for table in config.endpoints
        )
        self._news.set()

    async def run_forever(self) -> None:
        """Ask every ten seconds, until cancelled."""
        while not self.statuses:
            self._news.clear()
            await self._news.wait()
        client = await asyncio.to_thread(_open_client)
        try:
            while True:
                self._news.clear()  # before they are asked: what changes meanwhile is not missed
                await self._ask_all(client)
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 that loses a cancellation that comes with the news.
                    async with asyncio.timeout(EVERY_SECONDS):
                        await self._news.wait()
        finally:
            await client.aclose()

    async def ask_once(self) -> tuple[EndpointStatus, ...]:
        """All of them now, in some seconds at most."""
        if self.statuses:
            async with await asyncio.to_thread(_open_client) as client:
                await self._ask_all(client)
        return self.statuses

    async def _ask_all(self, client: httpx.AsyncClient) -> None:
        """Each answer counts when it comes, whatever the slower ones do."""
        await asyncio.gather(*(self._ask(client, status) for status in self.statuses))

    async def _ask(self, client: httpx.AsyncClient, before: EndpointStatus) -> None:
        from gputui.chat.endpoints import endpoint_of

        try:
            endpoint = endpoint_of(self._config, before.name)
        except GputuiError as error:
            now = _down(before, error.message)
        else:
            now = await ask(client, endpoint, before)
        self.statuses = tuple(now if status is before else status for status in self.statuses)


def _open_client() -> httpx.AsyncClient:
    """On a thread: httpx is loaded with it."""
    from gputui.chat.answering.client import make_client

    return make_client()


async def ask(
    client: httpx.AsyncClient, endpoint: Endpoint, before: EndpointStatus
) -> EndpointStatus:
    """What an endpoint says now; never raises."""
    import httpx

    from gputui.chat.answering.failures import http_failure, transport_failure
    from gputui.chat.listing import listing_of

    began = time.monotonic()
    try:
        async with asyncio.timeout(_WHOLE_SECONDS):
            response, body = await _fetch(client, endpoint)
    except TimeoutError:
        return _down(before, f"gives no answer in {_WHOLE_SECONDS:.0f} s")
    except httpx.HTTPError as error:
        return _down(before, _words(endpoint, transport_failure(endpoint, error)))
    except (httpx.InvalidURL, OSError, ValueError) as error:
        return _down(before, error_words(error, 200))
    took = time.monotonic() - began
    listing = listing_of(body, before.model) if response.status_code == 200 else None
    if listing is not None:
        up = _changed(before, EndpointState.UP, latency=took, models=listing.models)
        return await _sized(client, endpoint, replace(up, context=listing.context), listing.llama)
    failure = _words(endpoint, http_failure(endpoint, response, body))
    if response.status_code in (401, 403):
        return _changed(before, EndpointState.UNAUTHORISED, latency=took, problem=failure)
    if response.status_code == 503 and "loading" in failure:
        return _changed(before, EndpointState.LOADING, latency=took, problem=failure)
    if response.status_code == 404:
        failure = f"nothing is served at {endpoint.url}/models"
    elif response.status_code == 200 and "web page" not in failure:
        failure = "answers with something that is no list of models"
    return _down(before, failure)


async def _sized(
    client: httpx.AsyncClient, endpoint: Endpoint, status: EndpointStatus, llama: bool
) -> EndpointStatus:
    """With what a llama-server says of itself at /props, where it is one; what fails there is not known."""
    import httpx

    from gputui.llama.probe import decode as decoded
    from gputui.llama.wire import Props

    if not llama:
        return status
    try:
        async with asyncio.timeout(_WHOLE_SECONDS):
            response, body = await _fetch(client, endpoint, f"{endpoint.root}/props")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        return replace(status, llama=True)
    props = decoded(body, Props) if response.status_code == 200 else None
    context = props.context if props else None
    sees = props.sees if props else None
    return replace(status, llama=True, context=context or status.context, sees=sees)


async def _fetch(
    client: httpx.AsyncClient, endpoint: Endpoint, url: str = ""
) -> tuple[httpx.Response, bytes]:
    """The response and its body, cut at 1 MiB; its models' where no ``url`` is given."""
    import httpx

    headers = {"Accept": "application/json"}
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key.reveal()}"
    timeout = httpx.Timeout(_WHOLE_SECONDS, connect=_CONNECT_SECONDS)
    body = bytearray()
    url = url or f"{endpoint.url}/models"
    request = client.stream("GET", url, headers=headers, timeout=timeout)
    async with request as response:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MOST_BYTES:
                break
    return response, bytes(body)


def _words(endpoint: Endpoint, error: GputuiError) -> str:
    return clean_line(error.message.removeprefix(f"{endpoint.name}: "), 200)


def _down(before: EndpointStatus, problem: str) -> EndpointStatus:
    return _changed(before, EndpointState.DOWN, problem=problem)


def _changed(
    before: EndpointStatus,
    state: EndpointState,
    *,
    latency: float | None = None,
    models: tuple[str, ...] = (),
    problem: str = "",
) -> EndpointStatus:
    return EndpointStatus(before.name, before.url, state, latency, models, before.model, problem)


def endpoints_json(statuses: Sequence[EndpointStatus]) -> list[dict[str, object]]:
    """The ``endpoints`` of ``gputui status --json``; ``problem`` is null where there is none."""
    return [
        {
            "name": status.name,
            "url": status.url,
            "state": str(status.state),
            "model": status.model,
            "models": list(status.models),
            "latency_seconds": status.latency_seconds,
            "problem": status.problem or None,
        }
        for status in statuses
    ]
