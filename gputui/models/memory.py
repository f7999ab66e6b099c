"""What memory a model will take: an estimate from its header and the server's options.

Weights and caches follow from the header as llama.cpp's sources compute them; the compute buffer and
the overhead of a device's context do not, and are fitted to what servers printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gputui.models.caches import caches_of, cells_of
from gputui.models.compute import compute_of, copies_bytes, streamed_bytes
from gputui.models.gguf import Header
from gputui.models.layers import KNOWN, RECURRENT, layers_of
from gputui.models.options import ServerOptions
from gputui.models.placement import HOST, Placement, place, weights_of

CONTEXT_BYTES = 400 << 20
"""What a driver takes on a GPU for a process's context and libraries: a guess for CUDA, which does not say."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU that a server sees. ``free`` bytes decide how layers are split; None where not known.

    ``overhead`` is what its driver takes for a process, in bytes.
    """

    name: str
    free: float | None = None
    overhead: float = CONTEXT_BYTES


@dataclass(frozen=True, slots=True)
class Share:
    """What one device, or the host, will hold, in bytes.

    ``cache`` is the KV cache, ``recurrent`` the state of recurrent layers, ``projector`` what sees
    pictures, ``overhead`` what the driver takes for the device's context.
    """

    weights: float = 0.0
    cache: float = 0.0
    recurrent: float = 0.0
    compute: float = 0.0
    projector: float = 0.0
    overhead: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return (
            self.weights
            + self.cache
            + self.recurrent
            + self.compute
            + self.projector
            + self.overhead
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a model takes. ``devices`` are in the order asked for.

    ``context`` is of all slots together, in tokens; ``gpu_layers`` of ``layers`` are on GPUs (the output
    counts as one). ``idle`` bytes of the host's weights are pages of the file of which a copy in another
    order is used: the kernel takes them back. ``warnings`` say in words why the estimate is weak.
    """

    devices: tuple[Share, ...]
    host: Share
    context: int
    gpu_layers: int
    layers: int
    warnings: tuple[str, ...] = ()
    idle: float = 0.0

    @property
    def resident(self) -> Share:
        """What the host has to hold all the time."""
        return replace(self.host, weights=self.host.weights - self.idle)

    @property
    def total(self) -> float:
        """Devices and host together."""
        return sum(share.total for share in self.devices) + self.host.total


def estimate(
    header: Header,
    options: ServerOptions,
    devices: Sequence[Device] = (),
    projector: Header | None = None,
) -> Estimate:
    """What a server with these options takes on ``devices`` (() for the CPU alone) and in host memory.

    Options count as they stand: what ``--fit`` would lower is not lowered here. ``projector`` is the
    header of ``--mmproj``. Never raises for a header that was read.
    """
    placement = place(header, options, [device.free for device in devices])
    cells = cells_of(header, options)
    weights = weights_of(header, options, placement)
    caches, states = _spread(header, options, placement)
    used = placement.on_gpus > 0
    idle = weights.repacked if options.mmap else 0.0
    work = compute_of(header, options, cells, gpu=bool(devices))
    extra = streamed_bytes(weights.streamed)
    if sum(part > 0 for part in placement.parts) > 1 and used:
        extra += copies_bytes(header, options, cells)
    eyes = float(projector.tensor_bytes) if projector else 0.0
    eyes_on = _first(placement) if options.mmproj_offload and devices else HOST
    shares = tuple(
        Share(
            weights=weights.gpus[number],
            cache=caches[number],
            recurrent=states[number],
            compute=work.main + extra,
            projector=eyes if eyes_on == number else 0.0,
            overhead=devices[number].overhead,
        )
        if part > 0
        else Share(overhead=devices[number].overhead)
        for number, part in enumerate(placement.parts)
    )
    host = Share(
        weights=weights.host + idle,
        cache=caches[HOST],
        recurrent=states[HOST],
        compute=(work.host if devices else work.main) + work.output,
        projector=eyes if eyes_on == HOST else 0.0,
    )
    layers = (header.block_count or 0) + 1
    warnings = _warnings(header, options, projector)
    return Estimate(shares, host, cells.context, placement.on_gpus, layers, warnings, idle)


def _first(placement: Placement) -> int:
    return next((number for number, part in enumerate(placement.parts) if part > 0), HOST)


def _spread(
    header: Header, options: ServerOptions, placement: Placement
) -> tuple[dict[int, float], dict[int, float]]:
    """The caches' and the states' bytes by GPU, and ``HOST``."""
    places = range(HOST, len(placement.parts))
    caches, states = dict.fromkeys(places, 0.0), dict.fromkeys(places, 0.0)
    for number, (cache, state) in enumerate(caches_of(header, options)):
        home = placement.homes[number] if options.offload_kv else HOST
        if options.split_mode == "tensor" and home != HOST:
            for gpu, part in enumerate(placement.parts):
                caches[gpu] += cache * part
                states[gpu] += state * part
            continue
        caches[home] += cache
        states[home] += state
    return caches, states


def _warnings(header: Header, options: ServerOptions, projector: Header | None) -> tuple[str, ...]:
    """Why the estimate is weak, in words."""
    name = header.architecture or "none"
    words: list[str] = []
    if name in RECURRENT:
        words.append("the working memory of recurrent layers is a rough guess")
    elif layers_of(header) and name not in KNOWN:
        words.append(f"architecture {name} is not known here: its cache is taken as usual")
    elif not layers_of(header) and not header.block_count:
        words.append("the header does not say how many layers there are: no cache is counted")
    if projector is not None:
        words.append("what the projector works in is not counted")
    if options.mmproj is not None and projector is None:
        words.append("the projector could not be read: it is not counted")
    words += [f"{what} is not counted" for what in options.not_counted]
    return tuple(words)
