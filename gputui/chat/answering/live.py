"""An answer while it is written: its text, its reasoning and its clock, fed by events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from gputui.chat.answering.buffer import TextBuffer
from gputui.chat.answering.measure import Stopwatch
from gputui.chat.answering.wire import Event, Finished, LeftOut, ModelNamed, TextDelta
from gputui.chat.model import Answer, Attachment, Endpoint, Settings, Turn
from gputui.text import clean_line


@dataclass(eq=False)
class Exchange:
    """One prompt as it was sent, to one side or to more. ``turn_id``: the store's, once it is kept.

    ``seed`` is for every side that has none of its own: drawn once for all, so that they are asked alike.
    """

    prompt: str
    attachments: tuple[Attachment, ...] = ()
    tag: str = ""
    seed: int | None = None
    created_at: float = field(default_factory=time.time)
    turn_id: int | None = None

    @classmethod
    def of(cls, turn: Turn) -> Exchange:
        """A kept turn, to be asked again."""
        return cls(turn.prompt, turn.attachments, turn.tag, None, turn.created_at, turn.id)

    def turn(self, answers: Mapping[str, Answer]) -> Turn:
        """It with its answers, by side."""
        return Turn(self.prompt, self.created_at, answers, self.turn_id, self.attachments, self.tag)


@dataclass(eq=False)
class LiveAnswer:
    """An answer while it is written. ``begun``: its request may go out; before, it waits for another.
    ``dropped``: without how many of the oldest turns; None while not known."""

    exchange: Exchange
    endpoint: Endpoint
    settings: Settings
    replaces: Turn | None = None
    task: asyncio.Task[None] | None = None
    model: str | None = None
    text: TextBuffer = field(default_factory=TextBuffer)
    reasoning: TextBuffer = field(default_factory=TextBuffer)
    watch: Stopwatch = field(default_factory=Stopwatch)
    finish_reason: str | None = None
    left_out: tuple[str, ...] = ()
    begun: bool = False
    dropped: int | None = None

    def take(self, at: float, event: Event) -> None:
        """Note an event that arrived at ``at``."""
        self.watch.take(at, event)
        match event:
            case TextDelta():
                (self.reasoning if event.reasoning else self.text).append(event.text)
            case Finished():
                self.finish_reason = event.reason
            case LeftOut():
                self.left_out = event.fields
            case ModelNamed():
                self.model = clean_line(event.model, 120)
            case _:
                pass

    def reads_prompt(self) -> bool:
        """Whether the server says that it is at the prompt."""
        return self.watch.measurement(time.monotonic()).prompt_progress is not None

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
            settings=self.settings,
            left_out=self.left_out,
            dropped=self.dropped,
        )
