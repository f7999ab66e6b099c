"""The estimate against what the real llama-server prints."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from gputui.demo.parts import Parts
from gputui.models.gguf import read_header
from gputui.models.memory import Device, estimate
from gputui.models.options import parse_options

pytestmark = pytest.mark.real

_BUFFER = re.compile(r": +(\S+) +(model|KV|compute|output) buffer size = +([\d.]+) MiB")
_MIB = 2**20


@dataclass
class Printed:
    """Buffers of the GPU, or of the host, in MiB."""

    model: float = 0.0
    cache: float = 0.0
    compute: float = 0.0

    @property
    def total(self) -> float:
        return self.model + self.cache + self.compute


def printed(
    server: Path, model: Path, port: int, argv: list[str], **more: str
) -> dict[str, Printed]:
    """What a server says of its buffers as it starts; it is ended before it serves."""
    command = [
        server,
        "-m",
        model,
        "--port",
        str(port),
        "-lv",
        "4",
        "--fit",
        "off",
        "--no-warmup",
        *argv,
    ]
    found = {"host": Printed(), "gpu": Printed()}
    environment = {**os.environ, **more}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := _BUFFER.search(line):
                where = found["gpu" if match[1] == "Vulkan0" else "host"]
                part = {"model": "model", "KV": "cache"}.get(match[2], "compute")
                setattr(where, part, getattr(where, part) + float(match[3]))
            if "graph splits" in line:
                break
        process.kill()
        process.stdout.read()
    return found


SETTINGS = (
    "-c 512 -np 1",
    "-c 8192",
    "-c 4096 -np 4 -ub 128",
    "-c 16384 -np 1 -ctk q8_0 -ctv q8_0",
    "-c 2048 -np 1 -ctk q4_0 -ctv f16 -ub 1024",
    "-c 4096 -np 1 -fa off",
    "-c 2048 --embeddings",
)


@pytest.mark.parametrize("model", ["smollm2", "gemma3"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_on_the_cpu(demo_parts: Parts, free_port: int, model: str, settings: str) -> None:
    file: Path = getattr(demo_parts, model)
    argv = settings.split()
    said = printed(demo_parts.llama_server, file, free_port, ["--device", "none", *argv])["host"]
    needed = estimate(read_header(file), parse_options(argv)).host
    assert said.model > 0
    assert needed.weights / _MIB == pytest.approx(said.model, rel=0.01)
    assert needed.cache / _MIB == pytest.approx(said.cache, rel=0.01)
    assert needed.total / _MIB == pytest.approx(said.total, rel=0.05)


@pytest.mark.parametrize("settings", ["-c 4096 -np 1 -ngl all", "-c 8192 -ngl 20 -ub 256"])
def test_on_a_software_gpu(demo_parts: Parts, free_port: int, settings: str) -> None:
    seen = subprocess.run(
        [demo_parts.llama_server, "--list-devices"],
        env={**os.environ, "GGML_VK_VISIBLE_DEVICES": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "llvmpipe" not in seen.stdout:
        pytest.skip("no software Vulkan device here (Debian: mesa-vulkan-drivers)")
    file, argv = demo_parts.smollm2, settings.split()
    said = printed(demo_parts.llama_server, file, free_port, argv, GGML_VK_VISIBLE_DEVICES="0")
    needed = estimate(read_header(file), parse_options(argv), [Device("Vulkan0", None, 0.0)])
    gpu = needed.devices[0]
    assert gpu.weights / _MIB == pytest.approx(said["gpu"].model, rel=0.01)
    assert gpu.cache / _MIB == pytest.approx(said["gpu"].cache, rel=0.01)
    assert gpu.total / _MIB == pytest.approx(said["gpu"].total, rel=0.05)
    assert needed.host.cache / _MIB == pytest.approx(said["host"].cache, rel=0.01)
