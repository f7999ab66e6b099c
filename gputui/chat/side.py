"""One side of a conversation: whom it asks, what was said, and at most one answer at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gputui.chat.answering.aftermath import Aftermath
from gputui.chat.asking import context
from gputui.chat.asking.notes import TurnNote, note_of
from gputui.chat.asking.settings import sent
from gputui.chat.model import STOPPED, Answer, Attachment, Endpoint, Message, Settings, Turn
from gputui.chat.voting.blind import TOLD_FAILED, TOLD_STOPPED
from gputui.errors import GputuiError

if TYPE_CHECKING:
    from gputui.chat.answering.live import Exchange, LiveAnswer
    from gputui.chat.common import Common


class Side:
    """One side: its endpoint, its own history, at most one answer at a time.

    ``seated`` is who answers here. In blind mode ``endpoint``, ``live`` and ``finished``, by which a side
    is shown, say of it only what may be known.
    ``settings`` are this side's own, where they are to differ from those of both. ``problem`` says why
    the last retry brought nothing better than the answer before, which stays; None otherwise, and from
    the next ask on. ``dropped`` counts the oldest turns that are not sent any more. ``version`` is another
    one whenever there is something new to draw; ``grown`` counts how often that was only that the answer
    that is being written grew.
    """

    def __init__(self, name: str, common: Common) -> None:
        self.name = name
        self.settings = Settings()
        self.seated: Endpoint | None = None
        self.prompt = ""
        self.problem: GputuiError | None = None
        self.version = 0
        self.grown = 0
        self.dropped = 0
        self._common = common
        self._live: LiveAnswer | None = None
        self._last: Exchange | None = None
        self._turns: list[Turn] = []
        self._after = Aftermath(common.beside)

    @property
    def lingering(self) -> str:
        """What the server still does with the answer that was stopped, in words; "" where nothing is known.

        Only a llama-server says so. It is over when the slot is free, and with the next prompt.
        """
        return "" if self.busy or self.veiled else self._after.words

    @property
    def watched(self) -> bool:
        """Whether the server is being looked at after a stop: ``lingering`` may change."""
        return not self.busy and self._after.looking

    @property
    def busy(self) -> bool:
        """True from ask to the end of the answer."""
        return self._live is not None

    @property
    def endpoint(self) -> Endpoint | None:
        """Who answers here, as far as that may be known."""
        return self._common.blind.endpoint(self.seated)

    @property
    def veiled(self) -> bool:
        """Whether it is hidden who answers here."""
        return self._common.blind.hidden

    @property
    def waiting(self) -> bool:
        """Whether it is asked, and another side has to end before its request goes out."""
        return self._live is not None and not self._live.begun and not self.veiled

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The sides of which one has to end before this one is asked; () where it does not wait."""
        return self._common.gate.inside if self.waiting else ()

    @property
    def context_use(self) -> context.ContextUse | None:
        """How much of the server's context the conversation uses; None where that is not known, or may
        not be."""
        if self.veiled:
            return None
        live = self.live if self._live and self._live.begun else None
        return context.use(self._turns, self.name, live, self.endpoint, self.dropped)

    @property
    def asked_at(self) -> float | None:
        """When the newest prompt was sent, in Unix time: the ``created_at`` of its turn. None before any."""
        return self._last.created_at if self._last else None

    @property
    def live(self) -> Answer | None:
        """The answer being written, its numbers as of now; None while not busy.

        While it is hidden who answers: the same of both sides, until both have finished.
        """
        if self._common.blind.writing:
            return self._common.blind.unfinished(self.name)
        return self._live.answer(self.name) if self._live else None

    @property
    def newest(self) -> Turn | None:
        """The newest turn as it is, hidden or not; None while busy, and before any."""
        return self._turns[-1] if self._turns and self._live is None else None

    @property
    def exchange(self) -> Exchange | None:
        """The newest prompt; None before any."""
        return self._last

    @property
    def finished(self) -> Sequence[Turn]:
        """The turns that this side answered, oldest first, each with this side's answer alone.

        An answer is the same object at each call. One that says something and is being replaced is
        there until the new one says something.
        """
        live, blind = self._live, self._common.blind
        if blind.writing and (live is None or live.replaces is not None):
            return blind.turns(self._turns[:-1])
        if live is None or live.replaces is None:
            return blind.turns(self._turns)
        replaced = live.text.text or not live.replaces.answers[self.name].text
        return self._turns[:-1] if replaced else self._turns

    def choose(self, endpoint: Endpoint | None) -> None:
        """Talk to that endpoint from now on; the side's history goes along. Stops a running answer."""
        if endpoint != self.seated:
            self.stop()
            self.leave_server()
            self.seated = endpoint
            self.version += 1
            self._common.blind.seats_changed()

    def learn(self, endpoint: Endpoint) -> None:
        """The same endpoint, of which more is known now: an answer that is being written goes on."""
        if endpoint != self.seated:
            self.seated = endpoint
            self.version += 1

    def drop(self, count: int) -> None:
        """Leave out the ``count`` oldest turns from the next prompt on; 0 takes all back in."""
        self.dropped = max(0, min(count, len(self._turns)))
        self.version += 1

    def touch(self) -> None:
        """There is something new to draw: what it is asked with, for one."""
        self.version += 1

    def note_of(self, turn: Turn) -> TurnNote:
        """What is to be said beside one of its finished turns."""
        others = {
            one.name: one.finished for one in self._common.sides().values() if one is not self
        }
        note = note_of(self.name, turn, self._turns, self.dropped, others)
        name = turn.answers[self.name].name  # "" while that is hidden
        by = name if not self.endpoint or self.endpoint.name != name else ""
        return replace(note, voted=self._common.votes.get(turn.created_at, ""), by=by)

    def take_up(self, turns: Sequence[Turn]) -> None:
        """Have said this, in place of all before: of each turn, what this side answered."""
        from gputui.chat.answering.live import Exchange

        self._turns = self._own(turns)
        self._last = Exchange.of(self._turns[-1]) if self._turns else None
        self.problem = None
        self.dropped = 0
        self.leave_server()
        self.version += 1

    def take_up_older(self, turns: Sequence[Turn]) -> None:
        """Have said this before all that is there, also while an answer is being written."""
        from gputui.chat.answering.live import Exchange

        older = self._own(turns)
        self._turns = [*older, *self._turns]  # who draws the turns has those of before
        self.dropped += len(older) * bool(self.dropped)
        if self._last is None and self._turns:
            self._last = Exchange.of(self._turns[-1])
        self.version += 1

    def _own(self, turns: Sequence[Turn]) -> list[Turn]:
        """Those that this side answered, each with its answer alone."""
        return [
            Turn(
                turn.prompt, turn.created_at, {self.name: one}, turn.id, turn.attachments, turn.tag
            )
            for turn in turns
            if (one := turn.answers.get(self.name)) is not None
        ]

    def ready(self, attachments: Sequence[Attachment] = ()) -> Endpoint:
        """The endpoint, if the side can be asked now, with those. Raises GputuiError where it cannot."""
        from gputui.chat.asking.attachments import check_sight

        if self.seated is None:
            raise GputuiError(f"Side {self.name} has no model", "Choose one first.")
        if self.busy:
            raise GputuiError(
                f"Side {self.name} is still answering", "Wait, or stop it and send again."
            )
        check_sight(self.seated, attachments, named=not self._common.blind.hidden)
        return self.seated

    def ask(self, exchange: Exchange) -> asyncio.Task[None]:
        """Answer a prompt, in a task of its own. Raises GputuiError where the side cannot be asked."""
        from gputui.chat.answering.live import LiveAnswer

        endpoint = self.ready(exchange.attachments)
        return self._begin(LiveAnswer(exchange, endpoint, self.resolved(exchange.seed)))

    def retry(self, seed: int | None = None) -> asyncio.Task[None]:
        """Answer the last prompt again; the last answer goes once the new one is worth it.

        ``seed`` is used where the settings have none: with the last one it would say the same. Raises
        GputuiError where the side cannot be asked, or never was.
        """
        from gputui.chat.answering.live import LiveAnswer

        endpoint = self.ready(self._last.attachments if self._last else ())
        if self._last is None:
            raise GputuiError(f"Side {self.name} has nothing to retry", "Send a prompt first.")
        again = LiveAnswer(self._last, endpoint, self.resolved(seed), replaces=self._turns[-1])
        return self._begin(again)

    def stop(self) -> None:
        """Close the stream; what came is kept, ``finish_reason`` "stopped". Nothing when not busy.

        In a blind draw all sides are stopped: one that had finished already would tell itself by that.
        """
        for side in self._common.blind.fellows(self):
            side._cancel()

    def _cancel(self) -> None:
        task = self._live.task if self._live else None
        if task is not None and not task.cancelling():
            task.cancel()

    def leave_server(self) -> None:
        """Look at the server no more."""
        self._after.leave()

    async def messages(self, exchange: Exchange) -> list[Message]:
        """What the server is sent: the answered turns, and the prompt.

        A turn that failed or said nothing is left out whole: two questions in a row break the chat
        templates that want the roles to alternate. So is the one that is being answered again, and those
        that the user dropped.
        """
        from gputui.chat.asking.attachments import user_message

        system = (self._live.settings if self._live else self.resolved(None)).system
        messages = [Message("system", system)] if system else []
        again = self._live is not None and self._live.replaces is not None
        sees = self.seated.sees if self.seated else None
        for turn in (self._turns[:-1] if again else self._turns)[self.dropped :]:
            if context.is_sent(turn, self.name):
                files = await self._common.with_pictures(turn.id, turn.attachments)
                asked = user_message(turn.prompt, files, sees=sees)
                messages += [asked, Message("assistant", turn.answers[self.name].text)]
        files = await self._common.with_pictures(exchange.turn_id, exchange.attachments)
        if lost := next((one.name for one in files if not one.data), ""):
            raise GputuiError(f"{lost} cannot be read any more", "Attach it again.")
        return [*messages, user_message(exchange.prompt, files)]

    def resolved(self, seed: int | None) -> Settings:
        """The settings as they would be sent now; ``seed`` where nobody chose one."""
        return sent(self.seated, self.settings, self._common.settings, seed)

    def _begin(self, live: LiveAnswer) -> asyncio.Task[None]:
        self.leave_server()
        self._live, self._last = live, live.exchange
        self.prompt, self.problem = live.exchange.prompt, None
        self.version += 1
        live.task = asyncio.create_task(self._receive(live), name=f"answer {self.name}")
        live.task.add_done_callback(partial(self._end, live))
        return live.task

    def _end(self, live: LiveAnswer, task: asyncio.Task[None]) -> None:
        """The task of an answer is over, whatever happened: the side is free and says what it was."""
        from gputui.chat.answering.endings import in_words, is_worse, retry_problem

        live.close()
        answer = live.answer(self.name)
        self._after.ended(live, self.seated if task.cancelled() else None)
        if task.cancelled():
            answer = replace(answer, finish_reason=STOPPED)
        elif error := task.exception():
            problem = in_words(error, live, self.name, self._turns, self.dropped)
            self._learn_size(error, live.endpoint)
            answer = replace(answer, finish_reason=None, error=problem.message, hint=problem.hint)
        self._live = None
        self.version += 1
        if live.replaces is not None:
            if is_worse(answer, live.replaces.answers[self.name]):
                self.problem = retry_problem(self._common.blind.answer(answer))
                self._common.blind.ended(_told_by(answer))
                return
            self._turns.pop()
        self._turns.append(live.exchange.turn({self.name: answer}))
        self._common.blind.ended(_told_by(answer))
        self._common.ended(live.exchange, answer)

    def _learn_size(self, error: BaseException, endpoint: Endpoint) -> None:
        """A server that refused a conversation as too long has said how long it may be."""
        from gputui.chat.answering.overflow import ContextExceededError

        size = error.context if isinstance(error, ContextExceededError) else None
        if size and self.seated is not None and self.seated.url == endpoint.url:
            self.learn(replace(self.seated, context=size))

    async def _receive(self, live: LiveAnswer) -> None:
        whole = await self._common.whole()
        async with self._common.gate.passed(self.name):
            live.begun = True
            live.dropped = self.dropped if whole else None
            self.version += 1
            await self._stream(live)

    async def _stream(self, live: LiveAnswer) -> None:
        client = await self._common.client()
        from gputui.chat.answering.client import stream  # loaded by then, off the event loop

        self._after.begun(client, live)
        messages = await self.messages(live.exchange)
        sampling, refusals = live.settings.sampling, self._common.refusals
        arrivals = stream(client, live.endpoint, messages, sampling, refusals)
        async with contextlib.aclosing(arrivals):
            async for arrival in arrivals:
                for event in arrival.events:
                    live.take(arrival.at, event)
                if not self.veiled:  # then there is nothing new to draw
                    self.version += 1
                    self.grown += 1


def _told_by(answer: Answer) -> str:
    """What its end tells of who answered, in a blind draw."""
    if answer.error is not None:
        return TOLD_FAILED
    return TOLD_STOPPED if answer.finish_reason == STOPPED else ""
