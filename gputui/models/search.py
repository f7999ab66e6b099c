"""What would fit: the longest context, the most layers on GPUs, the quantizations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gputui.models.gguf import Header
from gputui.models.gguf_types import BY_NAME
from gputui.models.memory import Device, Estimate, Share, estimate
from gputui.models.options import ALL_LAYERS, ServerOptions

MARGIN_BYTES = 256 << 20
"""What is left free on a GPU: an estimate is one, and a driver needs some."""

QUANTIZATIONS: tuple[tuple[str, float], ...] = (
    ("Q8_0", 8.5008),
    ("Q6_K", 6.5633),
    ("Q5_K_M", 5.7036),
    ("Q5_K_S", 5.5704),
    ("Q4_K_M", 4.8944),
    ("Q4_K_S", 4.6672),
    ("IQ4_XS", 4.4597),
    ("Q3_K_M", 3.9960),
    ("IQ3_M", 3.7628),
    ("IQ3_XXS", 3.2548),
    ("Q2_K", 3.1593),
    ("IQ2_M", 2.9294),
    ("IQ2_XS", 2.5882),
    ("IQ2_XXS", 2.3824),
)
"""Bits a weight of the usual quantizations, as llama.cpp's tools/quantize/README.md measured them for
Llama 3.1 8B; of other models they differ by some per cent."""

_ROWS = 256
_FALLBACKS: dict[str, str] = {
    "Q2_K": "IQ4_NL",
    "Q3_K": "IQ4_NL",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""What llama-quantize takes for a tensor whose rows are no multiple of 256 (llama.cpp:
src/llama-quant.cpp); IQ4_NL also for every IQ type."""

_STEP = 256
_OUTPUT_BITS = 6.5625
_F16_BITS = 16.0
_NEAREST = {"IQ3_M": BY_NAME["iq3_s"], "IQ2_M": BY_NAME["iq2_s"]}
"""The types of recipes that are not named by theirs."""


@dataclass(frozen=True, slots=True)
class Room:
    """A model, how it would be served, and where: what it takes against what is free there.

    ``host`` are the free bytes of host memory; None is not known and stands in nothing's way.
    """

    header: Header
    options: ServerOptions
    devices: tuple[Device, ...]
    host: float | None
    projector: Header | None = None

    def taken(self, **changes: object) -> Estimate:
        """What it takes with these options changed."""
        options = replace(self.options, **changes)  # type: ignore[arg-type]
        return estimate(self.header, options, self.devices, self.projector)

    def holds(self, needed: Estimate) -> bool:
        """Whether all of it fits, on the GPUs and in host memory."""
        return self.on_gpus(needed) and (self.host is None or needed.resident.total <= self.host)

    def on_gpus(self, needed: Estimate) -> bool:
        """Whether the GPUs' shares fit."""
        pairs = zip(needed.devices, self.devices, strict=True)
        return all(
            device.free is None or share.total + MARGIN_BYTES <= device.free
            for share, device in pairs
            if share.total > share.overhead
        )


