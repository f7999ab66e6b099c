"""Servers that gputui did not start: found, told, chosen, and left alone."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gputui.cli.root import group
from gputui.config import Config, EndpointConfig
from gputui.demo.parts import Parts
from gputui.errors import GputuiError
from gputui.instances import discovery
from gputui.instances.discovery import Discovery, Scanner
from gputui.instances.status import InstanceStatus, State, status_json
from gputui.instances.supervisor import Supervisor
from tests.instances.conftest import Rig, started
from tests.support.ports import new_port
from tests.support.scripted_server import make_server
from tests.support.waiting import wait_for

Start = Callable[..., int]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server as somebody at another terminal would; its port."""
    children: list[subprocess.Popen[bytes]] = []

    def run(*flags: str, **script: Any) -> int:
        port = new_port()
        folder = tmp_path / f"by-hand-{port}"
        server = make_server(folder, **{"comm": discovery.PROGRAM} | script)
        argv = [str(server), "--port", str(port), "-m", "/models/Qwen2.5-7B-Q4_K_M.gguf", *flags]
        children.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL))
        wait_for(lambda: any(one.port == port for one in Scanner().scan()))
        return port

    yield run
    for child in children:
        child.kill()
        child.wait()


def session(rig: Rig, **more: Any) -> Supervisor:
    config = Config(instances=tuple(rig.instances), **more)
    made = Supervisor(config, (), rig.state, discovery=Discovery())
    rig.sessions.append(made)
    return made


async def externals(supervisor: Supervisor) -> list[InstanceStatus]:
    return [status for status in await supervisor.observe(5) if status.external]


async def test_a_server_started_by_hand(rig: Rig, start: Start) -> None:
    rig.add("mine")
    port = start("--metrics")
    supervisor = session(rig)
    mine = await started(supervisor, "mine")
    (status,) = await externals(supervisor)
    assert (status.name, status.state, status.port) == (f"llama:{port}", State.READY, port)
    assert not status.owned
    assert status.pid not in (None, mine.pid)
    assert status.model == "Qwen2.5-7B Q4_K_M"
    assert status.url == f"http://127.0.0.1:{port}"
    assert status.metrics.slots_total == 4
    assert status.metrics.memory_bytes
    assert status.started_at
    assert status.role == "chat"
    assert f"not started by gputui: pid {status.pid}" in status.note
    (shape,) = status_json((status,))["instances"]
    assert shape["external"] is True
    assert shape["gpus"] is None


async def test_it_is_left_alone(rig: Rig, start: Start) -> None:
    port = start()
    endpoint = EndpointConfig(name="far", url="http://127.0.0.1:1/v1")
    supervisor = session(rig, endpoints=(endpoint,))
    (status,) = await externals(supervisor)
    for act in (supervisor.start, supervisor.stop, supervisor.restart):
        with pytest.raises(
            GputuiError, match=rf"{status.name} was not started by gputui"
        ) as refused:
            await act(status.name)
        assert "where it was started" in refused.value.hint
        with pytest.raises(GputuiError, match="far is an endpoint: gputui only talks to it"):
            await act("far")
    assert [one.port for one in await externals(supervisor)] == [port]


async def test_names_are_aliases_where_those_are_unique(rig: Rig, start: Start) -> None:
    rig.add("mine")
    alone, taken = start("--alias", "qwen"), start("--alias", "Mine")
    twins = [start("--alias", "twin"), start("--alias", "twin")]
    hostile = start("--alias", "a\x1b[31m/b")
    supervisor = session(rig)
    names = {status.port: status.name for status in await externals(supervisor)}
    ports = (taken, *twins, hostile)
    assert names == {alone: "qwen"} | {port: f"llama:{port}" for port in ports}


async def test_a_name_that_an_instance_gets_later_is_its_own(rig: Rig, start: Start) -> None:
    port = start("--alias", "qwen")
    supervisor = session(rig)
    assert [status.name for status in await supervisor.observe(5)] == ["qwen"]
    rig.add("qwen")
    supervisor.set_config(rig.config)
    assert [status.name for status in await supervisor.observe(5)] == ["qwen", f"llama:{port}"]
    await started(supervisor, "qwen")
    supervisor.set_config(Config())  # it runs on, and keeps its name
    assert [status.name for status in await supervisor.observe(5)] == ["qwen", f"llama:{port}"]


async def test_roles_and_loads_are_seen(rig: Rig, start: Start) -> None:
    embeds = start("--embeddings", "--alias", "e")
    loads = start("--mmproj", "/m", load_seconds=60)
    found = {status.port: status for status in await externals(session(rig))}
    assert found[embeds].role == "embedding"
    assert found[embeds].sees is False
    assert found[loads].state is State.LOADING


async def test_one_on_an_instances_port_is_that_instance(rig: Rig, start: Start) -> None:
    port = start("--alias", "mine")
    rig.add("mine", port=port)
    statuses = await session(rig).observe(5)
    assert [(s.name, s.state, s.owned, s.external) for s in statuses] == [
        ("mine", State.READY, False, False)
    ]


async def test_a_lost_record_leaves_a_server_that_is_seen(rig: Rig) -> None:
    rig.add("mine", {"comm": discovery.PROGRAM})
    before = await started(rig.session(), "mine")
    rig_pid = before.pid
    (rig.state / "instances/mine.json").unlink()
    rig.instances.clear()
    (status,) = await externals(session(rig))
    assert (status.name, status.pid) == ("mine", rig_pid)
    assert not status.owned
    os.kill(rig_pid or 0, 9)


