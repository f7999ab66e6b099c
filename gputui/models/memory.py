"""What memory a model will take: an estimate from its header and the server's options.

Weights and caches follow from the header as llama.cpp's sources compute them; the compute buffer and
the overhead of a device's context do not, and are fitted to what servers printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gputui.models.gguf import Header
from gputui.models.options import ServerOptions


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU that a server sees. ``free`` bytes decide how layers are split; None where not known."""

    name: str
    free: float | None = None


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
    counts as one). ``warnings`` say in words why the estimate is weak.
    """

    devices: tuple[Share, ...]
    host: Share
    context: int
    gpu_layers: int
    layers: int
    warnings: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """Devices and host together."""
        return sum(share.total for share in self.devices) + self.host.total


def estimate(header: Header, options: ServerOptions, devices: Sequence[Device] = ()) -> Estimate:
    """What a server with these options takes on ``devices`` (() for the CPU alone) and in host memory.

    Options count as they stand: what ``--fit`` would lower is not lowered here. Never raises for a
    header that was read.
    """
    raise NotImplementedError
