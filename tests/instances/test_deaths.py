"""Why a server died, one row a case: the words, the remedy, the evidence, whether it is tried again."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gputui.config import Config, InstanceConfig
from gputui.demo.parts import Parts
from gputui.instances import kernel, ports
from gputui.instances.records import Paths, Record, read
from gputui.instances.status import InstanceStatus, State
from gputui.instances.supervisor import Supervisor
from gputui.llama.diagnosis import Killer, diagnose
from gputui.processes import send_signal
from tests.instances.conftest import Rig, end_all, new_port, started, until


@dataclasses.dataclass(frozen=True)
class Case:
    """``reason`` and ``hint`` are patterns; ``evidence`` stands in the log's lines; "" for none."""

    reason: str
    hint: str
    evidence: str = ""
    again: bool = False


def check(status: InstanceStatus, case: Case) -> None:
    assert status.state is State.FAILED
    assert re.search(case.reason, status.last_error or ""), status.last_error
    assert re.search(case.hint, status.hint), status.hint
    assert case.evidence in "\n".join(status.evidence), status.evidence
    assert bool(status.evidence) is bool(case.evidence)
    assert len(status.evidence) <= 3
    assert (status.restart_at is not None) is case.again


# ── by the real server ───────────────────────────────────────────────────────────────────────────


@dataclasses.dataclass
class Real:
    """The real server on a copy of a real model; ``before`` is done by a shell in its own process."""

    parts: Parts
    folder: Path
    model: Path
    port: int = dataclasses.field(default_factory=new_port)
    args: tuple[str, ...] = ()
    ctx_size: int = 512
    before: str = ""
    sessions: list[Supervisor] = dataclasses.field(default_factory=list)

    def change(self, at: Callable[[bytes], tuple[int, bytes]]) -> None:
        data = self.parts.smollm2.read_bytes()
        place, new = at(data)
        self.model.unlink()
        self.model.write_bytes(data[:place] + new + data[place + len(new) :])

    def session(self) -> Supervisor:
        server = self.folder / "llama-server"
        real = shlex.quote(str(self.parts.llama_server))
        server.write_text(
            f'#!/bin/sh\n[ "$1" = --list-devices ] || {{ {self.before or ":"}; }}\nexec {real} "$@"\n'
        )
        server.chmod(0o755)
        one = InstanceConfig(
            name="x",
            model=str(self.model),
            port=self.port,
            ctx_size=self.ctx_size,
            threads=1,
            llama_server=str(server),
            restart="on-failure",
            args=self.args,
        )
        supervisor = Supervisor(Config(instances=(one,)), (), self.folder / "state")
        self.sessions.append(supervisor)
        return supervisor

    @property
    def record(self) -> Record:
        found = read(Paths(self.folder / "state").record("x"))
        assert found
        return found


@pytest.fixture
async def real(demo_parts: Parts, tmp_path: Path) -> AsyncIterator[Real]:
    model = tmp_path / "model.gguf"
    model.symlink_to(demo_parts.smollm2)
    made = Real(demo_parts, tmp_path, model)
    yield made
    for session in made.sessions:
        await session.close()
    end_all(tmp_path / "state")


def missing(real: Real) -> None:
    real.before = f"rm {shlex.quote(str(real.model))}"


def no_gguf(real: Real) -> None:
    real.model.unlink()
    real.model.write_text("version https://git-lfs.github.com/spec/v1\n")


def cut(size: int) -> Callable[[Real], None]:
    def make(real: Real) -> None:
        real.model.unlink()
        real.model.write_bytes(real.parts.smollm2.read_bytes()[:size])

    return make


def other_version(real: Real) -> None:
    real.change(lambda data: (4, struct.pack("<I", 99)))


def other_architecture(real: Real) -> None:
    key = b"general.architecture" + struct.pack("<IQ", 8, 5)
    real.change(lambda data: (data.index(key) + len(key), b"xlama"))


def other_quantization(real: Real) -> None:
    def place(data: bytes) -> tuple[int, bytes]:
        name = b"token_embd.weight"
        at = data.index(name) + len(name)
        (dimensions,) = struct.unpack("<I", data[at : at + 4])
        return at + 4 + 8 * dimensions, struct.pack("<I", 143)

    real.change(place)


