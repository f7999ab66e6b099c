"""Draw the pictures of the README from what record.py recorded: always the same, to the byte.

    python screenshots/make.py

The true dashboard on a trace of the GPUs, and on the instances and the chat as they were at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gputui.chat.conversation import Conversation
from gputui.chat.model import Answer, Endpoint, Turn
from gputui.chat.side import Side
from gputui.config import Config, InstanceConfig, PowerConfig
from gputui.gpu.history import History
from gputui.gpu.recorded import RecordedSource
from gputui.gpu.sample import Snapshot
from gputui.gpu.trace_reader import read_trace
from gputui.instances.status import InstanceStatus
from gputui.themes import load_themes, shipped_dir
from gputui.ui.app import GputuiApp
from gputui.ui.services import Services

HERE = Path(__file__).parent
TRACE, MOMENT = HERE / "trace.jsonl.gz", HERE / "moment.json"

DASHBOARD = ("RTX", "stopped", "client:&#160;TTFT")
"""What is on the dashboard once everything is: a GPU, the third instance's state, a side's numbers."""


@dataclass(frozen=True)
class Picture:
    """Columns and rows, the theme, the keys that lead there, and what is on it once it is complete.

    ``live``: both sides are in the middle of an answer; else they have finished.
    """

    size: tuple[int, int]
    theme: str = "midnight"
    keys: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    live: bool = True


WIDE, NARROW = (160, 45), (80, 24)
PICTURES: dict[str, Picture] = {
    "dashboard-160x45.svg": Picture(WIDE),
    "dashboard-80x24.svg": Picture(NARROW),
    "dashboard-paper-160x45.svg": Picture(WIDE, "paper"),
    "details-160x45.svg": Picture(WIDE, keys=("g", "plus", "plus", "o"), shows=("now&#160;",)),
    "details-80x24.svg": Picture(NARROW, keys=("g", "tab", "plus", "plus"), shows=("now&#160;",)),
    "chat-160x45.svg": Picture(WIDE, keys=("left", "z"), shows=("server:",), live=False),
    "differences-160x45.svg": Picture(
        WIDE, keys=("left", "d"), shows=("words&#160;in&#160;both",), live=False
    ),
    "settings-160x45.svg": Picture(WIDE, keys=("t",), shows=("Chat&#160;settings",), live=False),
}

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Moment:
    """What the screen shows beside the GPUs, at Unix time ``at``; sides by name."""

    at: float
    statuses: tuple[InstanceStatus, ...]
    prompt: str
    finished: dict[str, list[Turn]]
    live: dict[str, Answer]


class PlayedSampler:
    """The whole trace at once: as if gputui had been open all the while."""

    def __init__(self, listener: Callable[[Snapshot], None]) -> None:
        self.history = History()
        self._listener = listener

    def start(self) -> None:
        for snapshot in read_trace(TRACE, RecordedSource.name):
            self.history.append(snapshot)
            self._latest = snapshot
        self.tell()

    def tell(self) -> None:
        """The latest sample once more, as the next one would come."""
        self._listener(self._latest)

    def set_interval(self, interval: float) -> None: ...

    def stop(self) -> None: ...


@dataclass
class PlayedSupervisor:
    """Instances that stay as they were recorded."""

    statuses: tuple[InstanceStatus, ...]

    async def observe(self) -> tuple[InstanceStatus, ...]:
        return self.statuses

    def set_gpus(self, gpus: Sequence[object]) -> None: ...

    async def close(self) -> None: ...


class PlayedSide(Side):
    """A side of the chat, for good in the middle of an answer where there is one."""

    playing: Answer | None = None

    @property
    def live(self) -> Answer | None:
        return self.playing

    @property
    def busy(self) -> bool:
        return self.playing is not None


async def draw(wanted: Picture) -> str:
    """One picture as SVG."""
    moment = msgspec.json.decode(MOMENT.read_bytes(), type=Moment)
    samplers: list[PlayedSampler] = []

    def sampler(listener: Callable[[Snapshot], None]) -> PlayedSampler:
        samplers.append(PlayedSampler(listener))
        return samplers[-1]

    with plain_environment():
        app = GputuiApp(compose(moment, wanted, sampler))
        async with app.run_test(size=wanted.size) as pilot:
            await still(app, pilot, DASHBOARD)
            samplers[0].tell()  # the states are known by now
            picture = await still(app, pilot, DASHBOARD)
            if wanted.keys:
                await pilot.press(*wanted.keys)
                picture = await still(app, pilot, wanted.shows)
            return self_contained(picture)


def compose(moment: Moment, wanted: Picture, sampler: Callable[..., PlayedSampler]) -> Services:
    """The dashboard's parts, as recorded."""
    instances = tuple(
        InstanceConfig(name=status.name, model="/models/model.gguf", port=status.port, key=str(key))
        for key, status in enumerate(moment.statuses, start=1)
    )
    played: dict[str, Any] = {
        "sampler": sampler,
        "supervisor": PlayedSupervisor(moment.statuses),
    }
    power = PowerConfig(psu_watts=2000, price_per_kwh=0.15)
    return Services(
        config=Config(theme=wanted.theme, power=power, instances=instances),
        themes=load_themes([shipped_dir()]),
        conversation=_conversation(moment, live=wanted.live),
        endpoint_of=lambda name: Endpoint(name, ""),
        host="rig01",
        clock=lambda: moment.at,
        **played,
    )


def _conversation(moment: Moment, *, live: bool) -> Conversation:
    """Both sides with what they said."""
    conversation = Conversation()
    for name, side in conversation.sides.items():
        side.choose(_endpoint(moment, moment.live[name]))
        side.take_up(moment.finished[name])
        side.__class__ = PlayedSide
        if live and isinstance(side, PlayedSide):
            side.prompt, side.playing = moment.prompt, moment.live[name]
    return conversation


def _endpoint(moment: Moment, answer: Answer) -> Endpoint:
    status = next(status for status in moment.statuses if status.name == answer.name)
    return Endpoint(answer.name, f"{status.url}/v1", llama=True, context=status.slot_context)


async def still(app: GputuiApp, pilot: Any, expected: Sequence[str]) -> str:
    """The picture once everything expected is on it and it does not change any more."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    before, picture = "", app.export_screenshot()
    while picture != before or not all(words in picture for words in expected):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the picture is not still after {PATIENCE_SECONDS} s")
        await pilot.pause(0.25)  # longer than the chat's and the first picture's clocks
        before, picture = picture, app.export_screenshot()
    return picture


def self_contained(svg: str) -> str:
    """Without the web fonts and the link that Rich's template names: nothing is fetched to show it."""
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"\s*<!-- Generated with Rich.*?-->", "", svg)


@contextlib.contextmanager
def plain_environment() -> Iterator[None]:
    """UTC, and colours whatever the caller's terminal wants."""
    before = dict(os.environ)
    os.environ["TZ"] = "UTC"
    os.environ.pop("NO_COLOR", None)
    time.tzset()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        time.tzset()


def main() -> None:
    """Write every picture."""
    for name, picture in PICTURES.items():
        (HERE / name).write_text(asyncio.run(draw(picture)), encoding="utf-8")
        print(HERE / name)


if __name__ == "__main__":
    main()
