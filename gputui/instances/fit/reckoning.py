"""Whether an instance fits: what it will take against what its GPUs and the host have free.

Free is what the driver says now, less what instances that start at the moment have not taken yet, plus
what those give back that end before. Blocks on files and, where it is there, on ``llama-fit-params``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, GpuMemory, short_name
from gputui.instances.records import Record
from gputui.llama import fit_params
from gputui.models.gguf import Header, known_header
from gputui.models.memory import CONTEXT_BYTES, Device, Estimate, Share
from gputui.models.options import ServerOptions, parse_options
from gputui.models.search import MARGIN_BYTES, Room, largest_context, most_layers
from gputui.text import clean_line, error_words, size

Source = Literal["estimate", "llama-fit-params"]

Lowers = Literal["", "context", "layers"]
"""What the server's own ``--fit`` will lower so that it starts: nothing, the context, or the layers on GPUs."""

_OTHER_DRIVER_BYTES = 100 << 20


@dataclass(frozen=True, slots=True)
class FitRow:
    """One GPU, or the host (``uuid`` is None).

    ``needed`` is what the instance will take there, by its parts; ``free`` is what is free for it, in
    bytes; None where not known. ``holders`` are the running instances that have memory there, and how
    much. ``margin`` is what is to stay free.
    """

    name: str
    needed: Share
    free: float | None
    uuid: str | None = None
    holders: tuple[tuple[str, float], ...] = ()
    margin: float = 0.0

    @property
    def missing(self) -> float | None:
        """How many bytes are missing; 0 where it fits, None where not known."""
        if self.free is None:
            return None
        return max(0.0, self.needed.total + self.margin - self.free)


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether an instance fits now, as it is configured.

    ``fits`` is None where that is not known; ``reason`` says why. ``lowers``: what the server's own
    ``--fit`` lowers so that it starts all the same. ``fails``: the server will not start. ``words`` say
    it to people in one line. ``context`` is what was asked for, ``largest_context`` what would fit, of
    all slots together in tokens (0: none); ``gpu_layers`` of ``layers`` were asked for on GPUs, and
    ``most_layers`` would fit. ``warnings`` say why it is weak.
    """

    name: str
    fits: bool | None
    rows: tuple[FitRow, ...] = ()
    source: Source = "estimate"
    reason: str = ""
    words: str = ""
    lowers: Lowers = ""
    fails: bool = False
    context: int | None = None
    largest_context: int | None = None
    gpu_layers: int | None = None
    layers: int | None = None
    most_layers: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is to start: its whole command line, its environment, and its GPUs in its order.

    ``environment`` None: there is no such program here, and nothing beside it to ask.
    """

    name: str
    argv: Sequence[str]
    model: Path
    gpus: tuple[GpuIdentity, ...] = ()
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What else is on the machine. ``running`` are the records of live servers.

    Those named in ``leaving`` end before; ``coming`` start before. ``host`` are the available bytes.
    """

    memory: Mapping[str, GpuMemory]
    running: Sequence[Record] = ()
    leaving: Collection[str] = ()
    coming: Sequence[Server] = ()
    host: float | None = None


def not_known(name: str, error: GputuiError) -> Fit:
    """The fit of an instance of which nothing can be said, and why."""
    return Fit(name, None, reason=error.message, words=error.message)


def fit_of(server: Server, around: Occupancy) -> Fit:
    """Whether a server fits. Never raises for a model that cannot be read: the reason is in it."""
    try:
        room = room_for(server, around)
    except GputuiError as error:
        return not_known(server.name, error)
    except Exception as error:  # noqa: BLE001  a header that is odd beyond thought must not stop a start
        return not_known(server.name, GputuiError(error_words(error)))
    needed = room.taken()
    asked, why = _asked(server, room, needed)
    if asked is not None:
        needed = asked
    rows = _rows(server, around, room, needed)
    fit = Fit(
        server.name,
        _verdict(rows),
        rows,
        source="estimate" if asked is None else "llama-fit-params",
        context=needed.context,
        gpu_layers=needed.gpu_layers if room.devices else None,
        layers=needed.layers,
        warnings=(*needed.warnings, *(word for word in (why, _stand_in(server)) if word)),
    )
    if fit.fits is None:
        names = ", ".join(row.name for row in rows if row.free is None)
        return replace(fit, reason=f"the free memory of {names} is not known", words=_words(fit))
    if not fit.fits:
        fit = _remedies(fit, room)
    return replace(fit, words=_words(fit))


def room_for(server: Server, around: Occupancy) -> Room:
    """The model, its options and what is free. Raises GputuiError where the model cannot be read."""
    header = known_header(server.model)
    if not header.tensors:
        raise GputuiError(f"{server.model}: holds no weights", "Is it a vocabulary alone?")
    options = parse_options(server.argv)
    projector = _projector(options)
    pending = _pending(around)
    devices = tuple(_device(gpu, server, around, pending) for gpu in _used(server, around))
    given = sum(_host_held(one) for one in around.running if one.name in around.leaving)
    host = None if around.host is None else max(0.0, around.host + given - pending.get("", 0.0))
    return Room(header, options, devices, host, projector)


def _projector(options: ServerOptions) -> Header | None:
    try:
        return None if options.mmproj is None else known_header(options.mmproj)
    except GputuiError:
        return None


def _used(server: Server, around: Occupancy) -> tuple[GpuIdentity, ...]:
    """The GPUs with memory of their own that the server sees: none behind ``--device none``."""
    if _on_cpu(server.argv):
        return ()
    return tuple(gpu for gpu in server.gpus if not _shares(around, gpu.uuid))


def _on_cpu(argv: Sequence[str]) -> bool:
    return ("--device", "none") in pairwise(argv)


def _stand_in(server: Server) -> str:
    simulated = server.gpus and _on_cpu(server.argv)
    return "its GPUs are simulated, so the host holds everything" if simulated else ""


def _shares(around: Occupancy, uuid: str) -> bool:
    memory = around.memory.get(uuid)
    return memory is not None and memory.shared


def _device(
    gpu: GpuIdentity, server: Server, around: Occupancy, pending: Mapping[str, float]
) -> Device:
    memory = around.memory.get(gpu.uuid)
    free = None if memory is None else memory.free
    if memory is not None and free is not None:
        ending = [one.pid for one in around.running if one.name in around.leaving]
        back = sum((memory.by_pid or {}).get(pid) or 0.0 for pid in ending)
        free = max(0.0, min(free + back, memory.total or free + back) - pending.get(gpu.uuid, 0.0))
    cuda = server.environment is None or "CUDA_VISIBLE_DEVICES" in server.environment
    return Device(label(gpu), free, CONTEXT_BYTES if cuda else _OTHER_DRIVER_BYTES)


def label(gpu: GpuIdentity) -> str:
    """A GPU's name in a table of fits."""
    return f"GPU {gpu.index} {clean_line(short_name(gpu.name), 40)}"