def largest_context(
    room: Room,
    most: int | None = None,
    holds: Callable[[Estimate], bool] | None = None,
    **changes: object,
) -> int:
    """The longest context that fits, of all slots together, in tokens; 0 where none does.

    ``most`` is where to stop, the model's own training length where it is None. ``holds`` judges in the
    place of ``room.holds``; ``changes`` are other options than the room's.
    """
    end = most or room.header.context_length or 4096
    judge = holds or room.holds
    return _STEP * _largest(
        -(-end // _STEP), lambda steps: judge(room.taken(context=steps * _STEP, **changes))
    )


def most_layers(room: Room) -> int:
    """The most layers (``-ngl``) whose share the GPUs hold; 0 for none. The output counts as one."""
    layers = (room.header.block_count or 0) + 1
    return _largest(layers, lambda count: room.on_gpus(room.taken(gpu_layers=count)))


@dataclass(frozen=True, slots=True)
class Quantization:
    """A quantization of this model: bits a weight, what its weights and all of it take, in bytes.

    ``largest_context`` is the longest context that it leaves room for, in tokens; 0 for none, None where
    that was not asked.
    """

    name: str
    bits: float
    weights: float
    total: float
    fits: bool
    largest_context: int | None = None


def quantizations(room: Room, *, contexts: bool = False) -> tuple[Quantization, ...]:
    """What the usual quantizations of the same model would take, the largest first; an estimate.

    ``contexts``: with the longest context of each, which takes some tenths of a second.
    """
    layers = ALL_LAYERS if room.devices else None
    everything = room.taken(gpu_layers=layers)
    now = float(room.header.tensor_bytes) or 1.0
    found: list[Quantization] = []
    for (name, bits), weights in zip(QUANTIZATIONS, _all_weights(room.header), strict=True):
        factor = weights / now
        scaled = _scaled(everything, factor)

        def holds(needed: Estimate, factor: float = factor) -> bool:
            return room.holds(_scaled(needed, factor))

        longest = largest_context(room, holds=holds, gpu_layers=layers) if contexts else None
        total = scaled.total - scaled.idle
        found.append(Quantization(name, bits, weights, total, room.holds(scaled), longest))
    return tuple(found)


def _all_weights(header: Header) -> list[float]:
    """The weights in each of QUANTIZATIONS, never less than those after it; the file's own as they are."""
    names = [name for name, _ in QUANTIZATIONS]
    own = names.index(header.quantization) if header.quantization in names else None
    now = float(header.tensor_bytes) or 1.0
    weights: list[float] = []
    for number, (name, bits) in enumerate(QUANTIZATIONS):
        one = now if number == own else _weights(header, name, bits)
        if own is not None:
            one = max(one, now) if number < own else min(one, now)
        weights.append(min(one, weights[-1]) if weights else one)
    return weights


def _weights(header: Header, name: str, bits: float) -> float:
    """The weights at so many bits each, by the rows of each tensor.

    llama-quantize gives an output, or what serves as one, 6 bits at least; vectors stay as they are.
    """
    names = {tensor.name for tensor in header.tensors}
    output = "output.weight" if "output.weight" in names else "token_embd.weight"
    total = 0.0
    for tensor in header.tensors:
        if len(tensor.shape) < 2:
            total += tensor.bytes
            continue
        wide = tensor.name == output and bits < _OUTPUT_BITS
        kind, each = ("Q6_K", _OUTPUT_BITS) if wide else (name, bits)
        total += tensor.elements * _bits(tensor.shape[0], kind, each) / 8
    return total


def _bits(row: int, name: str, bits: float) -> float:
    """Bits a weight of a tensor with rows of that length, where one of full blocks has ``bits``.

    A recipe is a type and some tensors of better ones: what it has above its type's own bits is kept in
    proportion.
    """
    base = BY_NAME.get(name[:4].lower()) or BY_NAME.get(name.lower()) or _NEAREST[name]
    if base.block < _ROWS or row % _ROWS == 0:
        return bits if row % base.block == 0 else _F16_BITS
    other = BY_NAME[_FALLBACKS.get(base.name, "IQ4_NL").lower()]
    if row % other.block:
        return _F16_BITS
    own, least, most = (kind.bytes_per_element * 8 for kind in (base, other, BY_NAME["q8_0"]))
    better = (bits - own) / (_OUTPUT_BITS - own) if bits > own < _OUTPUT_BITS else 0.0
    return least + better * (most - least)


def _scaled(needed: Estimate, factor: float) -> Estimate:
    def share(one: Share) -> Share:
        return replace(one, weights=one.weights * factor)

    devices: Sequence[Share] = [share(one) for one in needed.devices]
    host = share(needed.host)
    return replace(needed, devices=tuple(devices), host=host, idle=needed.idle * factor)


def _largest(end: int, works: Callable[[int], bool]) -> int:
    """The largest number up to ``end`` for which it works, 0 for none: what fits is smaller still."""
    low, high = 0, end
    while low < high:
        middle = (low + high + 1) // 2
        if works(middle):
            low = middle
        else:
            high = middle - 1
    return low
