"""Several gputui processes on one machine, and what is true of it as seen from outside, by /proc alone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ports import new_port
from tests.support.standin_nvml import NoCompilerError
from tests.support.waiting import wait_for

SOURCE = Path(__file__).with_name("server.c")
ROOT = Path(__file__).parents[3]
SHARED, ALONE = ("a", "b"), "c"
NAMES = (*SHARED, ALONE)
"""a and b have one port; b takes its time to load, c to bind. c is started again after a
crash, by whoever is asked to."""


def compile_server(folder: Path) -> Path:
    """Compile the server into ``folder``; its path. Raises NoCompilerError."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError("no C compiler (cc) for the server that starts at once")
    program = folder / "llama-server"
    subprocess.run([compiler, "-std=gnu11", "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


class Gone(Exception):
    """The worker was killed before it answered."""


@dataclass
class Worker:
    """One gputui process, as the test holds it."""

    pid: int
    link: socket.socket
    lines: Any
    last: int = 0
    early: dict[int, dict[str, Any]] = field(default_factory=dict)

    def order(self, action: str, name: str = "", **more: Any) -> int:
        """Ask for something; the number by which ``reply`` knows it."""
        self.last += 1
        text = json.dumps({"id": self.last, "do": action, "name": name, **more})
        with contextlib.suppress(BrokenPipeError):
            self.link.sendall(text.encode() + b"\n")
        return self.last

    def reply(self, number: int) -> dict[str, Any]:
        """What became of it. Raises Gone; TimeoutError where it hangs; AssertionError for what
        no gputui may raise."""
        while number not in self.early:
            try:
                line = self.lines.readline()
            except ConnectionResetError:
                line = ""
            if not line.endswith("\n"):
                raise Gone
            answer = json.loads(line)
            self.early[answer["id"]] = answer
        answer = self.early.pop(number)
        assert answer.get("kind") != "unexpected", answer["error"]
        return answer

    def ask(self, action: str, name: str = "", **more: Any) -> dict[str, Any]:
        return self.reply(self.order(action, name, **more))

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.link.close()
        wait_for(lambda: not Path(f"/proc/{self.pid}").exists(), "the worker's end")


@dataclass(frozen=True)
class Living:
    """A server that lives. ``begun``: the program runs, and not the shell that waits to become it."""

    pid: int
    name: str
    begun: bool


class TortureRig:
    """A state directory, three instances, and as many gputui processes as asked for."""

    def __init__(self, program: Path, **timing: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="torture"))
        self.state = self.folder / "state"
        self.witness = self.folder / "witness"
        self.witness.mkdir()
        self.program = program
        shared = new_port()
        self.ports = {"a": shared, "b": shared, "c": new_port()}
        self._write_config({"b": "--load-ms", "c": "--bind-ms"}, timing)
        self._ears = socket.socket(socket.AF_UNIX)
        self._ears.bind(str(self.folder / "socket"))
        self._ears.listen(8)
        self._ears.settimeout(60)
        words = [str(self.folder / name) for name in ("config.toml", "state", "socket")]
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.instances.torture.zygote", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TORTURE": str(self.folder)},
        )
        self.workers: list[Worker] = []

    def _write_config(self, slow: dict[str, str], timing: dict[str, int]) -> None:
        model = self.folder / "model.gguf"
        model.write_bytes(b"GGUF" + bytes(1000))
        lines = [f"llama_server = {json.dumps(str(self.program))}"]
        for name in NAMES:
            args = ["--witness", str(self.witness)]
            if name in slow and name in timing:
                args += [slow[name], str(timing[name])]
            lines += ["[[instances]]", f'name = "{name}"', f"model = {json.dumps(str(model))}"]
            lines += [f"port = {self.ports[name]}", f"args = {json.dumps(args)}"]
            lines += ['restart = "on-failure"'] * (name == ALONE)
        (self.folder / "config.toml").write_text("\n".join(lines))

    def new_worker(self) -> Worker:
        """Another gputui begins."""
        assert self._zygote.stdin
        self._zygote.stdin.write("\n")
        self._zygote.stdin.flush()
        link, _ = self._ears.accept()
        link.settimeout(60)
        lines = link.makefile("r")
        worker = Worker(json.loads(lines.readline())["pid"], link, lines)
        self.workers.append(worker)
        return worker

    def end_worker(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.kill()

    def replace(self, place: int) -> None:
        """The gputui in that place is killed, and another begins."""
        self.end_worker(self.workers[place])
        self.new_worker()
        self.workers.insert(place, self.workers.pop())

    def record_file(self, name: str) -> Path:
        return self.state / "instances" / f"{name}.json"

    def record(self, name: str) -> dict[str, Any] | None:
        """What is on disk, as JSON; a torn file fails the test."""
        try:
            found: dict[str, Any] = json.loads(self.record_file(name).read_text())
        except FileNotFoundError:
            return None
        return found

    def living(self) -> list[Living]:
        """The servers of this rig, by the marker in their environment."""
        mine = f"TORTURE={self.folder}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                marked = [v for v in variables if v.startswith(b"GPUTUI_INSTANCE=")]
                if mine in variables and marked:
                    program = (folder / "cmdline").read_bytes().partition(b"\0")[0]
                    name = marked[0].partition(b"=")[2].decode()
                    found.append(Living(int(folder.name), name, program == bytes(self.program)))
        return found

    def settled(self) -> dict[str, int]:
        """The pid of each server that lives, once none is on its way. AssertionError for two of a name."""

        def steady() -> list[Living] | None:
            found = self.living()
            return found if all(server.begun for server in found) else None

        wait_for(lambda: steady() is not None, "servers that begin or end")
        found = steady() or []
        assert len({server.name for server in found}) == len(found), found
        return {server.name: server.pid for server in found}

    def check(self) -> dict[str, int]:
        """That the record, every gputui and the truth agree; the truth: pids of servers by name.

        Servers may end by themselves meanwhile (a port that is taken): then it is looked at again.
        """
        end = time.monotonic() + 60
        while True:
            before = self.settled()
            told = [worker.ask("observe")["statuses"] for worker in self.workers]
            if self.settled() == before:
                break
            assert time.monotonic() < end, "it does not come to rest"
        for statuses in told:
            seen = {status["name"]: status["pid"] for status in statuses if status["owned"]}
            assert seen == before, (seen, before, statuses)
        for name in NAMES:
            record = self.record(name)
            if name in before:
                assert record, name
                assert (record["pid"], record["failure"]) == (before[name], None)
            else:
                assert record is None or record["failure"], record
        self.check_witness()
        return before

    def check_witness(self) -> None:
        """That there never were two servers on one port or of one name, not even for a moment."""
        violations = self.witness / "violations"
        assert not violations.exists(), violations.read_text()

    def close(self) -> None:
        """End everything that this rig started."""
        for worker in list(self.workers):
            self.end_worker(worker)
        for server in self.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGKILL)
        self._zygote.kill()
        self._zygote.communicate()
        self._ears.close()
        wait_for(lambda: not self.living(), "the servers' end")
        shutil.rmtree(self.folder)
