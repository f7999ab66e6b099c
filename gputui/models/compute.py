"""The compute buffer: what a server needs to work in. There is no formula for it, so this is a model.

A graph's tensors share memory as they come and go (ggml-alloc.c), so the peak of one layer counts: the
feed-forward part, or without flash attention the scores of all heads. The sums below were fitted to what
llama-server (build 10068) printed at ``-lv 4`` for a llama and a gemma3 model, at contexts from 512 to
32768, micro-batches from 64 to 2048, with and without flash attention, on the CPU and on a Vulkan
device; they are within some per cent there. Builds before ``n_outputs_max`` also reserved the logits of a
whole micro-batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from gputui.models.caches import Cells
from gputui.models.gguf import Header
from gputui.models.layers import RECURRENT, layers_of
from gputui.models.options import ServerOptions

_FLOAT = 4
_HALF = 2
_LONG = 8
_STREAMED = 1.2  # a layer's weights on the way to a GPU, and what was in work before


@dataclass(frozen=True, slots=True)
class Compute:
    """Bytes to work in: on the ``main`` place of the layers, and for the ``host`` beside GPUs.

    ``output`` is where the answers' logits go, always in host memory.
    """

    main: float
    host: float
    output: float


@dataclass(frozen=True, slots=True)
class _Shape:
    """The widths of one layer, in elements a token."""

    embedding: int
    heads: int
    queries: int
    values: int
    feed: int
    masks: int
    whole: int


def compute_of(header: Header, options: ServerOptions, cells: Cells, *, gpu: bool) -> Compute:
    """What is needed to work in, where the layers are on GPUs (``gpu``) or on the host."""
    shape = _shape(header, cells)
    batch = cells.batch
    flash = options.flash_attention is not False
    masks = shape.masks * (_HALF if flash else _FLOAT) * batch
    places = 0 if flash else shape.values * _LONG * batch
    width = max(_feed(header, shape, gpu), _attention(shape, flash))
    logits = (header.vocabulary or 0) * _FLOAT * max(1, options.slots)
    ends = logits
    if options.embedding:  # every token's output is wanted, not each slot's last
        ends = ((header.vocabulary or 0) + 4 * shape.embedding) * _FLOAT * batch
    main = max(width * _FLOAT * batch, ends) + masks
    host = masks + places + 2 * shape.embedding * _FLOAT * batch
    return Compute(float(main), float(host) if gpu else 0.0, float(logits))


def streamed_bytes(largest: float) -> float:
    """What a GPU needs for the weights of host layers, which it computes for large batches."""
    return largest * _STREAMED


def copies_bytes(header: Header, options: ServerOptions, cells: Cells) -> float:
    """What each of several GPUs needs for its inputs while others work: four copies in a pipeline."""
    shape = _shape(header, cells)
    flash = options.flash_attention is not False
    mask = shape.masks * (_HALF if flash else _FLOAT)
    return 3.0 * cells.batch * (mask + shape.embedding * _FLOAT)


def _shape(header: Header, cells: Cells) -> _Shape:
    layers = layers_of(header)
    embedding = header.integer("embedding_length") or 0
    heads = max(header.per_layer("attention.head_count", 0), default=0)
    key = header.integer("attention.key_length") or (embedding // heads if heads else 0)
    windows = {layer.window for layer in layers if layer.keys}
    return _Shape(
        embedding,
        heads,
        heads * key,
        max((layer.values for layer in layers), default=0),
        _feed_width(header),
        sum(cells.in_pool(window) for window in windows),
        max((cells.in_pool(window) for window in windows), default=0),
    )


def _feed_width(header: Header) -> int:
    """The width of the feed-forward part; of a mixture, of all experts that one token uses."""
    dense = max(header.per_layer("feed_forward_length", 0), default=0)
    used = header.integer("expert_used_count") or 0
    expert = header.integer("expert_feed_forward_length") or (dense if used else 0)
    shared = header.integer("expert_shared_feed_forward_length") or 0
    state = (header.integer("ssm.inner_size") or 0) if header.architecture in RECURRENT else 0
    return max(dense, used * expert + shared, 2 * state)


def _feed(header: Header, shape: _Shape, gpu: bool) -> int:
    """Elements a token that live at once in the feed-forward part."""
    experts = (header.integer("expert_used_count") or 0) * shape.embedding
    if not gpu:
        return 4 * shape.feed + shape.embedding + shape.values + experts
    normed = any(tensor.name.endswith("post_ffw_norm.weight") for tensor in header.tensors)
    after = shape.queries if normed else 0
    return 3 * shape.feed + 2 * shape.embedding + after + experts


def _attention(shape: _Shape, flash: bool) -> int:
    """Elements a token that live at once in attention; the scores of all heads without flash attention."""
    base = shape.embedding + 3 * shape.queries + 5 * shape.values
    return base if flash else base + shape.heads * shape.whole
