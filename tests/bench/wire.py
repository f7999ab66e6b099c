"""What programs cost on the wire: bytes to the terminal, CPU, memory, time to the first picture.

    python tests/bench/wire.py [--gpus 2] [--seconds 20] [--size 160x45] [--repeat 3]
    python tests/bench/wire.py --program gputui='gputui --source nvml' --program other='other -d 1'

Each program runs in a pseudo-terminal of its own, one after the other in turns, on the stand-in NVML
(see tests/support/nvml/scenario.h) whose readings change once a second, the same for all. By default
gputui is held against nvitop (pip install nvitop). A bench, no test: nothing passes or fails.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib.util
import json
import os
import pty
import random
import re
import select
import shlex
import signal
import statistics
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pyte

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.standin_nvml import NoCompilerError, StandinNvml, compile_library  # noqa: E402

MIB = 2**20
WARM_UP_SECONDS = 3.0
MARKER = r"\d+\.\d+(GiB)? ?/ ?3[12]"  # a GPU's memory, used of total, as each program shows it
ANSWERS = {
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",  # synchronised output: known, as most terminals say
    b"\x1b[c": b"\x1b[?62;22c",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of one program. ``first_picture_seconds`` is None where it never came."""

    kib_per_second: float
    cpu_percent: float
    mib: float
    first_picture_seconds: float | None


