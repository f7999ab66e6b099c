"""What a server got of what was asked for: told where it is certain, else not at all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gputui.config import Config, InstanceConfig
from gputui.demo.parts import Parts
from gputui.identity import GpuIdentity, GpuMemory
from gputui.instances.lowered import Fittings
from gputui.instances.records import Record
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor
from gputui.llama.binary import inspect
from gputui.llama.fitted import lowered_context, lowered_layers, whole_context
from gputui.llama.probe import Reading
from gputui.llama.wire import ModelMeta, Props
from tests.instances.conftest import PRO, Rig, end_all, started
from tests.support.ports import new_port

GIB = 2**30
META = ModelMeta(n_ctx_train=32768, size=20 * GIB, n_vocab=150_000, n_embd=5000)


def props(context: int, slots: int = 4) -> Props:
    return Props(total_slots=slots, default_generation_settings={"n_ctx": context})


@pytest.mark.parametrize(
    ("asked", "argv", "context", "slots", "words"),
    [
        (None, "", 8192, 4, "context 32768 → 8192 by --fit"),
        (0, "--ctx-size 0", 4096, 4, "context 32768 → 4096 by --fit"),
        (0, "--ctx-size 0 --parallel 4", 2048, 4, "context 32768 → 8192 by --fit"),
        (None, "", 32768, 4, ""),
        (0, "--parallel 3", 10752, 3, ""),  # a third, rounded to 256
        (None, "--device none", 8192, 4, ""),
        (None, "--fit off", 8192, 4, ""),
        (None, "--fit=off", 8192, 4, ""),
        (8192, "--ctx-size 8192", 8192, 4, ""),
        (8000, "--ctx-size 8000", 8192, 4, ""),
        (1000, "--parallel 2", 512, 2, ""),
        (65536, "--ctx-size 65536", 32768, 4, ""),  # no more than it was trained for
        (16384, "--ctx-size 16384", 8192, 1, "context 16384 → 8192"),
    ],
)
def test_the_context(asked: int | None, argv: str, context: int, slots: int, words: str) -> None:
    settings = {} if asked is None else {"ctx_size": asked}
    assert lowered_context(argv.split(), settings, props(context, slots), META) == words


def test_a_server_that_does_not_say() -> None:
    assert lowered_context((), {}, Props(), META) == ""
    assert lowered_context((), {}, props(4096), ModelMeta()) == ""
    assert whole_context((), Props(total_slots=4)) is None
    assert whole_context(("--parallel", "4", "-kvu"), props(4096)) == 4096


TOLD = b"load_tensors: offloaded 25/31 layers to GPU\n"
ALL = b"load_tensors: offloaded 31/31 layers to GPU\n"


@pytest.mark.parametrize(
    ("settings", "argv", "log", "held", "words"),
    [
        ({}, "", TOLD, None, "25 of 31 layers on the GPU by --fit"),
        ({"n_gpu_layers": "auto"}, "", ALL + TOLD, None, "25 of 31 layers on the GPU by --fit"),
        ({}, "", ALL, 1 * GIB, ""),  # the log knows
        ({}, "", b"", 10 * GIB, "8.6 GiB or more of 20.0 GiB weights in host memory by --fit"),
        ({}, "", b"", 19 * GIB, ""),
        ({}, "", b"", None, ""),
        ({"n_gpu_layers": 25}, "", TOLD, 1 * GIB, ""),
        ({"n_gpu_layers": "all"}, "", b"", 1 * GIB, ""),
        ({}, "--n-cpu-moe 20", TOLD, 1 * GIB, ""),
        ({}, "--override-tensor=x=CPU", b"", 1 * GIB, ""),
        ({}, "--device none", TOLD, 1 * GIB, ""),
    ],
)
def test_the_layers(
    settings: dict[str, Any], argv: str, log: bytes, held: float | None, words: str
) -> None:
    assert lowered_layers(argv.split(), settings, META, log, held) == words


async def test_the_scripted_server_tells_both(rig: Rig, tmp_path: Path) -> None:
    meta = '{"data":[{"id":"a","meta":{"n_ctx_train":131072,"size":1,"n_vocab":1,"n_embd":1}}]}'
    rig.add("a", {"bodies": {"/v1/models": meta}, "devices": ["CUDA0: " + PRO.name]}, gpus=("0",))
    rig.add("b", ctx_size=4096)
    rig.gpus = (PRO,)
    session = rig.session()
    await started(session, "a")
    await started(session, "b")
    a, b = await session.observe(5)
    assert (a.context, a.lowered) == (4096, "context 131072 → 4096 by --fit")
    assert (b.context, b.lowered) == (4096, "")


def test_memory_counts_once_the_load_is_over(tmp_path: Path) -> None:
    ready = time.time()
    taken: dict[str, GpuMemory] = {}
    fittings = Fittings(lambda: taken)
    record = Record(
        name="a", pid=7, start_ticks=1, boot_id="b", executable="x", argv=("x",), host="h", port=1,
        model="m", log=str(tmp_path / "none"), started_at=ready - 9, ready_at=ready, gpus=("U",),
    )  # fmt: skip
    reading = Reading(props=props(32768), meta=META)
    status = InstanceStatus("a", State.READY, 1, "", "m")
    for at, done in ((None, False), (ready + 1, False), (ready + 4, True)):
        if at is not None:
            taken["U"] = GpuMemory(at, 96 * GIB, 12 * GIB, {7: 10 * GIB})
        assert fittings.needs(record, status, reading)
        fittings.find(record, reading)
        assert bool(fittings.told(record, status, reading).lowered) is done
    assert not fittings.needs(record, status, reading)


@pytest.mark.real
async def test_the_real_one_on_a_software_device(
    demo_parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Mesa's software Vulkan is installed: a target that leaves too little for the context."""
    monkeypatch.setenv("GGML_VK_VISIBLE_DEVICES", "0")
    build = inspect(demo_parts.llama_server, {"GGML_VK_VISIBLE_DEVICES": "0"})
    if not build.devices:
        pytest.skip("no software Vulkan device here")
    gpu = GpuIdentity(0, "GPU-soft", build.devices[0].name, "00000000:01:00.0")
    monkeypatch.setattr("gputui.llama.command.find_pin", pin_of_the_software_device)
    monkeypatch.setattr("gputui.llama.command._check_pin", lambda *_: None)
    common = {"model": str(demo_parts.smollm2), "gpus": ("0",), "threads": 1}
    instances = (
        InstanceConfig(name="short", port=new_port(), args=("--fit-target", "1850"), **common),  # type: ignore[arg-type]
        InstanceConfig(
            name="layers", port=new_port(), ctx_size=8192,
            args=("--fit-target", "1800", "-lv", "4"), **common,  # type: ignore[arg-type]
        ),
    )  # fmt: skip
    config = Config(instances=instances, llama_server=str(demo_parts.llama_server))
    session = Supervisor(config, (gpu,), tmp_path / "state")
    try:
        found = {}
        for instance in instances:
            await session.start(instance.name)
            assert (await session.wait(instance.name, 90)).state is State.READY
            found[instance.name] = next(
                one for one in await session.observe(10) if one.name == instance.name
            )
            await session.stop(instance.name)
    finally:
        await session.close()
        end_all(tmp_path / "state")
    assert found["short"].lowered == f"context 8192 → {found['short'].context} by --fit"
    assert "layers on the GPU by --fit" in found["layers"].lowered


def pin_of_the_software_device(*_: object) -> Any:
    from gputui.llama.command import Pin

    return Pin({"GGML_VK_VISIBLE_DEVICES": "0"})
