"""The dashboard on parts that a test controls: samples step by step, states as given."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

from textual.pilot import Pilot

from gputui.chat.conversation import Conversation
from gputui.chat.model import Endpoint
from gputui.config import Config, InstanceConfig, PowerConfig
from gputui.errors import GputuiError
from gputui.gpu.history import History
from gputui.gpu.metrics import METRICS
from gputui.gpu.sample import GpuProcess, GpuSample, HostProcess, Snapshot
from gputui.identity import GpuIdentity
from gputui.instances.details import InstanceDetails
from gputui.instances.fit.reckoning import Fit
from gputui.instances.log.reader import InstanceLog
from gputui.instances.status import InstanceMetrics, InstanceStatus, State
from gputui.processes import ProcessIdentity
from gputui.themes import load_themes, shipped_dir
from gputui.ui.app import GputuiApp
from gputui.ui.services import Services

NAMES = ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "NVIDIA GeForce RTX 5090")
GIB = 2**30


def identity(index: int) -> GpuIdentity:
    return GpuIdentity(
        index, f"GPU-{index:08d}", NAMES[index % 2], f"00000000:{index * 32 + 1:02X}:00.0"
    )


def gpu_sample(index: int, tick: int = 0, **changes: object) -> GpuSample:
    """A GPU with every reading; the values move with ``tick``."""
    wave = 0.5 + 0.5 * math.sin(tick / 6 + index * 2)
    values = {
        "utilization_gpu": round(100 * wave),
        "utilization_memory": round(60 * wave),
        "memory_used": (20 + 30 * wave) * GIB if index % 2 == 0 else 22.4 * GIB,
        "memory_total": 95.6 * GIB if index % 2 == 0 else 31.8 * GIB,
        "temperature_gpu": 40 + round(40 * wave),
        "power_draw": 60 + round(500 * wave),
        "power_limit": 600.0 if index % 2 == 0 else 575.0,
        "clocks_sm": 2617e6,
        "clocks_sm_max": 3090e6,
        "clocks_mem": 14001e6,
        "clocks_mem_max": 14001e6,
        "fan_speed": 41.0,
        "pcie_link_gen": 5.0,
        "pcie_link_gen_max": 5.0,
        "pcie_link_width": 16.0 if index % 2 == 0 else 8.0,
        "pcie_link_width_max": 16.0,
        "pcie_tx": 0.3e9,
        "pcie_rx": 1.2e9,
        "throttle_reasons": 0.0,
        "pstate": 1.0,
    }
    missing = {m.name: "not supported" for m in METRICS if m.name not in values}
    sample = GpuSample(identity(index), values, missing)
    return replace(sample, **changes)  # type: ignore[arg-type]


def snapshot(gpus: int = 2, tick: int = 0, source: str = "nvml") -> Snapshot:
    return Snapshot(source, 1e9 + tick, tuple(gpu_sample(i, tick) for i in range(gpus)), "999.1")


class StepSampler:
    """A sampler that samples when the test says so."""

    def __init__(self, listener: Callable[[Snapshot], None], ready: Sequence[Snapshot]) -> None:
        self.history = History()
        self._listener = listener
        self._ready = ready
        self.stopped = False
        self.intervals: list[float] = []

    @property
    def has_gpus(self) -> bool:
        """Whether there is a GPU in what is sampled at the start."""
        return any(one.gpus for one in self._ready)

    def start(self) -> None:
        for one in self._ready:
            self.take(one)

    def take(self, one: Snapshot) -> None:
        self.history.append(one)
        self._listener(one)

    def set_interval(self, interval: float) -> None:
        self.intervals.append(interval)

    def stop(self) -> None:
        self.stopped = True


@dataclass
class StubSupervisor:
    """States as the test sets them; remembers what was asked."""

    statuses: list[InstanceStatus] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    refusal: GputuiError | None = None
    fits: dict[str, Fit] = field(default_factory=dict)
    fitting: asyncio.Event | None = None
    warning: GputuiError | None = None
    log_text: str = ""
    gave_up: bool = False
    known: InstanceDetails | None = None
    gpus: Sequence[GpuIdentity] = ()
    config: Config | None = None
    _folder: Path | None = None

    async def observe(self) -> tuple[InstanceStatus, ...]:
        return tuple(self.statuses)

    async def start(self, name: str, *, force: bool = False) -> None:
        self._ask("start by force" if force else "start", name)

    async def stop(self, name: str) -> None:
        self._ask("stop", name)

    async def restart(self, name: str, *, force: bool = False) -> None:
        self._ask("restart by force" if force else "restart", name)

    async def fit(self, name: str) -> Fit:
        if self.fitting is not None:
            await self.fitting.wait()
        return self.fits.get(name, Fit(name, True))

    def _ask(self, action: str, name: str) -> None:
        self.asked.append((action, name))
        if self.refusal:
            raise self.refusal

    def set_config(self, config: Config) -> None:
        self.config = config

    def set_gpus(self, gpus: Sequence[GpuIdentity]) -> None:
        self.gpus = gpus

    async def login_warning(self) -> GputuiError | None:
        return self.warning

    async def details(self, name: str, url: str = "") -> InstanceDetails:
        return self.known or InstanceDetails(name)

    def log(self, name: str) -> InstanceLog:
        if self.log_text:
            self.log_folder.joinpath(f"{name}.log").write_text(self.log_text, errors="replace")
        return InstanceLog(self.log_folder / f"{name}.log")

    @property
    def log_folder(self) -> Path:
        """Where the logs are; gone with the supervisor."""
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="gputui-logs"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def give_up_waits(self) -> None:
        self.gave_up = True

    async def close(self) -> None:
        return None


def status(name: str, state: State, gpu: int | None, port: int, **more: object) -> InstanceStatus:
    base = InstanceStatus(
        name=name,
        state=state,
        port=port,
        url=f"http://127.0.0.1:{port}",
        model="R1-Distill-Qwen-32B Q4_K_M",
        gpus=() if gpu is None else (identity(gpu).uuid,),
        owned=state not in (State.STOPPED, State.FAILED),
        pid=4000 + port if state not in (State.STOPPED, State.FAILED) else None,
    )
    return replace(base, **more)  # type: ignore[arg-type]


READY_METRICS = InstanceMetrics(14.2, 310.0, 1, 4, 0, int(61.2 * GIB))


@dataclass
class Rig:
    """A dashboard under test, and the parts it stands on."""

    app: GputuiApp
    supervisor: StubSupervisor
    conversation: Conversation
    samplers: list[StepSampler]

    @property
    def sampler(self) -> StepSampler:
        return self.samplers[0]


def make_rig(
    config: Config | None = None,
    *,
    snapshots: Sequence[Snapshot] | None = None,
    statuses: Sequence[InstanceStatus] = (),
    conversation: Conversation | None = None,
    **services: object,
) -> Rig:
    supervisor = StubSupervisor(list(statuses))
    samplers: list[StepSampler] = []
    ready = [snapshot(tick=tick) for tick in range(90)] if snapshots is None else snapshots

    def sampler(listener: Callable[[Snapshot], None]) -> StepSampler:
        samplers.append(StepSampler(listener, ready))
        return samplers[-1]

    config = config or Config()
    talk = conversation or Conversation(None)
    parts = Services(
        config=config,
        themes=load_themes([shipped_dir()]),
        sampler=sampler,
        supervisor=supervisor,
        conversation=talk,
        endpoint_of=lambda name: Endpoint(name, _url(config, name)),
        **services,  # type: ignore[arg-type]
    )
    parts.endpoint_of = lambda name: Endpoint(name, _url(parts.config, name))
    return Rig(GputuiApp(parts), supervisor, talk, samplers)


def _url(config: Config, name: str) -> str:
    for instance in config.instances:
        if instance.name == name:
            return f"{instance.url}/v1"
    return next(endpoint.url for endpoint in config.endpoints if endpoint.name == name)


def process(pid: int, used: int | None) -> GpuProcess:
    return GpuProcess(pid, "llama-server", used, host=host_process(pid))


def host_process(pid: int, **changes: object) -> HostProcess:
    """The host's side of a process that is there for the test alone."""
    host = HostProcess(
        identity=ProcessIdentity(pid, 1, "another boot"),
        user="alice",
        command="/opt/llama.cpp/llama-server -m /models/a.gguf",
        started_at=1e9 - 7200,
        own=True,
        memory=3 * GIB,
        cpu_percent=150.0,
    )
    return replace(host, **changes)  # type: ignore[arg-type]