def _pending(around: Occupancy) -> dict[str, float]:
    """What servers that start have not taken yet, by GPU; "" is the host."""
    pending: dict[str, float] = {}
    for record in around.running:
        if record.ready_at is None and record.name not in around.leaving:
            _add(pending, record.argv, Path(record.model), record.gpus, around, record.pid)
    for server in around.coming:
        uuids = tuple(gpu.uuid for gpu in _used(server, around))
        _add(pending, server.argv, server.model, uuids, around, None)
    return pending


def _add(
    pending: dict[str, float],
    argv: Sequence[str],
    model: Path,
    uuids: Sequence[str],
    around: Occupancy,
    pid: int | None,
) -> None:
    """Add what one server will take and does not hold yet; one whose model is unreadable takes nothing."""
    memories = [around.memory.get(uuid) for uuid in uuids]
    devices = tuple(
        Device(uuid, memory.free if memory else None)
        for uuid, memory in zip(uuids, memories, strict=True)
    )
    if _on_cpu(argv):
        devices, uuids = (), ()
    try:
        needed = Room(known_header(model), parse_options(argv), devices, None).taken()
    except (GputuiError, ArithmeticError, ValueError):
        return
    for uuid, memory, share in zip(uuids, memories, needed.devices, strict=False):
        held = ((memory.by_pid if memory else None) or {}).get(pid or -1) or 0.0
        pending[uuid] = pending.get(uuid, 0.0) + max(0.0, share.total - held)
    if pid is None:
        pending[""] = pending.get("", 0.0) + needed.host.total


