"""Whether an instance fits: against what the driver says, what starts now, and what ends before."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from gputui.config import Config, InstanceConfig
from gputui.identity import GpuIdentity, GpuMemory
from gputui.instances.fit.reckoning import Fit, Occupancy, Server, fit_of
from gputui.instances.fit.words import explain
from gputui.instances.records import Record
from gputui.instances.refusals import UnknownInstanceError
from gputui.instances.supervisor import Supervisor
from gputui.llama import fit_params
from tests.instances.conftest import PRO, RTX, Rig, started
from tests.support.gguf_files import llama, write_gguf
from tests.support.ports import new_port
from tests.support.scripted_server import make_server

GIB = float(2**30)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of 32.8 billion parameters: 17 GiB, and 8 GiB of cache at 32768 tokens."""
    return write_gguf(tmp_path / "qwen-32b.Q4_K_M.gguf", *llama())


def memory(free: float, total: float = 32 * GIB, **by_pid: float) -> GpuMemory:
    held = {int(pid[1:]): used for pid, used in by_pid.items()}
    return GpuMemory(time.time(), total, total - free, held)


def server(
    model: Path, *argv: str, gpus: tuple[GpuIdentity, ...] = (RTX,), name: str = "x"
) -> Server:
    return Server(name, ("llama-server", "--model", str(model), *argv), model, gpus)


def record(model: Path, name: str, pid: int, *argv: str, ready: bool = False) -> Record:
    words = ("llama-server", "--model", str(model), *argv)
    return Record(
        name=name,
        pid=pid,
        start_ticks=1,
        boot_id="b",
        executable="llama-server",
        argv=words,
        host="127.0.0.1",
        port=1,
        model=str(model),
        log="",
        started_at=0.0,
        gpus=(RTX.uuid,),
        ready_at=1.0 if ready else None,
    )


def around(free: float, *running: Record, host: float | None = 64 * GIB, **more: Any) -> Occupancy:
    held = more.pop("held", {})
    return Occupancy({RTX.uuid: memory(free, **held)}, running, host=host, **more)


def test_what_fits_fits(model: Path) -> None:
    fit = fit_of(server(model, "-c", "8192"), around(31 * GIB))
    assert fit.fits is True
    assert [row.name for row in fit.rows] == ["GPU 1 RTX 5090", "host memory"]
    assert fit.rows[0].missing == 0
    assert (fit.source, fit.context, fit.layers) == ("estimate", 8192, 65)


def test_what_does_not_fit_says_how_much_is_missing_who_holds_it_and_what_would(
    model: Path,
) -> None:
    other = record(model, "deepseek", 77, ready=True)
    needs = around(20 * GIB, other, held={"p77": 11 * GIB})
    fit = fit_of(server(model, "-c", "32768", "-ngl", "all"), needs)
    assert fit.fits is False
    assert fit.fails
    missing = fit.rows[0].missing or 0.0
    assert 5 * GIB < missing < 6 * GIB
    assert fit.rows[0].holders == (("deepseek", 11 * GIB),)
    assert 4096 < (fit.largest_context or 0) < 16384
    words = " ".join(explain(fit))
    for part in (
        "GPU 1 RTX 5090: 25.4 GiB needed, 20.0 GiB free",
        "deepseek (11.0 GiB)",
        "run out",
    ):
        assert part in words
    assert f"{fit.largest_context} tokens" in words


def test_what_the_server_lowers_by_itself_does_not_fail(model: Path) -> None:
    needs = around(20 * GIB)
    context = fit_of(server(model, "-ngl", "all"), needs)
    assert (context.fits, context.lowers, context.fails) == (False, "context", False)
    layers = fit_of(server(model, "-c", "32768"), needs)
    assert (layers.fits, layers.lowers, layers.fails) == (False, "layers", False)
    assert "CPU" in " ".join(explain(layers))
    off = fit_of(server(model, "-c", "32768", "--fit", "off"), needs)
    assert (off.lowers, off.fails) == ("", True)
    by_hand = fit_of(server(model, "-c", "32768", "-ts", "1"), needs)
    assert by_hand.fails, "llama.cpp lowers no layers where the split was given"


