"""Which layer goes where: the host, or one of the GPUs."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from gputui.models.gguf import Header, Tensor
from gputui.models.options import ServerOptions

HOST = -1
"""In the place of a GPU's number."""

_LAYER = re.compile(r"blk\.(\d{1,4})\.")
_EXPERTS = re.compile(r"\.ffn_(up|down|gate|gate_up)_(ch|)exps")
_INPUT = re.compile(r"(token_embd|position_embd|token_types|per_layer_token_embd)\b")

_REPACKED = frozenset({"Q4_0", "Q4_K", "IQ4_NL"})
"""Types of which a server on the CPU makes a second copy, in an order that its vectors like (x86 with
AVX2: ggml-cpu/repack.cpp, ggml_repack_get_optimal_repack_type)."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where each layer lies, the output after them. ``parts`` are the GPUs' shares of the layers."""

    homes: tuple[int, ...]
    parts: tuple[float, ...]

    @property
    def on_gpus(self) -> int:
        """How many layers, the output counted, are on GPUs."""
        return sum(home != HOST for home in self.homes)


def place(header: Header, options: ServerOptions, free: Sequence[float | None]) -> Placement:
    """Where each layer goes, on as many GPUs as ``free`` has entries (their free bytes).

    llama-model.cpp, load_tensors: the last ``-ngl`` layers go to GPUs, the output first of all, in
    proportion to ``--tensor-split``, else to free memory.
    """
    layers = header.block_count or 0
    everything = layers + 1
    wanted = everything if options.gpu_layers is None else options.gpu_layers
    placed = min(max(wanted, 0), everything) if free else 0
    parts = _parts(options, free)
    edges = list(accumulate(parts))
    first = everything - placed
    homes = [HOST] * first
    for number in range(placed):
        homes.append(min(bisect_right(edges, number / placed), len(parts) - 1))
    return Placement(tuple(homes), parts)


def _parts(options: ServerOptions, free: Sequence[float | None]) -> tuple[float, ...]:
    count = len(free)
    if not count:
        return ()
    if options.split_mode == "none" or count == 1:
        main = options.main_gpu if 0 <= options.main_gpu < count else 0
        return tuple(float(number == main) for number in range(count))
    known = [value for value in free if value is not None]
    weights = [value if value is not None else 1.0 for value in free]
    if len(known) < count:
        weights = [1.0] * count
    split = [max(0.0, part) for part in options.tensor_split[:count]]
    if any(split):
        weights = [*split, *([0.0] * (count - len(split)))]
    total = sum(weights)
    return tuple(w / total for w in weights) if total > 0 else (1.0 / count,) * count


@dataclass(slots=True)
class Weights:
    """The bytes of the weights on each GPU and the host; ``streamed`` is the largest layer on the host."""

    gpus: list[float]
    host: float = 0.0
    repacked: float = 0.0
    streamed: float = 0.0


def weights_of(header: Header, options: ServerOptions, placement: Placement) -> Weights:
    """Where the tensors go. The embedding stays in host memory; a tied output is there twice."""
    weights = Weights([0.0] * len(placement.parts))
    on_host: dict[int, float] = {}
    tied = not any(tensor.name == "output.weight" for tensor in header.tensors)
    even = options.split_mode in ("row", "tensor") and len(placement.parts) > 1
    for tensor in header.tensors:
        match = _LAYER.match(tensor.name)
        number = int(match[1]) if match else len(placement.homes) - 1
        home = placement.homes[min(number, len(placement.homes) - 1)]
        if _stays(tensor, number, options):
            home = HOST
        if tied and tensor.name == "token_embd.weight" and placement.homes[-1] != HOST:
            _put(weights, tensor, placement.homes[-1], placement, even)
        _put(weights, tensor, home, placement, even)
        if home == HOST and match:
            on_host[number] = on_host.get(number, 0.0) + tensor.bytes
            weights.repacked += _repacked(tensor, placement)
    weights.streamed = max(on_host.values(), default=0.0) if placement.parts else 0.0
    return weights


def _stays(tensor: Tensor, layer: int, options: ServerOptions) -> bool:
    if _INPUT.match(tensor.name):
        return True
    return layer < options.host_experts and _EXPERTS.search(tensor.name) is not None


def _put(weights: Weights, tensor: Tensor, home: int, placement: Placement, even: bool) -> None:
    if home == HOST:
        weights.host += tensor.bytes
    elif even and len(tensor.shape) > 1:
        for number, part in enumerate(placement.parts):
            weights.gpus[number] += tensor.bytes * part
    else:
        weights.gpus[home] += tensor.bytes


def _repacked(tensor: Tensor, placement: Placement) -> float:
    """What the second copy of a tensor takes. With a GPU its host buffers are used instead."""
    if placement.parts or tensor.type.name not in _REPACKED or len(tensor.shape) < 2:
        return 0.0
    return float(tensor.bytes) if tensor.shape[1] % 8 == 0 else 0.0