async def test_a_server_that_ends_is_gone_at_the_next_look(rig: Rig, start: Start) -> None:
    start()
    supervisor = session(rig)
    (status,) = await externals(supervisor)
    os.kill(status.pid or 0, 9)
    for _ in range(100):
        if not await externals(supervisor):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("still there")


def made_up(proc: Path, pid: int, **files: str) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    stat = f"{pid} (x) S 1 " + " ".join(["0"] * 17) + " 777 " + "0 " * 30
    for name, text in {"comm": discovery.PROGRAM, "stat": stat, **files}.items():
        (folder / name).write_text(text)


def test_the_port_of_another_users_process_is_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sockets may not be looked at: flags say where it may be, and nothing is certain."""

    def forbidden(folder: Path) -> None:
        return None

    monkeypatch.setattr(discovery, "_listening", forbidden)
    made_up(tmp_path, 12, cmdline="llama-server\0--port\08085\0")
    made_up(tmp_path, 13, cmdline="llama-server\0--port=70000\0")
    made_up(tmp_path, 15)
    made_up(tmp_path, 14, cmdline="llama-server\0--host\0::1\0--port\0x\0")
    found = [(one.pid, one.url, one.certain) for one in Scanner(tmp_path).scan()]
    assert sorted(found) == [
        (12, "http://127.0.0.1:8085", False),
        (14, "http://[::1]:8080", False),
        (15, "http://127.0.0.1:8080", False),  # nothing of it can be read but its name
    ]


def test_a_process_that_becomes_a_server_is_found(tmp_path: Path) -> None:
    """Others are not looked at each time, and are not forgotten either."""
    made_up(tmp_path, 12, comm="bash\n", cmdline="bash")
    scanner = Scanner(tmp_path)
    for _ in range(5):
        assert scanner.scan() == ()
    (tmp_path / "12/comm").write_text(f"{discovery.PROGRAM}\n")
    assert any(scanner.scan() for _ in range(10)) is False  # it listens nowhere
    (tmp_path / "12/fd").mkdir()
    (tmp_path / "12/fd/3").symlink_to("socket:[99]")
    (tmp_path / "12/net").mkdir()
    row = "0: 0100007F:1F95 00000000:0000 0A 0:0 0:0 0 0 0 99 1"
    (tmp_path / "12/net/tcp").write_text(f"header\n{row}\n")
    assert [one.url for one in scanner.scan()] == ["http://127.0.0.1:8085"]


def test_a_server_in_another_network_is_not_asked_in_ours(tmp_path: Path) -> None:
    row = "0: 0100007F:1F95 00000000:0000 0A 0:0 0:0 0 0 0 99 1"
    for pid in (12, 13):
        made_up(tmp_path, pid)
        for folder in ("fd", "net", "ns"):
            (tmp_path / f"{pid}/{folder}").mkdir()
        (tmp_path / f"{pid}/fd/3").symlink_to("socket:[99]")
        (tmp_path / f"{pid}/net/tcp").write_text(f"header\n{row}\n")
    (tmp_path / "12/ns/net").symlink_to("/proc/self/ns/net")
    (tmp_path / "13/ns/net").write_text("a container's")
    assert [one.pid for one in Scanner(tmp_path).scan()] == [12]


async def test_a_guessed_port_counts_only_where_a_server_answers(
    rig: Rig, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, silent = start(), new_port()

    def forbidden(folder: Path) -> None:
        return None

    monkeypatch.setattr(discovery, "_listening", forbidden)
    for pid, port in ((12, answers), (13, silent)):
        made_up(tmp_path / "proc", pid, cmdline=f"llama-server\0--port\0{port}\0")
    found = await Discovery(tmp_path / "proc").look((), (), (), 5)
    assert [status.port for status in found] == [answers]


def test_the_listening_socket_is_found_in_both_families() -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as server:
            try:
                server.bind((host, 0))
            except OSError:
                continue
            server.listen()
            pairs = discovery._listening(Path(f"/proc/{os.getpid()}"))
            assert (host, server.getsockname()[1]) in (pairs or [])


@pytest.mark.real
def test_the_real_one_in_status(
    demo_parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "PROGRAM", "llama-server")
    port = new_port()
    argv = [str(demo_parts.llama_server), "-m", str(demo_parts.smollm2), "--port", str(port)]
    argv += ["-c", "512", "-t", "1", "--device", "none", "--metrics"]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(argv, stdout=log, stderr=log)
    try:

        def shown() -> dict[str, Any] | None:
            result = CliRunner().invoke(group, ["status", "--json"])
            if result.exit_code:
                return None
            found = [one for one in json.loads(result.stdout)["instances"] if one["port"] == port]
            return found[0] if found and found[0]["state"] == "ready" else None

        status = wait_for(shown)
        assert status["external"] is True
        assert status["pid"] == child.pid
        assert status["model"] == "SmolLM2-135M-Instruct Q4_1"
        assert status["metrics"]["slots_total"] == 4
        answer = CliRunner().invoke(
            group, ["chat", "--a", f"llama:{port}", "--max-tokens", "4", "hello"]
        )
        assert answer.exit_code == 0, answer.output
        refused = CliRunner().invoke(group, ["stop", f"llama:{port}"])
        assert refused.exit_code == 1
        assert "was not started by gputui" in refused.output
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
