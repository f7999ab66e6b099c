"""A closer look at one running server: what /props says of it, and its slots one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gputui.llama.probe import decode, fetch
from gputui.llama.wire import Props, Slot, count
from gputui.text import clean_line

if TYPE_CHECKING:
    import httpx

_MOST_SLOTS = 256
_TEMPLATES = (
    ("<|im_start|>", "ChatML"),
    ("<|start_header_id|>", "Llama 3"),
    ("<start_of_turn>", "Gemma"),
    ("<｜Assistant｜>", "DeepSeek"),
    ("<|channel|>", "Harmony"),
    ("<|assistant|>", "Phi or GLM"),
    ("[INST]", "Mistral"),
)
"""By what a chat template is recognised: the mark that begins a turn."""


class _PropsBody(Props, frozen=True):
    """With what is too long to be kept of every server."""

    chat_template: Any = None
    build_info: Any = None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself; "" and None are not known, all text is cleaned.

    ``context`` is that of one slot in tokens. ``template`` names the family that its chat template looks
    like, ``template_line`` is the template's first line. ``modalities`` are what it takes beside text.
    """

    model: str = ""
    ftype: str = ""
    slots: int | None = None
    context: int | None = None
    template: str = ""
    template_line: str = ""
    modalities: tuple[str, ...] | None = None
    build: str = ""
    sleeping: bool = False


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """One slot at one moment. Tokens: ``used`` are in its context of ``context``, ``decoded`` were generated
    for the task. ``prompt_progress`` is the share, 0 to 1, of a prompt in work that is processed, None once
    it generates, and where that is not told. ``tokens_per_second`` is a mean between two looks."""

    id: int
    busy: bool
    context: int | None = None
    used: int | None = None
    decoded: int | None = None
    prompt_progress: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a server; None is not known (yet), ``slots`` also where it does not tell them."""

    server: ServerFacts | None = None
    slots: tuple[SlotFacts, ...] | None = None


@dataclass(slots=True)
class Inspector:
    """The questions to one server. ``may_wake``: /slots disturbs no sleeping model."""

    url: str
    may_wake: bool
    last: Inspection = Inspection()
    _task: asyncio.Task[None] | None = None
    _decoded: Mapping[tuple[int, int], int] = field(default_factory=dict)
    _decoded_at: float = 0.0

    async def look(self, client: httpx.AsyncClient, patience: float) -> Inspection:
        """What is known after at most ``patience`` seconds; an unfinished round goes on behind.

        A server in the middle of a batch answers after it. Never raises.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._round(client), name=f"inspect {self.url}")
        await asyncio.wait({self._task}, timeout=patience)
        if self._task.done() and not self._task.cancelled():
            self._task.exception()  # what an odd server does to a round is not of interest here
        return self.last

    def cancel(self) -> None:
        """End an unfinished round."""
        if self._task is not None:
            self._task.cancel()

    async def _round(self, client: httpx.AsyncClient) -> None:
        known = self.last.server
        if known is None or known.sleeping or not self.may_wake:
            props = decode(await fetch(client, f"{self.url}/props"), _PropsBody)
            self.last = replace(self.last, server=server_facts(props) if props else known)
        known = self.last.server
        if known is None or known.sleeping or not self.may_wake:
            self.last = replace(self.last, slots=None)
            return
        body = decode(await fetch(client, f"{self.url}/slots"), list[Slot])
        self.last = replace(self.last, slots=None if body is None else self._slots(body))

    def _slots(self, body: Sequence[Slot]) -> tuple[SlotFacts, ...]:
        now = time.monotonic()
        body, passed = body[:_MOST_SLOTS], now - self._decoded_at
        before, self._decoded_at = self._decoded, now
        self._decoded = {slot.key: slot.decoded for slot in body if slot.is_processing is True}
        speeds = {
            key: (count - before[key]) / passed
            for key, count in self._decoded.items()
            if key in before and count > before[key] and passed > 0
        }
        return tuple(slot_facts(slot, number, speeds) for number, slot in enumerate(body))


def server_facts(props: _PropsBody) -> ServerFacts:
    """What /props says; other fields and other types are not known."""
    template = props.chat_template if isinstance(props.chat_template, str) else ""
    found = next((name for mark, name in _TEMPLATES if mark in template), "")
    kinds = props.modalities if isinstance(props.modalities, dict) else None
    return ServerFacts(
        model=_words(props.model_path),
        ftype=_words(props.model_ftype),
        slots=props.slots,
        context=props.context,
        template=found,
        template_line=clean_line(template.strip().partition("\n")[0], 300),
        modalities=None if kinds is None else tuple(k for k, on in kinds.items() if on is True),
        build=_words(props.build_info),
        sleeping=props.is_sleeping is True,
    )


def slot_facts(slot: Slot, number: int, speeds: Mapping[tuple[int, int], float]) -> SlotFacts:
    """One element of /slots; ``speeds`` are tokens per second by the slot's key."""
    busy, known = slot.is_processing is True, count(slot.id)
    return SlotFacts(
        id=number if known is None else known,
        busy=busy,
        context=count(slot.n_ctx),
        used=count(slot.n_prompt_tokens),
        decoded=slot.decoded if busy else None,
        prompt_progress=slot.prompt_share if slot.reads_prompt else None,
        tokens_per_second=speeds.get(slot.key),
    )


def _words(value: object) -> str:
    return clean_line(value, 300) if isinstance(value, str) else ""
