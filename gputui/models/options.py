"""What a command line of llama-server says about memory."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

AUTO_SLOTS = 4
"""The slots of a server that is not told ``--parallel``; they share one pool of cells."""

ALL_LAYERS = 1 << 30


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of llama-server that decide what memory it takes; the defaults are its own.

    ``context`` is of all slots together, 0 for what the model was trained for. ``parallel`` None is the
    automatic number, with one pool of cells (``unified``). ``gpu_layers`` None is automatic: as many as
    fit. ``fit``: it lowers context and layers by itself where they do not fit and were not set.
    ``fit_target`` are the bytes that it leaves free on each GPU. ``host_experts``: of how many layers
    the experts stay in host memory. ``not_counted`` are options in force that take memory which no
    estimate here knows.
    """

    context: int = 0
    parallel: int | None = None
    unified: bool | None = None
    batch: int = 2048
    ubatch: int = 512
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    flash_attention: bool | None = None
    gpu_layers: int | None = None
    split_mode: str = "layer"
    tensor_split: tuple[float, ...] = ()
    main_gpu: int = 0
    mmproj: Path | None = None
    mmproj_offload: bool = True
    offload_kv: bool = True
    swa_full: bool = False
    mmap: bool = True
    embedding: bool = False
    fit: bool = True
    fit_target: int = 1 << 30
    fit_context: int = 4096
    host_experts: int = 0
    context_is_set: bool = False
    not_counted: tuple[str, ...] = ()

    @property
    def slots(self) -> int:
        """How many requests it answers at once."""
        return AUTO_SLOTS if self.parallel is None else self.parallel

    @property
    def one_pool(self) -> bool:
        """Whether the slots share their cells; else each has its part of the context for itself."""
        return self.parallel is None if self.unified is None else self.unified


def _whole(word: str) -> int:
    return max(0, int(word))


def _layers(word: str) -> int | None:
    """``--n-gpu-layers``: a number, ``all``, or ``auto`` (None)."""
    if word == "auto":
        return None
    number = ALL_LAYERS if word == "all" else int(word)
    return ALL_LAYERS if number < -1 else None if number == -1 else number


def _parallel(word: str) -> int | None:
    return int(word) if int(word) > 0 else None


def _proportions(word: str) -> tuple[float, ...]:
    parts = tuple(float(part) for part in word.replace("/", ",").split(",") if part)
    if not all(map(math.isfinite, parts)):
        raise ValueError
    return parts


def _on(word: str) -> bool | None:
    return {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}.get(
        word.lower()
    )


def _mebibytes(word: str) -> int:
    """``--fit-target``: one number for all devices, or one each; the largest counts."""
    return int(max(float(part) for part in word.split(","))) << 20


def _alone(after: Sequence[str]) -> bool:
    return not after or after[0].startswith("-")


_VALUES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    flag: (field, convert)
    for flags, field, convert in (
        (("-c", "--ctx-size"), "context", _whole),
        (("-np", "--parallel"), "parallel", _parallel),
        (("-b", "--batch-size"), "batch", _whole),
        (("-ub", "--ubatch-size"), "ubatch", _whole),
        (("-ctk", "--cache-type-k"), "cache_type_k", str.lower),
        (("-ctv", "--cache-type-v"), "cache_type_v", str.lower),
        (("-fa", "--flash-attn"), "flash_attention", _on),
        (("-ngl", "--gpu-layers", "--n-gpu-layers"), "gpu_layers", _layers),
        (("-sm", "--split-mode"), "split_mode", str),
        (("-ts", "--tensor-split"), "tensor_split", _proportions),
        (("-mg", "--main-gpu"), "main_gpu", _whole),
        (("-mm", "--mmproj"), "mmproj", Path),
        (("-fit", "--fit"), "fit", lambda word: _on(word) is not False),
        (("-fitt", "--fit-target"), "fit_target", _mebibytes),
        (("-fitc", "--fit-ctx"), "fit_context", _whole),
        (("-ncmoe", "--n-cpu-moe"), "host_experts", _whole),
    )
    for flag in flags
}

_SWITCHES: Mapping[str, tuple[str, Any]] = {
    "-kvu": ("unified", True),
    "--kv-unified": ("unified", True),
    "-no-kvu": ("unified", False),
    "--no-kv-unified": ("unified", False),
    "-kvo": ("offload_kv", True),
    "--kv-offload": ("offload_kv", True),
    "-nkvo": ("offload_kv", False),
    "--no-kv-offload": ("offload_kv", False),
    "--swa-full": ("swa_full", True),
    "--mmap": ("mmap", True),
    "--no-mmap": ("mmap", False),
    "--mmproj-offload": ("mmproj_offload", True),
    "--no-mmproj-offload": ("mmproj_offload", False),
    "--embedding": ("embedding", True),
    "--embeddings": ("embedding", True),
    "--rerank": ("embedding", True),
    "--reranking": ("embedding", True),
    "-cmoe": ("host_experts", ALL_LAYERS),
    "--cpu-moe": ("host_experts", ALL_LAYERS),
}

_NOT_COUNTED = {
    "-md": "a draft model",
    "--model-draft": "a draft model",
    "-hfd": "a draft model",
    "--lora": "a LoRA adapter",
    "--lora-scaled": "a LoRA adapter",
    "--control-vector": "a control vector",
    "-ot": "tensors placed by hand",
    "--override-tensor": "tensors placed by hand",
    "--rpc": "devices of other machines",
    "-mu": "a projector from the network",
    "--mmproj-url": "a projector from the network",
}


def parse_options(argv: Sequence[str]) -> ServerOptions:
    """The options in a command line of llama-server; the last of two counts, as there.

    A value that cannot be understood is left as it was: the server will say what is wrong with it.
    """
    found: dict[str, Any] = {}
    not_counted: dict[str, None] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        flag, joined, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if flag in _SWITCHES:
            field, constant = _SWITCHES[flag]
            found[field] = constant
        elif flag in _NOT_COUNTED:
            not_counted[_NOT_COUNTED[flag]] = None
        elif flag in _VALUES:
            field, convert = _VALUES[flag]
            if field == "flash_attention" and not joined and _alone(words):
                found[field] = True  # older builds take the flag by itself
                continue
            with contextlib.suppress(ValueError, OverflowError):
                found[field] = convert(value if joined else words.pop(0) if words else "")
    return replace(
        ServerOptions(),
        **found,
        context_is_set="context" in found,
        not_counted=tuple(not_counted),
    )