def test_an_instance_that_still_loads_will_take_more(model: Path) -> None:
    loading = record(model, "other", 77, "-c", "8192")
    alone = fit_of(server(model, "-c", "8192"), around(31 * GIB))
    beside = fit_of(server(model, "-c", "8192"), around(31 * GIB, loading))
    assert (alone.fits, beside.fits) == (True, False)
    assert (alone.rows[0].free or 0) - (beside.rows[0].free or 0) > 18 * GIB
    half = around(22 * GIB, loading, held={"p77": 9 * GIB})
    there = fit_of(server(model, "-c", "8192"), half)
    assert there.rows[0].free == pytest.approx(beside.rows[0].free, abs=0.1 * GIB)
    loaded = record(model, "other", 77, "-c", "8192", ready=True)
    ready = fit_of(server(model, "-c", "8192"), around(12 * GIB, loaded, held={"p77": 19 * GIB}))
    assert ready.rows[0].free == 12 * GIB, "the driver counts what a ready one holds"


def test_a_restart_gets_back_what_the_running_one_holds(model: Path) -> None:
    old = record(model, "x", 77, ready=True)
    needs = around(12 * GIB, old, held={"p77": 19 * GIB}, leaving={"x"})
    assert fit_of(server(model, "-c", "8192"), needs).fits
    assert fit_of(server(model, "-c", "8192"), needs).rows[0].free == 31 * GIB


def test_what_is_planned_to_start_before_takes_its_part(model: Path) -> None:
    first = server(model, "-c", "8192", name="first")
    fit = fit_of(server(model, "-c", "8192"), around(31 * GIB, coming=(first,)))
    assert fit.fits is False


def test_what_is_not_known_has_a_reason(model: Path, tmp_path: Path) -> None:
    none = fit_of(server(model), Occupancy({}, host=64 * GIB))
    assert none.fits is None
    assert "GPU 1 RTX 5090" in none.reason
    (tmp_path / "text.gguf").write_text("hello")
    text = fit_of(server(tmp_path / "text.gguf"), around(31 * GIB))
    assert (text.fits, text.rows) == (None, ())
    assert "is not a GGUF" in text.reason


def test_on_the_cpu_the_host_holds_it(model: Path) -> None:
    cpu = server(model, "-c", "8192", "--device", "none")
    enough = fit_of(cpu, around(1 * GIB, host=64 * GIB))
    assert (enough.fits, [row.name for row in enough.rows]) == (True, ["host memory"])
    assert (enough.rows[0].needed.total) > 19 * GIB
    slow = fit_of(cpu, around(1 * GIB, host=8 * GIB))
    assert (slow.fits, slow.fails) == (False, False)
    assert "read from the file again and again" in " ".join(explain(slow))
    mapped = fit_of(
        server(model, "-c", "8192", "--device", "none", "--no-mmap"), around(1.0, host=8 * GIB)
    )
    assert mapped.fails


def test_memory_that_a_gpu_shares_with_the_host_is_the_hosts(model: Path) -> None:
    shared = GpuMemory(time.time(), None, None, None, shared=True)
    needs = Occupancy({RTX.uuid: shared}, host=64 * GIB)
    fit = fit_of(server(model, "-c", "8192"), needs)
    assert (fit.fits, len(fit.rows)) == (True, 1)
    assert fit.rows[0].needed.weights > 16 * GIB


def test_layers_that_stay_behind_need_host_memory(model: Path) -> None:
    fit = fit_of(server(model, "-c", "8192", "-ngl", "20"), around(31 * GIB, host=4 * GIB))
    assert fit.fits is False
    assert fit.rows[0].missing == 0
    assert (fit.rows[1].missing or 0) > 5 * GIB


def asked(model: Path, folder: Path, script: str, *argv: str) -> Fit:
    """The fit where a ``llama-fit-params`` of this shell script is beside the server."""
    folder.mkdir()
    program = folder / fit_params.PROGRAM
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    words = (
        str(folder / "llama-server"),
        "--model",
        str(model),
        "--alias",
        "x",
        "--port",
        "1",
        *argv,
    )
    return fit_of(Server("x", words, model, (RTX,), dict(os.environ)), around(31 * GIB))


