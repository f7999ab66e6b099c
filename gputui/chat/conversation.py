"""Two sides and what they said: each answers in a task of its own, and neither can hurt the other."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from gputui.chat.answering.buffer import TextBuffer
from gputui.chat.answering.measure import Stopwatch
from gputui.chat.answering.wire import Event, Finished, ModelNamed, TextDelta
from gputui.chat.model import Answer, Endpoint, Message, Sampling, Turn
from gputui.errors import GputuiError
from gputui.text import clean, clean_line, error_words

if TYPE_CHECKING:
    import httpx

    from gputui.chat.keeping.store import Store

STOPPED = "stopped"
"""The ``finish_reason`` of an answer that the user stopped."""

Settings = Callable[[], tuple[str | None, Sampling]]


@dataclass(eq=False)
class Exchange:
    """One prompt as it was sent, to one side or to both. ``turn_id``: the store's, once it is kept."""

    prompt: str
    created_at: float = field(default_factory=time.time)
    turn_id: int | None = None


@dataclass(eq=False)
class _Live:
    """An answer while it is written."""

    exchange: Exchange
    endpoint: Endpoint
    replaces: Turn | None = None
    task: asyncio.Task[None] | None = None
    model: str | None = None
    text: TextBuffer = field(default_factory=TextBuffer)
    reasoning: TextBuffer = field(default_factory=TextBuffer)
    watch: Stopwatch = field(default_factory=Stopwatch)
    finish_reason: str | None = None

    def take(self, at: float, event: Event) -> None:
        """Note an event that arrived at ``at``."""
        self.watch.take(at, event)
        match event:
            case TextDelta():
                (self.reasoning if event.reasoning else self.text).append(event.text)
            case Finished():
                self.finish_reason = event.reason
            case ModelNamed():
                self.model = clean_line(event.model, 120)
            case _:
                pass

    def close(self) -> None:
        """No more comes."""
        self.watch.finish(time.monotonic())
        self.text.close()
        self.reasoning.close()

    def answer(self, side: str) -> Answer:
        """The answer as it is now."""
        endpoint = self.endpoint
        return Answer(
            side=side,
            name=endpoint.name,
            model=endpoint.served_model or self.model or endpoint.model or endpoint.name,
            text=self.text.text,
            reasoning=self.reasoning.text,
            finish_reason=self.finish_reason,
            measurement=self.watch.measurement(time.monotonic()),
        )


