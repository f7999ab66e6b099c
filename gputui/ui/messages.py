"""What panels are told: small facts in the past tense; intents end in Requested."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

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


@dataclass
class InstanceActionRequested(Message):
    """The user wants an instance started, stopped, restarted, or started or stopped (toggle)."""

    action: str
    name: str

    def __post_init__(self) -> None:
        super().__init__()