def test_llama_fit_params_beside_the_server_is_asked_and_named(model: Path, tmp_path: Path) -> None:
    script = f'echo "$@" > {tmp_path}/said\necho noise\necho "CUDA0 16000 2048 300 "\necho "Host 400 0 50 "'
    fit = asked(model, tmp_path / "bin", script, "-c", "8192", "-ngl", "all", "--metrics")
    assert (fit.source, fit.fits, fit.warnings) == ("llama-fit-params", True, ())
    assert fit.rows[0].needed.weights == 16000 * 2**20
    assert fit.rows[0].needed.cache == 2048 * 2**20
    said = (tmp_path / "said").read_text()
    assert said.strip() == f"--model {model} -c 8192 -ngl all --fit-print on"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'error: invalid argument: --fit-print' >&2; exit 1", "invalid argument"),
        ("echo hello", "something else"),
        ("echo 'Host 1 1 1'", "sees 0 GPUs"),
        ("kill -9 $$", "failed"),
        ("sleep 60", "no answer"),
    ],
)
def test_an_odd_answer_of_it_falls_back_to_the_estimate_and_says_why(
    model: Path, tmp_path: Path, script: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_params, "_SECONDS", 0.5)
    fit = asked(
        model, tmp_path / "bin", f"exec sh -c '{script.replace(chr(39), chr(34))}'", "-c", "8192"
    )
    assert (fit.source, fit.fits) == ("estimate", True)
    assert why in " ".join(fit.warnings)


async def test_the_supervisor_says_whether_an_instance_fits(model: Path, tmp_path: Path) -> None:
    program = make_server(
        tmp_path / "bin", devices=[f"CUDA0: {RTX.name} (32607 MiB, 32000 MiB free)"]
    )
    instance = InstanceConfig(
        name="x", model=str(model), port=new_port(), gpus=("5090",), ctx_size=32768,
        n_gpu_layers="all", llama_server=str(program),
    )  # fmt: skip
    config = Config(instances=(instance,))
    for free, fits in ((31 * GIB, True), (12 * GIB, False)):
        now = {RTX.uuid: memory(free)}
        session = Supervisor(config, (PRO, RTX), tmp_path / "state", memory=lambda now=now: now)  # type: ignore[misc]
        fit = await session.fit("x")
        assert fit.fits is fits, fit
        await session.close()
    with pytest.raises(UnknownInstanceError):
        await session.fit("y")


async def test_no_model_is_no_error_but_a_reason(rig: Rig) -> None:
    rig.add("x")
    fit = await rig.session().fit("x")
    assert fit.fits is None
    assert fit.reason
    await started(rig.sessions[0], "x")


async def test_another_of_its_group_makes_room_and_a_new_one_need_not_be_configured(
    model: Path, tmp_path: Path
) -> None:
    lines = [f"CUDA0: {RTX.name} (32607 MiB, 32000 MiB free)"]
    program = make_server(tmp_path / "bin", devices=lines)

    def instance(name: str, group: str | None) -> InstanceConfig:
        return InstanceConfig(
            name=name,
            model=str(model),
            port=new_port(),
            gpus=("5090",),
            ctx_size=8192,
            llama_server=str(program),
            group=group,
        )

    pids: dict[int, float] = {}

    def now() -> dict[str, GpuMemory]:
        return {RTX.uuid: GpuMemory(time.time(), 32 * GIB, 1 * GIB + sum(pids.values()), pids)}

    config = Config(instances=(instance("one", "g"), instance("two", "g"), instance("three", None)))
    session = Supervisor(config, (RTX,), tmp_path / "state", memory=now)
    try:
        status = await started(session, "one")
        assert status.pid is not None
        pids[status.pid] = 19 * GIB
        assert (await session.fit("two")).fits, "one leaves before two starts"
        assert (await session.fit("three")).fits is False
        assert (await session.fit("three", leaving=("one",))).fits
        both = await session.fit("three", leaving=("one",), coming=("two",))
        assert both.fits is False
        assert (await session.fit_of(instance("new", "g"))).fits
    finally:
        await session.stop("one")
        await session.close()