class Terminal:
    """A program in a pseudo-terminal, and all that it wrote, with times since its start."""

    def __init__(
        self, command: Sequence[str], size: tuple[int, int], environment: Mapping[str, str]
    ) -> None:
        self.size = size
        self.written: list[tuple[float, bytes]] = []
        self._began = time.perf_counter()
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            self._become(command, environment)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = psutil.Process(self.pid)

    def _become(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """The child: wait for the window's size (so that no resize is measured), then run."""
        while termios.tcgetwinsize(0) == (0, 0):
            time.sleep(0.0005)
        try:
            os.execvpe(command[0], list(command), dict(environment))  # noqa: S606
        except OSError as error:
            os.write(2, f"{command[0]}: {error}\r\n".encode())
            os._exit(127)

    def read(self, seconds: float) -> None:
        """Take in what the program writes, as a terminal does; returns early when it ended."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            if not select.select([self._master], [], [], left)[0]:
                return
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:  # the other side is closed
                return
            self.written.append((time.perf_counter() - self._began, data))
            for question, answer in ANSWERS.items():
                if question in data:
                    os.write(self._master, answer)

    def first_picture(self, marker: str) -> float | None:
        """Seconds until a line of the screen matched ``marker``; None where none ever did."""
        screen = pyte.Screen(*self.size)
        stream = pyte.ByteStream(screen)
        for when, data in self.written:
            # pyte takes no private parameters in these; they paint nothing.
            stream.feed(data.replace(b"\x1b[>", b"\x1b[").replace(b"\x1b[<", b"\x1b["))
            if any(re.search(marker, line) for line in screen.display):
                return when
        return None

    def family(self) -> list[psutil.Process]:
        """The program and its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def close(self) -> None:
        """Ask the program to quit as a user does, and make sure."""
        with contextlib.suppress(OSError):
            os.write(self._master, b"q")
        self.read(0.7)
        for process in reversed(self.family()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self._master)


def measure(
    command: Sequence[str],
    environment: Mapping[str, str],
    size: tuple[int, int],
    seconds: float,
    marker: str,
) -> Cost:
    """Run ``command`` for a warm-up and then ``seconds``. Raises SystemExit where it ends itself."""
    terminal = Terminal(command, size, environment)
    try:
        terminal.read(WARM_UP_SECONDS)
        before, began = len(terminal.written), time.perf_counter()
        cpu = cpu_seconds(terminal.family())
        terminal.read(seconds)
        elapsed = time.perf_counter() - began
        if elapsed < seconds - 0.1 or not terminal.family():
            said = b"".join(data for _, data in terminal.written[-3:]).decode(errors="replace")
            raise SystemExit(f"{shlex.join(command)} ended by itself: {said.strip()[-500:]!r}")
        return Cost(
            sum(len(data) for _, data in terminal.written[before:]) / elapsed / 1024,
            100 * (cpu_seconds(terminal.family()) - cpu) / elapsed,
            sum(process.memory_full_info().pss for process in terminal.family()) / MIB,
            terminal.first_picture(marker),
        )
    finally:
        terminal.close()


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """User and system time of all of them."""
    times = (process.cpu_times() for process in processes)
    return sum(t.user + t.system for t in times)


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


def programs(chosen: Sequence[str]) -> dict[str, list[str]]:
    """Name to command; gputui and, if it is here, nvitop, unless others are named."""
    if chosen:
        named = (program.partition("=") for program in chosen)
        return {name: shlex.split(command) for name, _, command in named}
    found = {"gputui": [sys.executable, "-m", "gputui", "--source", "nvml"]}
    if importlib.util.find_spec("nvitop"):
        found["nvitop"] = [sys.executable, "-m", "nvitop", "--interval", "1"]
    else:
        print("nvitop is not installed here, nothing to compare with: pip install nvitop\n")
    return found


def environment(standin: StandinNvml, home: Path) -> dict[str, str]:
    """A home of its own: no configuration, no state, no running instances."""
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
    return kept | own | standin.environment()


def median(costs: Sequence[Cost], name: str) -> float | None:
    """The median of one figure over the repetitions, None where a run has none."""
    values = [getattr(cost, name) for cost in costs]
    return None if None in values else statistics.median(values)


COLUMNS = {
    "kib_per_second": "KiB/s",
    "cpu_percent": "CPU %",
    "mib": "MiB",
    "first_picture_seconds": "first picture s",
}


def report(costs: Mapping[str, Sequence[Cost]]) -> None:
    """One line a program, and the ratios of the first to each other one."""
    print(f"{'':<18}" + "".join(f"{title:>18}" for title in COLUMNS.values()))
    medians = {name: {key: median(runs, key) for key in COLUMNS} for name, runs in costs.items()}
    for name, figures in medians.items():
        print(f"{name:<18}" + "".join(f"{cell(value, 3):>18}" for value in figures.values()))
    first, *others = medians
    for other in others:
        ratios = (ratio(medians[first][key], medians[other][key]) for key in COLUMNS)
        print(f"{f'{first}/{other}':<18}" + "".join(f"{cell(value, 2):>18}" for value in ratios))


def ratio(one: float | None, other: float | None) -> float | None:
    """Their quotient, None where it is not known."""
    return None if one is None or not other else one / other


def cell(value: float | None, digits: int) -> str:
    """A number or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpus", type=int, default=2, choices=range(1, 17), metavar="1..16")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured in each run")
    parser.add_argument("--size", default="160x45", metavar="COLUMNSxROWS")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each program")
    parser.add_argument("--program", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument(
        "--marker", default=MARKER, help="regular expression; the first picture has it"
    )
    parser.add_argument("--json", action="store_true", help="every run, as JSON")
    return parser.parse_args()


def main() -> None:
    """Run all programs in turns and print what they cost."""
    options = arguments()
    columns, rows = (int(number) for number in options.size.split("x"))
    commands = programs(options.program)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            standin = StandinNvml(compile_library(folder), folder)
        except NoCompilerError as error:
            raise SystemExit(str(error)) from None
        standin.set(compute=f"{os.getpid()}:{8 * 1024 * MIB}")
        for _ in range(options.repeat):
            for name, command in commands.items():
                with changing_readings(standin, options.gpus):
                    cost = measure(
                        command,
                        environment(standin, folder),
                        (columns, rows),
                        options.seconds,
                        options.marker,
                    )
                costs[name].append(cost)
    if options.json:
        print(json.dumps({name: [asdict(cost) for cost in runs] for name, runs in costs.items()}))
        return
    print(f"{options.gpus} GPUs, {options.size}, median of {options.repeat}×{options.seconds:g} s")
    report(costs)


if __name__ == "__main__":
    main()
