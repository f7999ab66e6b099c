"""The bytes of each layer's cache: keys and values of its cells, states of its slots."""

from __future__ import annotations

from dataclasses import dataclass

from gputui.models.gguf import Header
from gputui.models.gguf_types import BY_NAME
from gputui.models.layers import Layer, layers_of
from gputui.models.options import ServerOptions

_CELLS = 256
_STATE_BYTES = 4  # llama-memory-recurrent.cpp: states are F32 whatever the cache's types are


@dataclass(frozen=True, slots=True)
class Cells:
    """How many tokens the caches hold: ``whole`` in each of ``pools``, fewer where a layer sees a window.

    ``context`` is what all slots together may use; ``sharing`` slots use one pool; ``batch`` tokens are
    computed at once.
    """

    context: int
    pools: int
    whole: int
    sharing: int
    batch: int
    full_windows: bool

    def of(self, window: int | None) -> int:
        """The cells of one layer, over all pools.

        llama-kv-cache-iswa.cpp: a window has room for the batch in work, and for each slot that shares.
        """
        return self.pools * self.in_pool(window)

    def in_pool(self, window: int | None) -> int:
        """The cells of one layer in one pool."""
        if window is None or self.full_windows:
            return self.whole
        return _padded(min(self.whole, window * self.sharing + self.batch))


def cells_of(header: Header, options: ServerOptions) -> Cells:
    """The cells for these options. llama-context.cpp: each slot's part is padded to 256 tokens."""
    context = options.context or header.context_length or 4096
    slots = max(1, options.slots)
    if options.one_pool:
        whole = _padded(context)
        return Cells(whole, 1, whole, slots, micro_batch(options, whole), options.swa_full)
    whole = _padded(_padded(context) // slots)
    batch = micro_batch(options, context)
    return Cells(whole * slots, slots, whole, 1, batch, options.swa_full)


def micro_batch(options: ServerOptions, context: int) -> int:
    """How many tokens are computed at once, at most."""
    return max(1, min(options.ubatch, options.batch, max(context, 1)))


def cache_bytes(layer: Layer, cells: Cells, options: ServerOptions) -> float:
    """The keys and values of one layer. llama-kv-cache.cpp: a row a cell, of the type's blocks."""
    keys = _element(options.cache_type_k) * layer.keys
    values = _element(options.cache_type_v) * layer.values
    return (keys + values) * cells.of(layer.window)


def state_bytes(layer: Layer, options: ServerOptions) -> float:
    """The recurrent state of one layer, of all slots."""
    return float(layer.state * _STATE_BYTES * max(1, options.slots))


def caches_of(header: Header, options: ServerOptions) -> tuple[tuple[float, float], ...]:
    """Keys and values, and state, of each layer in bytes."""
    cells = cells_of(header, options)
    return tuple(
        (cache_bytes(layer, cells, options), state_bytes(layer, options))
        for layer in layers_of(header)
    )


def _element(name: str) -> float:
    """Bytes an element; of an unknown type as for the default."""
    return BY_NAME.get(name, BY_NAME["f16"]).bytes_per_element


def _padded(count: int) -> int:
    return -(-count // _CELLS) * _CELLS