class Side:
    """One side: its endpoint, its own history, at most one answer at a time.

    ``problem`` says why the last retry brought nothing better than the answer before, which stays;
    None otherwise, and from the next ask on.
    """

    def __init__(
        self,
        name: str,
        client: Callable[[], Awaitable[httpx.AsyncClient]],
        settings: Settings,
        ended: Callable[[Exchange, Answer], None],
    ) -> None:
        self.name = name
        self.endpoint: Endpoint | None = None
        self.prompt = ""
        self.problem: GputuiError | None = None
        self.version = 0
        self._client = client
        self._settings = settings
        self._ended = ended
        self._live: _Live | None = None
        self._last: Exchange | None = None
        self._turns: list[Turn] = []

    @property
    def busy(self) -> bool:
        """True from ask to the end of the answer."""
        return self._live is not None

    @property
    def live(self) -> Answer | None:
        """The answer being written, its numbers as of now; None while not busy."""
        return self._live.answer(self.name) if self._live else None

    @property
    def finished(self) -> Sequence[Turn]:
        """The turns that this side answered, oldest first, each with this side's answer alone.

        An answer is the same object at each call. One that says something and is being replaced is
        there until the new one says something.
        """
        live = self._live
        if live is None or live.replaces is None:
            return self._turns
        replaced = live.text.text or not live.replaces.answers[self.name].text
        return self._turns[:-1] if replaced else self._turns

    def choose(self, endpoint: Endpoint | None) -> None:
        """Talk to that endpoint from now on; the side's history goes along. Stops a running answer."""
        if endpoint != self.endpoint:
            self.stop()
            self.endpoint = endpoint
            self.version += 1

    def ready(self) -> Endpoint:
        """The endpoint, if the side can be asked now. Raises GputuiError where it cannot."""
        if self.endpoint is None:
            raise GputuiError(f"Side {self.name} has no model", "Choose one first.")
        if self.busy:
            raise GputuiError(
                f"Side {self.name} is still answering", "Wait, or stop it and send again."
            )
        return self.endpoint

    def ask(self, exchange: Exchange) -> asyncio.Task[None]:
        """Answer a prompt, in a task of its own. Raises GputuiError where the side cannot be asked."""
        return self._begin(_Live(exchange, self.ready()))

    def retry(self) -> asyncio.Task[None]:
        """Answer the last prompt again; the last answer goes once the new one is worth it.

        Raises GputuiError where the side cannot be asked, or never was.
        """
        endpoint = self.ready()
        if self._last is None:
            raise GputuiError(f"Side {self.name} has nothing to retry", "Send a prompt first.")
        return self._begin(_Live(self._last, endpoint, replaces=self._turns[-1]))

    def stop(self) -> None:
        """Close the stream; what came is kept, ``finish_reason`` "stopped". Nothing when not busy."""
        task = self._live.task if self._live else None
        if task is not None and not task.cancelling():
            task.cancel()

    def messages(self, prompt: str) -> list[Message]:
        """What the server is sent: the answered turns, and the prompt.

        A turn that failed or said nothing is left out whole: two questions in a row break the chat
        templates that want the roles to alternate. So is the one that is being answered again.
        """
        system, _ = self._settings()
        messages = [Message("system", system)] if system else []
        again = self._live is not None and self._live.replaces is not None
        for turn in self._turns[:-1] if again else self._turns:
            answer = turn.answers[self.name]
            if answer.error is None and answer.text:
                messages += [Message("user", turn.prompt), Message("assistant", answer.text)]
        return [*messages, Message("user", prompt)]

    def _begin(self, live: _Live) -> asyncio.Task[None]:
        self._live, self._last = live, live.exchange
        self.prompt, self.problem = live.exchange.prompt, None
        self.version += 1
        live.task = asyncio.create_task(self._receive(live), name=f"answer {self.name}")
        live.task.add_done_callback(partial(self._end, live))
        return live.task

    def _end(self, live: _Live, task: asyncio.Task[None]) -> None:
        """The task of an answer is over, whatever happened: the side is free and says what it was."""
        live.close()
        answer = live.answer(self.name)
        if task.cancelled():
            answer = replace(answer, finish_reason=STOPPED)
        elif error := task.exception():
            problem = _in_words(error)
            answer = replace(answer, finish_reason=None, error=problem.message, hint=problem.hint)
        self._live = None
        self.version += 1
        if live.replaces is not None:
            if _is_worse(answer, live.replaces.answers[self.name]):
                self.problem = _retry_problem(answer)
                return
            self._turns.pop()
        turn = Turn(live.exchange.prompt, live.exchange.created_at, {self.name: answer})
        self._turns.append(turn)
        self._ended(live.exchange, answer)

    async def _receive(self, live: _Live) -> None:
        client = await self._client()
        from gputui.chat.answering.client import stream  # loaded by then, off the event loop

        _, sampling = self._settings()
        messages = self.messages(live.exchange.prompt)
        arrivals = stream(client, live.endpoint, messages, sampling)
        async with contextlib.aclosing(arrivals):
            async for arrival in arrivals:
                for event in arrival.events:
                    live.take(arrival.at, event)
                self.version += 1


def _is_worse(new: Answer, old: Answer) -> bool:
    """Whether the second answer to a prompt would lose what the first one said."""
    if not old.text:
        return False
    if new.error is not None:
        return old.error is None or not new.text
    return new.finish_reason == STOPPED and not new.text


def _retry_problem(answer: Answer) -> GputuiError | None:
    """Why the retry failed; None where the user stopped it."""
    if answer.error is None:
        return None
    hint = f"{answer.hint} The answer before stays.".strip()
    return GputuiError(f"Retry failed: {answer.error}", hint)


