"""A process that has everything of gputui's instances loaded, and forks a worker in milliseconds.

``python -m tests.instances.torture.zygote CONFIG STATE SOCKET`` forks a worker for each line on its input
and prints its pid. A worker connects to SOCKET and takes one JSON object a line: ``{"id", "do", "name"}``
and what ``Worker`` says. Each is answered by ``{"id", "error", "kind", "statuses"}``; many can be under way.
"""

from __future__ import annotations

import asyncio
import errno
import faulthandler
import json
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import anyio._backends._asyncio
import httpcore
import httpx

from gputui import config
from gputui.chat.keeping.store import Store
from gputui.chat.model import Turn
from gputui.errors import GputuiError
from gputui.instances.keeping.backoff import Backoff
from gputui.instances.supervisor import Supervisor

LOADED = (httpx, httpcore, anyio._backends._asyncio)
STEPS = ("open", "os.", "fcntl.", "subprocess.", "tempfile.", "signal.", "sqlite3.", "socket.")
"""The audit events of CPython that stand for a step outside: a call into the kernel is about to be made."""


class Death:
    """Kills this process at the n-th step from now on."""

    def __init__(self) -> None:
        self.left: int | None = None
        self._lock = threading.Lock()

    def hook(self, event: str, _: Any) -> None:
        if self.left is None or not event.startswith(STEPS):
            return
        with self._lock:
            self.left = (self.left or 1) - 1
            if self.left == 0:
                self.left = None  # the next line is a step too
                os.kill(os.getpid(), signal.SIGKILL)


class Worker:
    """One gputui. ``do``: start, stop, restart, start_again NAME; observe; keep (a turn in the database).

    With ``die_at`` it is killed at that step of the action, with ``full`` no file can be written
    while it lasts.
    """

    def __init__(self, configuration: Path, state: Path) -> None:
        self.state = state
        backoff = Backoff(first=0.0, most=10**6)
        self.supervisor = Supervisor(config.load(configuration), (), state, backoff=backoff)
        self.death = Death()

    async def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        self.death.left = order.get("die_at")
        restore = fill_disk() if order.get("full") else None
        try:
            if order["do"] == "start_again":
                return {"did": await self.supervisor.start_again(order["name"])}
            return {"statuses": await self._do(order["do"], order.get("name", ""))}
        except GputuiError as error:
            return {"error": error.message, "kind": type(error).__name__}
        except BaseException:  # noqa: BLE001 - whatever it is, the test is told
            return {"error": traceback.format_exc(), "kind": "unexpected"}
        finally:
            if restore:
                restore()

    async def _do(self, action: str, name: str) -> list[dict[str, Any]]:
        if action == "observe":
            statuses = await self.supervisor.observe(2.0)
            keys = ("name", "state", "pid", "owned", "note", "last_error")
            return [{key: getattr(status, key) for key in keys} for status in statuses]
        if action == "keep":
            await asyncio.to_thread(self._keep, name)
        else:
            await getattr(self.supervisor, action)(name)
        return []

    def _keep(self, prompt: str) -> None:
        store = Store(self.state / "gputui.db")
        store.new_turn(store.new_conversation(1.0), Turn(prompt, 1.0, {}))
        store.close()


def fill_disk() -> Callable[[], None]:
    """From now on nothing can be written; what is called gives the room back."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = tempfile.mkstemp, os.pwrite
    tempfile.mkstemp = os.pwrite = refuse  # type: ignore[assignment]

    def restore() -> None:
        tempfile.mkstemp, os.pwrite = before

    return restore


async def work(worker: Worker, path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path, limit=2**20)
    tasks: set[asyncio.Task[None]] = set()

    async def one(order: dict[str, Any]) -> None:
        answer = await worker.answer(order)
        writer.write(json.dumps({"id": order["id"], **answer}).encode() + b"\n")

    writer.write(json.dumps({"pid": os.getpid()}).encode() + b"\n")
    while line := await reader.readline():
        task = asyncio.create_task(one(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def begin_worker(words: list[str]) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # for whoever looks into a hang
    os.setsid()
    worker = Worker(Path(words[0]), Path(words[1]))
    sys.addaudithook(worker.death.hook)
    try:
        asyncio.run(work(worker, words[2]))
    finally:
        os._exit(0)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a worker ended
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            begin_worker(sys.argv[1:])
        print(pid, flush=True)


if __name__ == "__main__":
    main()
