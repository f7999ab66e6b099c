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
from gputui.chat.side import Common, Side
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

PICTURES: dict[str, tuple[tuple[int, int], str, tuple[str, ...]]] = {
    "dashboard-160x45.svg": ((160, 45), "midnight", ()),
    "dashboard-80x24.svg": ((80, 24), "midnight", ()),
    "dashboard-paper-160x45.svg": ((160, 45), "paper", ()),
    "details-160x45.svg": ((160, 45), "midnight", ("g", "plus", "plus", "o")),
    "details-80x24.svg": ((80, 24), "midnight", ("g", "tab", "plus", "plus")),
}
"""Columns and rows, the theme, and the keys that lead there."""

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
    """A side of the chat in the middle of an answer."""

    def __init__(self, name: str, common: Common, moment: Moment) -> None:
        super().__init__(name, common)
        self._answer = moment.live[name]
        self._before = moment.finished[name]
        self.seated = _endpoint(moment, self._answer)
        self.prompt = moment.prompt
        self.version = 1

    @property
    def busy(self) -> bool:
        return True

    @property
    def live(self) -> Answer:
        return self._answer

    @property
    def finished(self) -> Sequence[Turn]:
        return self._before


class PlayedConversation(Conversation):
    """Both sides."""

    def __init__(self, moment: Moment) -> None:
        super().__init__(None)
        self.sides = {name: PlayedSide(name, self._common, moment) for name in moment.live}


async def draw(size: tuple[int, int], theme: str, keys: Sequence[str] = ()) -> str:
    """One picture as SVG."""
    moment = msgspec.json.decode(MOMENT.read_bytes(), type=Moment)
    samplers: list[PlayedSampler] = []

    def sampler(listener: Callable[[Snapshot], None]) -> PlayedSampler:
        samplers.append(PlayedSampler(listener))
        return samplers[-1]

    with plain_environment():
        app = GputuiApp(compose(moment, theme, sampler))
        async with app.run_test(size=size) as pilot:
            await still(app, pilot, DASHBOARD)
            samplers[0].tell()  # the states are known by now
            picture = await still(app, pilot, DASHBOARD)
            if keys:
                await pilot.press(*keys)
                picture = await still(app, pilot, ("now&#160;",))
            return self_contained(picture)


def compose(moment: Moment, theme: str, sampler: Callable[..., PlayedSampler]) -> Services:
    """The dashboard's parts, as recorded."""
    instances = tuple(
        InstanceConfig(name=status.name, model="/models/model.gguf", port=status.port, key=str(key))
        for key, status in enumerate(moment.statuses, start=1)
    )
    played: dict[str, Any] = {
        "sampler": sampler,
        "supervisor": PlayedSupervisor(moment.statuses),
        "conversation": PlayedConversation(moment),
    }
    power = PowerConfig(psu_watts=2000, price_per_kwh=0.15)
    return Services(
        config=Config(theme=theme, power=power, instances=instances),
        themes=load_themes([shipped_dir()]),
        endpoint_of=lambda name: Endpoint(name, ""),
        host="rig01",
        clock=lambda: moment.at,
        **played,
    )


def _endpoint(moment: Moment, answer: Answer) -> Endpoint:
    status = next(status for status in moment.statuses if status.name == answer.name)
    return Endpoint(answer.name, f"{status.url}/v1")


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
        (HERE / name).write_text(asyncio.run(draw(*picture)), encoding="utf-8")
        print(HERE / name)


if __name__ == "__main__":
    main()
