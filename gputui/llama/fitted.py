"""What ``--fit`` took from what was asked for: a smaller context, weights that stay in host memory.

It touches only what was left to it (measured, build 1 of 571d0d5, and its own words at -lv 4: "context
size set by user -> no change"): the context where ``--ctx-size`` is 0 or not given, which is then the
model's own, and the layers where ``--n-gpu-layers`` is auto or not given. At its default verbosity a
server prints none of that, so it is read off what it became.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from gputui.llama.wire import ModelMeta, Props
from gputui.text import size

_PADDING = 256  # cells that a context is rounded up to, and what rounding can take from each slot
_OWN_SPLIT = ("-ot", "--override-tensor", "-cmoe", "--cpu-moe", "-ncmoe", "--n-cpu-moe")
_OFFLOADED = re.compile(rb"offloaded (\d{1,5})/(\d{1,5}) layers to GPU")


def whole_context(argv: Sequence[str], props: Props) -> int | None:
    """The context of all slots together in tokens; None where the server does not say.

    An explicit ``--parallel`` divides it among the slots; else all of them share one pool.
    """
    if props.context is None:
        return None
    return props.context * (props.slots or 1) if _divided(argv) else props.context


def lowered_context(
    argv: Sequence[str], settings: Mapping[str, Any], props: Props, meta: ModelMeta
) -> str:
    """``context 131072 → 8192 by --fit``, "" where nothing was taken or it is not known."""
    whole, trained = whole_context(argv, props), meta.trained_context
    if whole is None or trained is None or props.context is None:
        return ""
    asked = settings.get("ctx_size") or 0
    slack = _PADDING * (props.slots or 1)
    if not asked:
        return (
            f"context {trained} → {whole} by --fit"
            if whole + slack < trained and _fits(argv)
            else ""
        )
    # No slot gets more than the model was trained for: that is no want of memory.
    if whole + slack < asked and props.context < trained:
        return f"context {asked} → {whole}"
    return ""


def lowered_layers(
    argv: Sequence[str],
    settings: Mapping[str, Any],
    meta: ModelMeta,
    log: bytes,
    held: float | None,
) -> str:
    """What of the weights stays in host memory, in words; "" where that was asked for or is not known.

    ``log`` is the beginning of the server's log, which tells at -lv 4 and in older builds. ``held`` are
    the bytes that the process holds on its GPUs: what does not go into them, even if they held nothing
    else, is elsewhere. The token embeddings always are, and count at two bytes an element.
    """
    if settings.get("n_gpu_layers") not in (None, "auto") or not _fits(argv):
        return ""
    if any(word.partition("=")[0] in _OWN_SPLIT for word in argv):
        return ""
    told = _OFFLOADED.findall(log)
    if told:
        on_gpu, layers = (int(number) for number in told[-1])
        return f"{on_gpu} of {layers} layers on the GPU by --fit" if on_gpu < layers else ""
    if held is None or meta.weights is None or meta.embeddings is None:
        return ""
    left = meta.weights - 2 * meta.embeddings - held
    if left < meta.weights / 100:
        return ""
    return f"{size(left)} or more of {size(meta.weights)} weights in host memory by --fit"


def _divided(argv: Sequence[str]) -> bool:
    if "-kvu" in argv or "--kv-unified" in argv:
        return False
    return "--parallel" in argv or "-no-kvu" in argv or "--no-kv-unified" in argv


def _fits(argv: Sequence[str]) -> bool:
    """Whether there is a GPU to fit into, and fitting was not switched off."""
    pairs = set(pairwise((*argv, "")))
    off = {(flag, word) for flag in ("-fit", "--fit") for word in ("off", "0", "false")}
    joined = {f"--fit={word}" for _, word in off}
    return not (pairs & (off | {("--device", "none")}) or joined & set(argv))
