"""What each layer of a model keeps while it answers: keys and values, a window of them, or a state.

As llama.cpp's ``src/llama-model.cpp`` (``load_hparams``) and ``src/llama-hparams.cpp`` have it: which
layers slide a window, where only K is cached (MLA), and how large a recurrent layer's state is.
"""

from __future__ import annotations

from dataclasses import dataclass

from gputui.models.gguf import Header


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer keeps: ``keys`` and ``values`` are elements a cell, ``state`` elements a slot.

    ``window`` is how many tokens back it sees, None for all of them.
    """

    keys: int = 0
    values: int = 0
    window: int | None = None
    state: int = 0


@dataclass(frozen=True, slots=True)
class _Windows:
    """The layers that slide: all but each ``period``-th one; ``first``: the first of a period is whole."""

    period: int
    default: int | None = None
    first: bool = False


_WINDOWS = {
    "gemma2": _Windows(2, 4096),
    "gemma3": _Windows(6),
    "gemma3n": _Windows(5),
    "llama4": _Windows(4, 8192),
    "cohere2": _Windows(4),
    "olmo2": _Windows(4),
    "exaone4": _Windows(4),
    "exaone-moe": _Windows(4),
    "gpt-oss": _Windows(2),
    "smallthinker": _Windows(4, first=True),
    "afmoe": _Windows(4),
    "plamo3": _Windows(8),
}
"""Architectures whose windows follow a pattern of their own. Others have ``sliding_window_pattern``, or none
that llama.cpp uses (phi3 and the Mistral files have the key alone)."""

_STATE_ONLY = frozenset({"mamba", "mamba2", "rwkv6", "rwkv7", "rwkv6qwen2", "arwkv7"})
_BY_INTERVAL = frozenset({"qwen3next", "qwen35", "qwen35moe"})
_BOTH = frozenset({"falcon-h1"})
_BY_HEADS = frozenset(
    {
        "jamba",
        "granitehybrid",
        "nemotron_h",
        "nemotron_h_moe",
        "plamo2",
        "lfm2",
        "lfm2moe",
        "kimi-linear",
    }
)
RECURRENT = _STATE_ONLY | _BY_INTERVAL | _BOTH | _BY_HEADS
"""Architectures with recurrent layers."""

_ENCODERS = frozenset(
    {
        "bert",
        "modern-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "jina-bert-v2",
        "jina-bert-v3",
        "neo-bert",
        "gemma-embedding",
        "eurobert",
        "t5encoder",
        "clip",
    }
)
"""Architectures that keep nothing from one batch to the next."""


KNOWN = frozenset(
    {
        "llama",
        "llama4",
        "qwen2",
        "qwen2moe",
        "qwen3",
        "qwen3moe",
        "qwen2vl",
        "qwen3vl",
        "qwen3vlmoe",
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3n",
        "phi2",
        "phi3",
        "phimoe",
        "deepseek",
        "deepseek2",
        "mistral3",
        "command-r",
        "cohere2",
        "olmo",
        "olmo2",
        "olmoe",
        "exaone",
        "exaone4",
        "glm4",
        "glm4moe",
        "chatglm",
        "gpt-oss",
        "starcoder2",
        "stablelm",
        "internlm2",
        "minicpm",
        "granite",
        "granitemoe",
        "smollm3",
        "falcon",
        "mpt",
        "baichuan",
        "ernie4_5",
        "ernie4_5-moe",
        "hunyuan-moe",
        "hunyuan-dense",
        "seed_oss",
        "bailingmoe2",
        "dots1",
        "apertus",
        "smallthinker",
    }
)
"""Architectures with nothing but attention whose caches are computed here as llama.cpp does."""


def layers_of(header: Header) -> tuple[Layer, ...]:
    """What each layer keeps, in order; () where the header does not say how many there are."""
    name = header.architecture
    if name in _ENCODERS or not header.block_count:
        return ()
    heads = header.per_layer("attention.head_count", 0)
    caches = header.per_layer("attention.head_count_kv", heads[0] if heads else 0)
    windows = _windows(header, name)
    state = _state(header) if name in RECURRENT else 0
    return tuple(
        _layer(header, name, number, caches[number], windows[number], state)
        for number in range(len(heads))
    )


def _layer(
    header: Header, name: str, number: int, heads: int, window: int | None, state: int
) -> Layer:
    if name in _STATE_ONLY:
        return Layer(state=state)
    if _is_recurrent(header, name, number, heads):
        return Layer(state=state)
    keeps = _has_cache(header, number)
    keys, values = _widths(header, window is not None)
    mla = header.integer("attention.key_length_mla") is not None
    return Layer(
        keys=keys * heads if keeps else 0,
        # With MLA the values are a view of the keys: llama-kv-cache.cpp, has_v.
        values=values * heads if keeps and not mla else 0,
        window=window,
        state=state if name in _BOTH else 0,
    )


def _is_recurrent(header: Header, name: str, number: int, heads: int) -> bool:
    if name in _BY_INTERVAL:
        interval = header.integer("full_attention_interval") or 4
        return (number + 1) % interval != 0
    if name in ("nemotron_h", "nemotron_h_moe"):
        widths = header.per_layer("feed_forward_length", 0)
        return heads == 0 and widths[number] == 0
    return name in _BY_HEADS and heads == 0


def _has_cache(header: Header, number: int) -> bool:
    """Whether a layer has keys of its own: the last ones of some models share others', or predict alone."""
    layers = header.block_count or 0
    shared = header.integer("attention.shared_kv_layers") or 0
    ahead = header.integer("nextn_predict_layers") or 0
    if header.architecture == "gemma3n" and not shared:
        shared = max(0, layers - 20)
    return number < layers - shared - ahead


