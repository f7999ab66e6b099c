"""A whole screen over the dashboard, told of all that the dashboard is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from textual.app import SystemCommand

from gputui.gpu.sample import Snapshot
from gputui.ui.still import StillScreen


@dataclass(frozen=True, slots=True)
class Seen:
    """What the dashboard knows: the newest sample (None before any), and the names of our instances by
    pid."""

    snapshot: Snapshot | None
    instances: Mapping[int, str]


class Overlay(StillScreen[None]):
    """One of the dashboard's further screens; ``show_keys`` opens the list of keys."""

    def __init__(self, show_keys: Callable[[], None]) -> None:
        super().__init__()
        self._show_keys = show_keys

    def take(self, seen: Seen) -> None:
        """Something new is known; called for each sample while the screen is open."""
        raise NotImplementedError

    def action_keys(self) -> None:
        self._show_keys()

    def restyle(self) -> None:
        """Draw everything again in the theme of now."""
        raise NotImplementedError

    def commands(self) -> Iterator[SystemCommand]:
        """What the command palette offers here."""
        yield from ()