def with_args(*args: str) -> Callable[[Real], None]:
    def make(real: Real) -> None:
        real.args = args

    return make


REAL: dict[str, tuple[Callable[[Real], None], Case]] = {
    "missing file": (
        missing,
        Case(
            "model file .* cannot be opened: No such file", "Look at model", "failed to open GGUF"
        ),
    ),
    "no GGUF": (
        no_gguf,
        Case("is not a GGUF: it begins with 'vers'", "Download it again", "invalid magic"),
    ),
    "truncated": (cut(10_000_000), Case("incomplete or corrupt", "Download it again", "corrupted")),
    "truncated header": (cut(3000), Case("incomplete or corrupt", "Download it again", "failed")),
    "version": (other_version, Case("does not know version 99 of GGUF", "newer", "version 99")),
    "architecture": (
        other_architecture,
        Case("does not know the model architecture xlama", "newer llama.cpp", "'xlama'"),
    ),
    "quantization": (
        other_quantization,
        Case("quantization of the model: ggml type 143", "newer llama.cpp", "ggml type 143"),
    ),
    "unknown flag": (
        with_args("--no-such-flag"),
        Case("knows no flag --no-such-flag", "See llama-server --help", "invalid argument"),
    ),
    "bad value": (
        with_args("--cache-type-v", "f17"),
        Case("does not take this value of --cache-type-v", "--help", "error while handling"),
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("case", REAL)
async def test_the_real_server_dies(real: Real, case: str) -> None:
    make, expected = REAL[case]
    make(real)
    session = real.session()
    await session.start("x")
    status = await session.wait("x", 60)
    check(status, expected)
    assert status.exit_words == "exit code 1"


@pytest.mark.real
async def test_the_real_server_runs_out_of_memory_at_the_load(real: Real) -> None:
    real.before, real.args, real.ctx_size = "ulimit -v 900000", ("--fit", "off"), 64_000
    session = real.session()
    await session.start("x")
    status = await session.wait("x", 60)
    check(status, Case("out of (host )?memory", "smaller", "alloc", again=True))


@pytest.mark.real
async def test_the_real_server_finds_its_port_taken(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = real.session()
    monkeypatch.setattr(ports, "is_free", lambda *_: True)  # it came just after the look
    with socket.create_server(("127.0.0.1", real.port)):
        await session.start("x")
        status = await session.wait("x", 60)
    check(status, Case("port .* is used by", "another port", "couldn't bind", again=True))


@pytest.mark.real
@pytest.mark.parametrize(
    ("number", "reason", "again"),
    [
        (signal.SIGTERM, "was asked to stop, not by gputui", False),
        (signal.SIGINT, "was asked to stop, not by gputui", False),
        (signal.SIGHUP, "killed by SIGHUP", False),
        (signal.SIGKILL, "killed by SIGKILL", True),
    ],
)
async def test_the_real_server_is_killed_by_hand(
    real: Real, number: signal.Signals, reason: str, again: bool
) -> None:
    session = real.session()
    await started(session, "x")
    send_signal(real.record.identity, number)
    status = await until(session, "x", State.FAILED)
    check(status, Case(reason, "elsewhere|outside|[Bb]y hand|oom", again=again))


@contextlib.contextmanager
def small_cgroup() -> Iterator[Path]:
    """A memory cgroup of 60 MB that a process can move itself into; skips where none can be made."""
    own = dict(
        line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()
    )
    v1 = "memory" in own
    root = Path("/sys/fs/cgroup/memory" if v1 else "/sys/fs/cgroup")
    group = root / own.get("memory" if v1 else "", "/").strip("/") / f"gputui-test-{new_port()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        try:
            (group / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text("60000000")
        except OSError as error:
            pytest.skip(f"no memory limit can be set: {error}")
        yield group
    finally:
        group.rmdir()


@pytest.mark.real
async def test_the_real_server_is_killed_by_the_kernel(real: Real) -> None:
    with small_cgroup() as group:
        real.before = f"echo $$ > {shlex.quote(str(group / 'cgroup.procs'))}"
        real.args = ("--no-mmap",)
        session = real.session()
        await session.start("x")
        status = await session.wait("x", 60)
    case = Case("killed by the kernel|most likely by the kernel", "smaller model", again=True)
    check(status, case)
    assert status.exit_words == "killed by SIGKILL"


# ── as the server would say it ───────────────────────────────────────────────────────────────────

_CUDA = "/build/ggml/src/ggml-cuda/ggml-cuda.cu:97: CUDA error"
_AT = "  current device: 0, in function {} at /build/ggml/src/ggml-cuda/ggml-cuda.cu:2976"

AT_THE_LOAD: dict[str, tuple[str, int, Case]] = {
    "GPU memory": (
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 20480.00 MiB on device 0: "
        "cudaMalloc failed: out of memory\n"
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 21474836480\n"
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
        1,
        Case("^out of GPU memory: 20.0 GiB did not fit$", "smaller ctx_size", "21474836480", True),
    ),
    "Vulkan memory": (
        "ggml_vulkan: Device memory allocation of size 1073741824 failed.\n"
        "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        1,
        Case("out of GPU memory: 1.0 GiB did not fit", "n_gpu_layers", "1073741824", True),
    ),
    "driver too old": (
        "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA "
        "runtime version",
        1,
        Case("the NVIDIA driver is too old for the CUDA", "Update the driver", "insufficient"),
    ),
    "wrong build": (
        "ggml_cuda_compute_forward: MUL_MAT failed\n"
        "CUDA error: no kernel image is available for execution on the device\n"
        f"{_AT.format('ggml_cuda_compute_forward')}\n  err\n{_CUDA}",
        -6,
        Case("was not built for this GPU", "compute capability", "no kernel image"),
    ),
    "no GPU": (
        f"CUDA error: no CUDA-capable device is detected\n{_AT.format('ggml_cuda_init')}\n{_CUDA}",
        -6,
        Case("CUDA error: no CUDA-capable device", "nvidia-smi", "no CUDA-capable", True),
    ),
    "shared library": (
        "llama-server: error while loading shared libraries: libcudart.so.12: cannot open shared "
        "object file: No such file or directory",
        127,
        Case("shared library libcudart.so.12 is missing", "folder", "libcudart"),
    ),
    "another CPU": ("", -4, Case("killed by SIGILL", "another CPU")),
    "a crash": ("", -11, Case("killed by SIGSEGV", "try another version", again=True)),
    "an assertion": (
        "/x/ggml.c:1: GGML_ASSERT(a != b) failed",
        -6,
        Case(r"killed by SIGABRT: .*GGML_ASSERT\(a != b\)", "log", "GGML_ASSERT", True),
    ),
    "threads": (
        "terminate called after throwing an instance of 'std::system_error'\n"
        "  what():  Resource temporarily unavailable",
        -6,
        Case("no more threads", "ulimit", "Resource temporarily", True),
    ),
    "nothing said": ("loading", 3, Case("ended by itself with exit code 3", "log", again=True)),
    "all is well": ("loading", 0, Case("ended by itself with exit code 0", "no crash")),
}


@pytest.mark.parametrize("case", AT_THE_LOAD)
async def test_a_server_dies_at_the_load(rig: Rig, case: str) -> None:
    log, code, expected = AT_THE_LOAD[case]
    rig.add("one", {"load_log": log, "crash": code}, restart="on-failure")
    session = rig.session()
    await session.start("one")
    check(await session.wait("one", 20), expected)


WHILE_ANSWERING: dict[str, tuple[str, int, Case]] = {
    "GPU memory": (
        f"CUDA error: out of memory\n{_AT.format('alloc')}\n"
        "  cuMemCreate(&handle, reserve_size, &prop, 0)\n" + _CUDA,
        -6,
        Case("^out of GPU memory while answering$", "room beside the model", "out of memory", True),
    ),
    "host memory": (
        "ggml_gallocr_reserve_n: failed to allocate CPU buffer of size 4294967296\n"
        "graph_reserve: failed to allocate compute buffers",
        1,
        Case("out of host memory while answering: 4.0 GiB", "smaller model", "4294967296", True),
    ),
    "illegal access": (
        f"CUDA error: an illegal memory access was encountered\n{_AT.format('ggml_backend_sync')}\n"
        "  cudaStreamSynchronize(cuda_ctx->stream())\n" + _CUDA,
        -6,
        Case("the GPU failed: .*illegal memory access", "xid", "illegal memory access", True),
    ),
    "launch failure": (
        f"CUDA error: unspecified launch failure\n{_AT.format('ggml_cuda_op')}\n{_CUDA}",
        -6,
        Case("the GPU failed: .*launch failure", "xid", "launch failure", True),
    ),
    "device lost": (
        "terminate called after throwing an instance of 'vk::DeviceLostError'\n"
        "  what():  vk::Queue::submit: ErrorDeviceLost",
        -6,
        Case("the GPU failed: ErrorDeviceLost", "xid", "ErrorDeviceLost", True),
    ),
    "asked, then a crash": (
        "0.04.1 I srv  llama_server: listening on http://127.0.0.1:1\n"
        "0.04.5 I srv    operator(): operator(): cleaning up before exit...\n"
        "terminate called without an active exception",
        -6,
        Case("was asked to stop, not by gputui, and crashed while it ended", "no crash"),
    ),
}


@pytest.mark.parametrize("case", WHILE_ANSWERING)
async def test_a_server_dies_while_it_answers(rig: Rig, case: str) -> None:
    log, code, expected = WHILE_ANSWERING[case]
    script = {"die_after": 2, "die_log": log, "die_code": code, "rate": 1000}
    rig.add("one", script, restart="on-failure")
    session = rig.session()
    status = await started(session, "one")
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        with contextlib.suppress(httpx.HTTPError):
            await client.post(f"{status.url}/v1/chat/completions", json={"messages": []})
    check(await until(session, "one", State.FAILED), expected)


# ── by what the kernel says ──────────────────────────────────────────────────────────────────────

OOM = "Memory cgroup out of memory: Killed process 4242 (llama-server) total-vm:70288kB"


@pytest.mark.parametrize(
    ("before", "after", "log", "killer"),
    [
        (0, 0, [OOM], Killer.OTHER),  # an old message: nobody was killed since
        (0, 1, [OOM], Killer.KERNEL),
        (None, 1, [OOM], Killer.KERNEL),
        (0, 1, [OOM.replace("4242", "42")], Killer.LIKELY_KERNEL),
        (0, 1, [], Killer.LIKELY_KERNEL),
        (None, None, [], Killer.UNKNOWN),
        (None, 7, [], Killer.UNKNOWN),
    ],
)
def test_who_killed_it(
    tmp_path: Path, before: int | None, after: int | None, log: list[str], killer: Killer
) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 1\n" + (f"oom_kill {after}\n" if after is not None else ""))
    assert kernel.kills(vmstat) == after
    assert kernel.who_killed(4242, before, vmstat, iter(log)) is killer
    found = diagnose("", -9, 1, killer=killer)
    assert ("kernel" in found.reason) is (killer is not Killer.OTHER) or "not by" in found.reason
    assert found.hint


def test_a_death_without_a_code_is_the_kernels_where_its_log_says_so() -> None:
    assert diagnose("", None, 1, killer=Killer.KERNEL).reason.startswith("killed by the kernel")
    unknown = diagnose("", None, 1, killer=Killer.LIKELY_KERNEL).reason
    assert unknown == "ended by itself; why is not known"


def test_the_drivers_words_on_a_gpu_that_failed() -> None:
    log = [
        "NVRM: Xid (PCI:0000:01:00): 31, pid=4242, name=llama-server, Ch 00000008, intr 00000000",
        "NVRM: Xid (PCI:0000:01:00): 13, pid=4243, name=other",
        "\x1b[31mNVRM: Xid (PCI:0000:01:00): 79, pid='4242', GPU has fallen off the bus.",
    ]
    assert kernel.xid(4242, iter(log)).startswith("Xid (PCI:0000:01:00): 79, pid='4242'")
    assert kernel.xid(1, iter(log)) == ""