def _widths(header: Header, sliding: bool) -> tuple[int, int]:
    """The elements of one head's key and value."""
    heads = max(header.per_layer("attention.head_count", 1), default=1)
    share = (header.integer("embedding_length") or 0) // max(1, heads)
    keys = header.integer("attention.key_length")
    values = header.integer("attention.value_length")
    if sliding:
        keys = header.integer("attention.key_length_swa") or keys
        values = header.integer("attention.value_length_swa") or values
    return share if keys is None else keys, share if values is None else values


def _windows(header: Header, name: str) -> tuple[int | None, ...]:
    """Each layer's window in tokens, None where it sees all."""
    layers = header.block_count or 0
    window = header.integer("attention.sliding_window")
    pattern = header.value("attention.sliding_window_pattern")
    known = _WINDOWS.get(name)
    if name == "llama4":
        window = None if window == 0 else 8192
    elif window is None and known is not None:
        window = known.default
    if not window or (name == "exaone4" and layers != 64):
        return (None,) * layers
    if isinstance(pattern, tuple):
        return tuple(
            window if number < len(pattern) and pattern[number] else None
            for number in range(layers)
        )
    if known is None:
        return (None,) * layers
    period = pattern if isinstance(pattern, int) and pattern > 0 else known.period
    whole = 0 if known.first else period - 1
    return tuple(None if number % period == whole else window for number in range(layers))


def _state(header: Header) -> int:
    """The elements of one recurrent layer's state: llama-hparams.cpp, n_embd_r and n_embd_s."""
    width = header.integer("embedding_length") or 0
    head = header.integer("wkv.head_size") or 0
    if head:
        shifts = header.integer("token_shift_count") or 2
        return shifts * width + width * head
    cached = header.integer("shortconv.l_cache") or 0
    if cached:
        return width * (cached - 1)
    kernel = max(0, (header.integer("ssm.conv_kernel") or 0) - 1)
    size = header.integer("ssm.state_size") or 0
    inner = header.integer("ssm.inner_size") or 0
    linear = header.integer("kda.head_dim") or 0
    if linear:
        heads = max(header.per_layer("attention.head_count", 0), default=0)
        return 3 * kernel * linear * heads + linear * linear * heads
    groups = header.integer("ssm.group_count") or 0
    return kernel * (inner + 2 * groups * size) + size * inner
