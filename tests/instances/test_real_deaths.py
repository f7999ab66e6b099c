"""Why the real server died, one row a case."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gputui.config import Config, InstanceConfig
from gputui.demo.parts import Parts
from gputui.instances import ports
from gputui.instances.records import Paths, Record, read
from gputui.instances.status import State
from gputui.instances.supervisor import Supervisor
from gputui.processes import send_signal
from tests.instances.conftest import end_all, started, until
from tests.instances.deaths import Case, check
from tests.support.ports import new_port

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
        for _ in range(
            5
        ):  # the server writes its log on a thread of its own, and may exit before it
            await session.start("x")
            status = await session.wait("x", 60)
            if "bind" in " ".join(status.evidence):
                break
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
