"""What panels are told: small facts in the past tense; intents end in Requested."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property

from textual.message import Message
from textual.message_pump import MessagePump

from gputui.errors import GputuiError
from gputui.gpu.sample import Snapshot
from gputui.instances.status import InstanceStatus


class SamplesTaken(Message, bubble=False):
    """New samples of all GPUs; they are in the history already. ``snapshot`` is the newest."""

    def __init__(self, newest: Callable[[], Snapshot]) -> None:
        super().__init__()
        self._newest = newest

    @cached_property
    def snapshot(self) -> Snapshot:
        """The newest when it is first looked at: a slow terminal drops samples from the screen, never
        from the history."""
        return self._newest()


class Newest:
    """The newest snapshot on its way to ``target``, from any thread.

    A trace played at speed gives thousands a second: one message at a time is under way.
    """

    def __init__(self, target: MessagePump) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._under_way = False

    def put(self, snapshot: Snapshot) -> None:
        """Send ``snapshot``, unless a later one is put before it arrives. Raises RuntimeError where
        the target's loop is gone."""
        with self._lock:
            self._snapshot = snapshot
            if self._under_way:
                return
            self._under_way = True
        sent = False
        try:
            sent = self._target.post_message(SamplesTaken(self._take))
        finally:
            if not sent:
                self._under_way = False

    def _take(self) -> Snapshot:
        with self._lock:
            assert self._snapshot is not None  # noqa: S101 - a message follows a snapshot
            self._under_way = False
            return self._snapshot


class InstancesObserved(Message, bubble=False):
    """The state of every instance now."""

    def __init__(self, statuses: tuple[InstanceStatus, ...]) -> None:
        super().__init__()
        self.statuses = statuses

    def can_replace(self, message: Message) -> bool:
        """Only the newest matters."""
        return isinstance(message, InstancesObserved)


class AnswersStreamed(Message):
    """Answers began to be written, or the last one that was is finished."""

    def __init__(self, streaming: bool) -> None:
        super().__init__()
        self.streaming = streaming


class ProblemMet(Message):
    """Something went wrong that the user must be told."""

    def __init__(self, error: GputuiError) -> None:
        super().__init__()
        self.error = error
