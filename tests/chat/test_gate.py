"""How many answer at once: never more than may, in their order, whatever comes between."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gputui.chat.answering.gate import Gate


@dataclass(eq=False)
class Guest:
    """One that wants to pass: a task that stays inside until it may go."""

    name: str
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    inside: bool = False
    task: asyncio.Task[None] | None = None


class Gates(RuleBasedStateMachine):
    """The gate beside a plain model of it: who is inside, who waits, in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.gate = Gate(1)
        self.inside: list[Guest] = []
        self.waiting: list[Guest] = []
        self.count = 0

    def settle(self) -> None:
        async def some_rounds() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        self.loop.run_until_complete(some_rounds())

    def admit(self) -> None:
        limit = self.gate.limit
        while self.waiting and (limit is None or len(self.inside) < limit):
            self.inside.append(self.waiting.pop(0))

    @rule()
    def come(self) -> None:
        self.count += 1
        guest = Guest(str(self.count))

        async def stay() -> None:
            async with self.gate.passed(guest.name):
                guest.inside = True
                try:
                    await guest.leave.wait()
                finally:
                    guest.inside = False

        guest.task = self.loop.create_task(stay())
        self.settle()
        self.waiting.append(guest)
        self.admit()

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        guest = data.draw(st.sampled_from(self.inside))
        guest.leave.set()
        self.settle()
        self.inside.remove(guest)
        self.admit()

    @precondition(lambda self: self.inside or self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        guest = data.draw(st.sampled_from([*self.inside, *self.waiting]))
        assert guest.task is not None
        guest.task.cancel()
        self.settle()
        (self.inside if guest in self.inside else self.waiting).remove(guest)
        self.admit()

    @precondition(lambda self: len(self.waiting) >= 2 and self.inside)
    @rule()
    def one_leaves_as_the_next_is_cancelled(self) -> None:
        """In one turn of the loop: the place that comes free goes to nobody who is gone."""
        first, following = self.inside[0], self.waiting[0]
        first.leave.set()
        assert following.task is not None
        self.loop.call_soon(self.loop.call_soon, following.task.cancel)
        self.settle()
        self.inside.remove(first)
        self.waiting.remove(following)
        self.admit()

    @rule(limit=st.none() | st.integers(1, 4))
    def change(self, limit: int | None) -> None:
        self.gate.limit = limit
        self.settle()
        self.admit()

    @invariant()
    def as_the_model_says(self) -> None:
        assert self.gate.inside == tuple(guest.name for guest in self.inside)
        assert all(guest.inside for guest in self.inside)
        assert not any(guest.inside for guest in self.waiting)

    def teardown(self) -> None:
        async def end() -> None:
            for guest in [*self.inside, *self.waiting]:
                assert guest.task is not None
                guest.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await guest.task

        self.loop.run_until_complete(end())
        assert self.gate.inside == ()
        self.loop.close()


TestGates = Gates.TestCase
TestGates.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
