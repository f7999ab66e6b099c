"""Programs for the driver's tests, run as ``python -m tests.ui.terminal.programs NAME FILE``.

``FILE`` gets a line for each thing that the test waits for or counts.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.strip import Segment, Strip
from textual.widget import Widget

from gputui.ui.terminal.driver import DifferenceDriver
from gputui.ui.terminal.picture import Picture
from tests.support.waiting import wait_for

FRAME_SECONDS = 0.02


def tell(line: str) -> None:
    with Path(sys.argv[2]).open("a") as file:
        file.write(f"{line}\n")


class Noise(Widget):
    """A screen that is another one at each frame; its last row says which key was pressed."""

    pressed = ""
    frames = 0
    busy = True

    def on_mount(self) -> None:
        self.set_interval(FRAME_SECONDS, self._step)

    def _step(self) -> None:
        if self.busy:
            self.frames += 1
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if y == height - 1:
            text = f"pressed {self.pressed}"
        elif self.busy:
            chance = random.Random(self.frames * height + y)  # noqa: S311
            text = "".join(chance.choice("abcdefgh ") for _ in range(width))
        else:
            text = f"row {y} of {self.frames} frames"
        return Strip([Segment(text.ljust(width)[:width])])


class Busy(App[None]):
    """Changes all of the screen all the time, until ``!``; ``q`` leaves, ``e`` suspends."""

    CSS = "Noise { width: 100%; height: 100%; }"
    ENABLE_COMMAND_PALETTE = False

    def compose(self) -> ComposeResult:
        yield Noise()

    def on_key(self, event: events.Key) -> None:
        noise = self.query_one(Noise)
        if event.key == "q":
            tell(f"frames {noise.frames}")
            self.exit()
        elif event.key == "e":
            with self.suspend():
                tell(f"cooked {sys.__stdin__.readline().strip()}")  # type: ignore[union-attr]
        elif event.character == "!":
            noise.busy = False
            noise.refresh()
            tell(f"frames {noise.frames}")
        elif event.character:
            noise.pressed += event.character
            self.cursor_position = Offset(
                0, noise.size.height - 1
            )  # where is typed, as in an input
            noise.refresh()
            tell(f"pressed {event.character}")

    def on_paste(self, event: events.Paste) -> None:
        tell(f"pasted {event.text}")


def busy() -> None:
    Busy(driver_class=DifferenceDriver).run()
    tell("left")


def failing() -> None:
    """The picture fails once something is typed."""

    def take(_picture: Picture, _most: int | None = None) -> str:
        raise ZeroDivisionError("the picture failed")

    def fail(app: Busy, _event: events.Key) -> None:
        Picture.take = take  # type: ignore[method-assign]

    Busy.on_key = fail  # type: ignore[method-assign]
    busy()


def history() -> None:
    """The dashboard; how often its source was asked, and how many of the answers its history kept."""
    from gputui.cli.compose import Options
    from gputui.cli.dashboard import make_services
    from gputui.gpu.sample import Snapshot
    from gputui.gpu.simulated import SimulatedSource
    from gputui.ui.app import GputuiApp

    taken: list[Snapshot] = []
    sample = SimulatedSource.sample

    def counted(source: SimulatedSource) -> Snapshot:
        taken.append(found := sample(source))
        return found

    SimulatedSource.sample = counted  # type: ignore[method-assign]
    services = make_services(Options(config_file=Path(sys.argv[2]).with_suffix(".toml")))
    app = GputuiApp(services, DifferenceDriver)
    app.run()
    assert app.sampler is not None
    kept = app.sampler.history
    uuid = taken[0].gpus[0].identity.uuid

    def known() -> int:
        values = kept.window(uuid, "power_draw", kept.capacity)
        return sum(value is not None for value in values)

    wait_for(lambda: known() == len(taken), f"{len(taken)} samples in the history", 10)
    tell(f"kept {len(taken)}")


if __name__ == "__main__":
    {"busy": busy, "failing": failing, "history": history}[sys.argv[1]]()
