"""What programs run in: a home of their own, GPUs of the stand-in NVML, readings that change."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measures import MIB
from tests.support.standin_nvml import StandinNvml

ROOT = Path(__file__).resolve().parents[2]
INSTANCES = """
[[instances]]
name = "deepseek"
key = "1"
model = "/models/deepseek-r1-distill-qwen-32b.Q4_K_M.gguf"
gpus = ["0"]
port = 18080

[[instances]]
name = "qwen-coder"
key = "2"
model = "/models/qwen2.5-coder-32b.Q5_K_M.gguf"
gpus = ["1"]
port = 18081
"""
"""Two instances that do not run: the table of an idle evening."""


def environment(home: Path) -> dict[str, str]:
    """A home of its own: no state but what was put there, nothing that runs."""
    own = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
    }
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    return kept | own


def configure(home: Path, text: str) -> None:
    """Write gputui's configuration."""
    file = home / "config" / "gputui" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@contextlib.contextmanager
def changing_readings(standin: StandinNvml, gpus: int) -> Iterator[None]:
    """New readings once a second: a random walk, as loads do; the same for every run."""
    chance = random.Random(1)  # noqa: S311
    over = threading.Event()
    busy = [chance.uniform(20, 90) for _ in range(gpus)]

    def step() -> None:
        values: dict[str, object] = {"gpus": gpus}
        for gpu in range(gpus):
            busy[gpu] = min(100.0, max(0.0, busy[gpu] + chance.gauss(0, 12)))
            values |= {f"gpu.{gpu}.{key}": value for key, value in readings(busy[gpu]).items()}
        standin.set(values)

    def run() -> None:
        while not over.wait(1.0):
            step()

    step()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def readings(busy: float) -> dict[str, object]:
    """What a GPU at ``busy`` per cent says, in NVML's own units."""
    return {
        "utilization_gpu": round(busy),
        "utilization_memory": round(busy * 0.6),
        "memory_used": round((20000 + 30 * busy) * MIB),
        "power_draw": round(40000 + 5000 * busy),
        "temperature_gpu": round(40 + busy * 0.35),
        "clocks_sm": round(3000 - 4 * busy),
        "pcie_rx": round(9000 * busy),
        "pcie_tx": round(2000 * busy),
    }