def screen_text(app: GputuiApp) -> str:
    """What the terminal shows now, line by line."""
    strips = app.screen._compositor.render_strips(app.size)
    return "\n".join(strip.text.rstrip() for strip in strips)


async def until(
    pilot: Pilot[str | None], condition: Callable[[], bool], seconds: float = 30.0
) -> None:
    """Wait for a condition, however long that takes within reason."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not so after {seconds} s; the screen:\n{screen_text(pilot.app)}")  # type: ignore[arg-type]


async def until_shown(pilot: Pilot[str | None], *texts: str) -> None:
    """Wait until the screen holds all of these at once."""

    def shown() -> bool:
        screen = screen_text(pilot.app)  # type: ignore[arg-type]
        return all(text in screen for text in texts)

    await until(pilot, shown)


DEEPSEEK = InstanceConfig(name="deepseek", model="/m.gguf", port=8080, key="1", gpus=("0",))
CODER = InstanceConfig(name="qwen-coder", model="/m.gguf", port=8081, key="2", gpus=("1",))
CONFIG = Config(
    instances=(DEEPSEEK, CODER), power=PowerConfig(psu_watts=2000, price_per_kwh=0.5, currency="€")
)
BOTH = (
    status("deepseek", State.READY, 0, 8080, metrics=READY_METRICS),
    status("qwen-coder", State.STOPPED, 1, 8081),
)


def rig(**more: object) -> Rig:
    """The reference rig: one instance ready, one stopped."""
    return make_rig(**({"config": CONFIG, "statuses": BOTH} | more))  # type: ignore[arg-type]