def _open_client() -> httpx.AsyncClient:
    from gputui.chat.answering.client import make_client

    return make_client()


def _in_words(error: BaseException) -> GputuiError:
    if isinstance(error, GputuiError):
        return error
    what = error_words(error, 300)
    return GputuiError(f"gputui failed on this answer: {what}", "Please report it.")


class Conversation:
    """Both sides, and the store that keeps their turns (None: nowhere).

    ``system`` and ``sampling`` hold for both sides, from the next prompt on. ``store_problem`` says
    in words why turns are not being kept, None while they are; the chat goes on without.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.sampling = Sampling()
        self.system: str | None = None
        self.store_problem: str | None = None
        self.sides: Mapping[str, Side] = {
            name: Side(name, self._shared_client, self._settings, self._keep) for name in ("A", "B")
        }
        self._store = store
        self._http: httpx.AsyncClient | None = None
        self._conversation_id: int | None = None
        self._unsaved: list[tuple[Exchange, Answer]] = []
        self._saving = asyncio.Lock()
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, prompt: str, sides: Sequence[str] = ("A", "B")) -> None:
        """Ask those sides, each in a task of its own; must be called in the event loop.

        Raises GputuiError where a side is busy or has no endpoint; then none is asked.
        """
        prompt = clean(prompt)
        if not prompt.strip():
            raise GputuiError("The prompt is empty", "Type something first.")
        for name in sides:
            self.sides[name].ready()
        exchange = Exchange(prompt)
        for name in sides:
            self._follow(self.sides[name].ask(exchange))

    def retry(self, side: str) -> None:
        """Ask that side its last prompt again, as ``Side.retry`` does. Raises GputuiError."""
        self._follow(self.sides[side].retry())

    def stop(self) -> None:
        """Stop every side."""
        for side in self.sides.values():
            side.stop()

    def stop_endpoint(self, url: str) -> None:
        """Stop every side that talks to that endpoint: its server is about to be stopped."""
        for side in self.sides.values():
            if side.endpoint is not None and side.endpoint.url == url:
                side.stop()

    def answers_from(self, url: str) -> bool:
        """Whether an answer of that endpoint is being written."""
        return any(
            side.busy and side.endpoint is not None and side.endpoint.url == url
            for side in self.sides.values()
        )

    async def wait(self) -> None:
        """Return when no side is busy and everything is kept."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop all, wait for the tasks, keep what came, close the HTTP client and the store."""
        self.stop()
        await self.wait()
        if self._http is not None:
            await self._http.aclose()
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    def _follow(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shared_client(self) -> httpx.AsyncClient:
        """The client of both sides. Loading it takes a quarter of a second: not on the event loop."""
        async with self._opening:
            if self._http is None:
                self._http = await asyncio.to_thread(_open_client)
            return self._http

    def _settings(self) -> tuple[str | None, Sampling]:
        return self.system, self.sampling

    def _keep(self, exchange: Exchange, answer: Answer) -> None:
        """A side's turn is finished: into the store, on a thread of its own."""
        if self._store is not None:
            self._unsaved.append((exchange, answer))
            self._follow(asyncio.create_task(self._save(self._store), name="keep turns"))

    async def _save(self, store: Store) -> None:
        """Keep what is not kept yet; what fails stays for the next time."""
        async with self._saving:
            try:
                while self._unsaved:
                    await asyncio.to_thread(self._save_one, store, *self._unsaved[0])
                    self._unsaved.pop(0)
                self.store_problem = None
            except GputuiError as error:
                self.store_problem = str(error)

    def _save_one(self, store: Store, exchange: Exchange, answer: Answer) -> None:
        if self._conversation_id is None:
            self._conversation_id = store.new_conversation(exchange.created_at)
        if exchange.turn_id is None:
            exchange.turn_id = store.new_turn(
                self._conversation_id, exchange.prompt, exchange.created_at
            )
        store.save_answer(exchange.turn_id, answer)
