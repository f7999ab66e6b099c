"""Blind mode: who sits where is drawn by lot, and until the vote nothing that is said tells it.

A side asks here what may be said of it, so that whatever shows a side (its pane, its frame, a copy, a
toast, an alert) can say no more than that. What the program itself needs to know, it knows: who is asked
(``Side.seated``), and what is kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gputui.chat.model import Answer, Endpoint, Measurement, Settings, Turn
from gputui.errors import GputuiError

if TYPE_CHECKING:
    from gputui.chat.side import Side

NOBODY = Endpoint(name="", url="")
"""Who sits on a side, as long as that is hidden."""
FAILED = "This answer failed"
FAILED_HINT = "Why is told after the vote, which is not blind now. A retry asks both sides again."
TOLD_STOPPED = "An answer was stopped, which tells who is slower"
TOLD_FAILED = "An answer failed, which tells who sits where"
TOLD_NOT_READY = "A model was not ready meanwhile, which can tell who sits where"


class Blind:
    """Off, drawn and hidden, or voted and open until the next prompt.

    ``sides`` are the conversation's. ``shuffle`` draws: it brings a list into an order that nobody knows.
    """

    def __init__(self, sides: Callable[[], Mapping[str, Side]] = dict) -> None:
        self.shuffle: Callable[[list[Endpoint] | list[str]], None] = random.SystemRandom().shuffle
        self._sides = sides
        self._on = False
        self._drawn: Sequence[str] | None = None
        self._since = 0.0
        self._own: Mapping[str, Settings] = {}
        self._veiled: dict[int, tuple[Turn, Turn]] = {}
        self._told = ""

    # ── its state ────────────────────────────────────────────────────────────────────────────

    @property
    def on(self) -> bool:
        """Whether each vote is followed by a new draw."""
        return self._on

    @property
    def hidden(self) -> bool:
        """Whether nobody may know who sits where."""
        return self._drawn is not None

    @property
    def told(self) -> str:
        """What has told, or can have told, who sits where in this draw, in words; "" for nothing. A retry
        does not take it back."""
        return self._told

    @property
    def due(self) -> bool:
        """Whether the next prompt is for a new draw: the vote on the last one is cast."""
        return self._on and not self.hidden

    @property
    def writing(self) -> bool:
        """Whether nothing of the newest answers may be shown, since one of them is not finished."""
        return self.hidden and any(side.busy for side in self._sides().values())

    @property
    def written_for(self) -> float:
        """Seconds since the newest prompt: the only clock that both sides show."""
        return time.monotonic() - self._since

    def begin(self) -> None:
        """Be on from the next new conversation. Raises GputuiError where there are no two to draw."""
        sides = list(self._sides().values())
        seated = [side.seated for side in sides if side.seated is not None]
        if len(sides) != 2 or len(seated) != 2:
            raise GputuiError("Blind mode needs two models", "Choose one for each side first.")
        if seated[0].name == seated[1].name:
            raise GputuiError(
                f"{seated[0].name} sits on both sides", "Choose another model for one of them."
            )
        if any(side.busy for side in sides):
            raise GputuiError("An answer is being written", "Wait, or stop it first.")
        if not self._on:
            self._on, self._own = True, {side.name: side.settings for side in sides}

    def reveal(self) -> None:
        """The vote is cast: everything may be said."""
        if self.hidden:
            self._drawn = None
            self._changed()

    def end(self) -> None:
        """Leave blind mode; a draw that was not voted on ends without a vote. Nothing while it is off."""
        if not self._on:
            return
        self._on, self._drawn = False, None
        for name, settings in self._own.items():
            if name in self._sides():
                self._sides()[name].settings = settings
        self._changed()

    # ── what the conversation tells and asks ─────────────────────────────────────────────────

    def begun(self, turns: Sequence[Turn]) -> None:
        """A conversation was begun: an empty one with a new draw, a kept one is no riddle any more."""
        if turns:
            self.end()
        elif self._on:
            self._draw()

    def seats_changed(self) -> None:
        """Whoever is given another seat, or takes one, ends the draw that was made with those before."""
        if self.hidden and self._seats() != self._drawn:
            self.end()

    def check(self, sides: Sequence[str]) -> None:
        """Raises GputuiError where a question to those sides would tell them apart."""
        self.check_retry()
        if self._on and set(sides) != set(self._sides()):
            raise GputuiError(
                "In blind mode both sides are asked", "ctrl+t sends to both; /blind off ends it."
            )

    def check_retry(self) -> None:
        """Raises GputuiError while answers are hidden that one side could have finished."""
        if self.writing:
            raise GputuiError("Both answers are being written", "Wait, or stop them first.")

    def order(self, sides: Sequence[str]) -> Sequence[str]:
        """The order in which they are asked: one after the other, the GPUs would tell who is A."""
        self._since = time.monotonic()
        order = list(sides)
        if self.hidden:
            self.shuffle(order)
        return order

    def together(self, side: str) -> Sequence[str]:
        """Who is asked again with that side: of one alone it would be seen on which GPU it is."""
        return list(self._sides()) if self.hidden else [side]

    def fellows(self, side: Side) -> Sequence[Side]:
        """Who is stopped with that side: one that had finished already would tell itself by that."""
        return list(self._sides().values()) if self.hidden else [side]

    def ended(self, told: str = "") -> None:
        """A side's answer is finished; the other side may be waiting to show its own. ``told``: what that
        tells of who sits where."""
        if self.hidden:
            self._told = self._told or told
            self._changed()

    def not_ready(self) -> None:
        """One who was asked stopped, failed or was started again, for all to see."""
        if self.hidden and any(side.exchange is not None for side in self._sides().values()):
            self._told = self._told or TOLD_NOT_READY

    # ── what may be said of a side ───────────────────────────────────────────────────────────

    def endpoint(self, seated: Endpoint | None) -> Endpoint | None:
        """Who sits there."""
        return NOBODY if self.hidden and seated is not None else seated

    def turns(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        """What was answered there; the same objects for the same turns, as long as it is hidden."""
        return [self._veil(turn) for turn in turns] if self.hidden else turns

    def answer(self, answer: Answer) -> Answer:
        """An answer without what tells whose it is: names, figures, settings, reasoning (which one
        model has and another has not), the words of an error."""
        if not self.hidden:
            return answer
        bare = Answer(answer.side, "", "", answer.text, finish_reason=answer.finish_reason)
        return replace(bare, error=FAILED, hint=FAILED_HINT) if answer.error else bare

    def unfinished(self, side: str) -> Answer:
        """What is shown of both sides alike until both have finished."""
        return Answer(side, "", "", "", measurement=Measurement(elapsed_seconds=self.written_for))

    def _veil(self, turn: Turn) -> Turn:
        known = self._veiled.get(id(turn))
        if known is None:  # the turn is kept beside it, so that no other one gets its id
            answers = {side: self.answer(answer) for side, answer in turn.answers.items()}
            known = self._veiled[id(turn)] = (turn, replace(turn, answers=answers))
        return known[1]

    # ── the draw ─────────────────────────────────────────────────────────────────────────────

    def _draw(self) -> None:
        """Both are asked alike, too: settings of one side would tell it, or go to the other model."""
        self._drawn, self._told = None, ""
        sides = list(self._sides().values())
        endpoints = [side.seated for side in sides if side.seated is not None]
        self.shuffle(endpoints)
        for side, endpoint in zip(sides, endpoints, strict=True):
            side.choose(endpoint)
            side.settings = Settings()
        self._drawn = self._seats()
        self._changed()

    def _seats(self) -> Sequence[str]:
        return [side.seated.name if side.seated else "" for side in self._sides().values()]

    def _changed(self) -> None:
        if not self.hidden:
            self._veiled.clear()
        for side in self._sides().values():
            side.version += 1