def _host_held(record: Record) -> float:
    """What a running server holds of the host's memory beyond its model's pages, which are its file's."""
    if record.ready_at is None:
        return 0.0
    try:
        devices = tuple(Device(uuid) for uuid in record.gpus)
        room = Room(known_header(Path(record.model)), parse_options(record.argv), devices, None)
        host = room.taken().host
    except (GputuiError, ArithmeticError, ValueError):
        return 0.0
    return host.total - host.weights


def _asked(server: Server, room: Room, needed: Estimate) -> tuple[Estimate | None, str]:
    """What ``llama-fit-params`` says, where it is there; else None, and why where it should have."""
    if server.environment is None:
        return None, ""
    program = fit_params.beside(Path(server.argv[0]))
    if program is None:
        return None, ""
    answer = fit_params.ask(program, server.argv[1:], server.environment)
    if isinstance(answer, str):
        return None, answer
    if len(answer.devices) != len(room.devices):
        return (
            None,
            f"{fit_params.PROGRAM} sees {len(answer.devices)} GPUs, not {len(room.devices)}",
        )
    shares = tuple(
        replace(share, overhead=device.overhead, projector=own.projector)
        for (_, share), device, own in zip(
            answer.devices, room.devices, needed.devices, strict=True
        )
    )
    host = replace(answer.host, projector=needed.host.projector)
    return replace(needed, devices=shares, host=host, idle=0.0), ""


def _rows(server: Server, around: Occupancy, room: Room, needed: Estimate) -> tuple[FitRow, ...]:
    uuids = [gpu.uuid for gpu in _used(server, around)]
    gpus = tuple(
        FitRow(device.name, share, device.free, uuid, _holders(around, uuid), MARGIN_BYTES)
        for device, share, uuid in zip(room.devices, needed.devices, uuids, strict=True)
    )
    return (*gpus, FitRow("host memory", needed.resident, room.host))


def _holders(around: Occupancy, uuid: str) -> tuple[tuple[str, float], ...]:
    memory = around.memory.get(uuid)
    held = (memory.by_pid if memory else None) or {}
    return tuple(
        (record.name, used)
        for record in around.running
        if record.name not in around.leaving and (used := held.get(record.pid))
    )


def _verdict(rows: Sequence[FitRow]) -> bool | None:
    if any(row.missing for row in rows):
        return False
    return None if any(row.missing is None for row in rows if row.uuid) else True


def _remedies(fit: Fit, room: Room) -> Fit:
    """What would fit, and whether the server finds that by itself (common/fit.cpp).

    It lowers the context where none was asked for, and then the layers where they were left to it.
    """
    context = largest_context(room, fit.context)
    layers = most_layers(room) if room.devices else None
    fit = replace(fit, largest_context=context, most_layers=layers)
    short = any(row.missing for row in fit.rows if row.uuid)
    host = fit.rows[-1]
    mapped = host.needed.weights if room.options.mmap else 0.0
    lacking = host.free is not None and host.needed.total - mapped > host.free
    if room.options.fit and room.options.context == 0 and context >= room.options.fit_context:
        return replace(fit, lowers="context")
    free = room.options.gpu_layers is None and not room.options.tensor_split
    if room.options.fit and free and room.devices and not lacking:
        return replace(fit, lowers="layers")
    return replace(fit, fails=short or lacking)


def _words(fit: Fit) -> str:
    """One line for people."""
    if fit.fits is None:
        return fit.reason
    if fit.fits:
        rows = [row for row in fit.rows if row.uuid] or fit.rows
        taken = ", ".join(
            f"{row.name} {size(row.needed.total)} of {size(row.free)} free" for row in rows
        )
        return f"fits: {taken}"
    parts = [
        f"{row.name}: {size(row.needed.total)} needed, {size(row.free)} free"
        for row in fit.rows
        if row.missing
    ]
    if fit.lowers == "context":
        parts.append(f"llama-server will lower the context to {fit.largest_context} or so")
    elif fit.lowers == "layers":
        parts.append("llama-server will leave layers to the CPU")
    return "; ".join(parts)
