"""The CPU side of an instance: which CPUs it may run on, and which NUMA node its memory comes from.

Both hold from the server's first instruction on, so that the memory it touches first is local: they
are set in a thread that does nothing but start it. On Linux they belong to a thread, not to a process,
and a child and what it execs have them from the thread that forked (sched_setaffinity(2),
set_mempolicy(2)).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gputui.config import InstanceConfig
from gputui.config.cpus import format_cpus, parse_cpus
from gputui.errors import GputuiError

_Made = TypeVar("_Made")

SYSFS = Path("/sys/devices/system")

MPOL_PREFERRED = 1
"""set_mempolicy(2): memory comes from the node first, and from others where it is full. MPOL_BIND would
have the kernel kill a server whose weights are larger than the node, with memory free beside it."""

_SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237, "riscv64": 237, "ppc64le": 261, "s390x": 270}
"""The number of the system call, by machine (the kernel's syscall tables)."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a server runs: the only CPUs, () for all, and the node that its memory comes from."""

    cpus: tuple[int, ...] = ()
    numa_node: int | None = None

    def __bool__(self) -> bool:
        return bool(self.cpus) or self.numa_node is not None


@dataclass(frozen=True, slots=True)
class Machine:
    """The CPUs of a machine. ``sysfs`` is the kernel's description of them."""

    sysfs: Path = SYSFS

    def allowed(self) -> frozenset[int]:
        """The CPUs that a process of ours may be given: those online, less what a cgroup forbids."""
        online = _read_cpus(self.sysfs / "cpu/online")
        if self.sysfs != SYSFS:
            return online
        everywhere = Placement(tuple(sorted(online)))
        return in_place(everywhere, lambda: frozenset(os.sched_getaffinity(0)))[0]

    def nodes(self) -> dict[int, frozenset[int]]:
        """The CPUs of each NUMA node; a node of memory alone has none. {} where there is no NUMA."""
        found: dict[int, frozenset[int]] = {}
        for folder in sorted(self.sysfs.glob("node/node[0-9]*")):
            with contextlib.suppress(ValueError):
                found[int(folder.name.removeprefix("node"))] = _read_cpus(folder / "cpulist")
        return found

    def place(self, instance: InstanceConfig) -> Placement:
        """Where an instance goes. Raises GputuiError for CPUs and nodes that are not there."""
        if instance.cpus is None and instance.numa_node is None:
            return Placement()
        where = f"[[instances]] {instance.name}"
        if not hasattr(os, "sched_setaffinity"):
            raise GputuiError(
                f"{where}: cpus: this system binds no process to CPUs", "Leave it out."
            )
        return _place(instance, self.allowed(), self.nodes(), where)


def _place(
    instance: InstanceConfig, allowed: frozenset[int], nodes: dict[int, frozenset[int]], where: str
) -> Placement:
    cpus = parse_cpus(instance.cpus) if instance.cpus is not None else None
    node = instance.numa_node
    if cpus is not None and not cpus <= allowed:
        raise GputuiError(
            f"{where}: cpus {format_cpus(cpus)}: gputui may use {format_cpus(allowed) or 'none'} here",
            "See: lscpu --extended",
        )
    if node is None:
        return Placement(tuple(sorted(cpus or ())))
    if node not in nodes:
        known = format_cpus(nodes) if nodes else ""
        raise GputuiError(
            f"{where}: numa_node = {node}: this machine has {f'nodes {known}' if known else 'no NUMA'}",
            "See: lscpu",
        )
    if not nodes[node] and cpus is None:
        raise GputuiError(
            f"{where}: NUMA node {node} has memory alone, no CPU", "Give cpus as well."
        )
    chosen = (allowed if cpus is None else cpus) & (nodes[node] or allowed)
    if not chosen:
        what = f"cpus {format_cpus(cpus)}" if cpus else "what gputui may use here"
        raise GputuiError(
            f"{where}: NUMA node {node} has CPUs {format_cpus(nodes[node])}, none of {what}",
            "Leave one of the two out.",
        )
    return Placement(tuple(sorted(chosen)), node)


def in_place(placement: Placement, make: Callable[[], _Made]) -> tuple[_Made, Placement]:
    """What ``make`` gives, called in a thread of its own that is placed so, and where that was.

    Raises what ``make`` raises, and GputuiError where the kernel does not allow the CPUs. A kernel that
    sets no memory policy (EPERM in some containers, ENOSYS) is no reason not to start, as the CPUs alone
    make first touches local: then the node is None in what comes back.
    """
    made: list[tuple[_Made, Placement]] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            placed = _settle_in(placement)
            made.append((make(), placed))
        except BaseException as error:  # noqa: BLE001  raised again by the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="gputui placing", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def affinity_of(pid: int) -> tuple[int, ...] | None:
    """The CPUs that a process's first thread may run on now; None where not known."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    with contextlib.suppress(OSError):
        return tuple(sorted(os.sched_getaffinity(pid)))
    return None


def placement_note(placed: Placement, node: int | None, now: Collection[int]) -> str:
    """What is not as it was asked for, in words, "" where all is.

    ``placed`` is where it was started, ``node`` the NUMA node that was asked for, ``now`` as
    ``affinity_of`` gives it.
    """
    if now and tuple(now) != placed.cpus:
        asked = format_cpus(placed.cpus)
        return f"runs on CPUs {format_cpus(now)}, not on {asked}: somebody changed that since its start"
    if node is not None and placed.numa_node is None:
        return f"the kernel sets no memory policy here: only its CPUs are of NUMA node {node}"
    return ""


def _settle_in(placement: Placement) -> Placement:
    """Place the calling thread; where it is then."""
    if placement.cpus:
        try:
            os.sched_setaffinity(0, placement.cpus)
        except OSError as error:
            raise GputuiError(
                f"the kernel refuses CPUs {format_cpus(placement.cpus)}: {error.strerror}",
                "A cgroup or a container may keep them from gputui.",
            ) from error
    node = placement.numa_node
    if node is not None and not _prefer_memory_of(node):
        return Placement(placement.cpus)
    return placement


def _prefer_memory_of(node: int) -> bool:
    """Whether the kernel took the policy for the calling thread."""
    number = _SET_MEMPOLICY.get(platform.machine())
    if number is None:
        return False
    bits = 8 * ctypes.sizeof(ctypes.c_ulong)
    mask = (ctypes.c_ulong * (node // bits + 1))()
    mask[node // bits] = 1 << (node % bits)
    # The kernel reads one bit less than it is told (set_mempolicy(2), BUGS of maxnode).
    size = ctypes.c_ulong(len(mask) * bits + 1)
    libc = ctypes.CDLL(None, use_errno=True)
    call = (ctypes.c_long(number), ctypes.c_int(MPOL_PREFERRED), mask, size)
    return bool(libc.syscall(*call) == 0)


def _read_cpus(file: Path) -> frozenset[int]:
    """A cpulist of the kernel; empty where it cannot be read."""
    try:
        return parse_cpus(file.read_text())
    except (OSError, ValueError):
        return frozenset()
