"""What panels are told: small facts in the past tense; intents end in Requested."""

from __future__ import annotations

from textual.message import Message

from gputui.errors import GputuiError
from gputui.gpu.sample import Snapshot
from gputui.instances.status import InstanceStatus


class SamplesTaken(Message, bubble=False):
    """A new sample of all GPUs; it is in the history already."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """Only the newest matters: a slow terminal drops samples from the screen, never from history."""
        return isinstance(message, SamplesTaken)


class InstancesObserved(Message, bubble=False):
    """The state of every instance now."""

    def __init__(self, statuses: tuple[InstanceStatus, ...]) -> None:
        super().__init__()
        self.statuses = statuses

    def can_replace(self, message: Message) -> bool:
        """Only the newest matters."""
        return isinstance(message, InstancesObserved)


class ProblemMet(Message):
    """Something went wrong that the user must be told."""

    def __init__(self, error: GputuiError) -> None:
        super().__init__()
        self.error = error
