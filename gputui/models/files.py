"""The files of a model, and its name for people."""

from __future__ import annotations

import re
from pathlib import Path

_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def files_of(model: Path) -> tuple[Path, ...]:
    """All files of a model: itself, or every part of a split one (``…-00001-of-00003.gguf``)."""
    match = _SPLIT.search(model.name)
    if match is None or int(match[2]) > 999:
        return (model,)
    stem = model.name[: match.start()]
    count = int(match[2])
    parts = (f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))
    return tuple(model.with_name(part) for part in parts)


def model_bytes(model: Path) -> int | None:
    """The size of a model with all its parts, in bytes; None where a part is missing."""
    try:
        return sum(file.stat().st_size for file in files_of(model))
    except OSError:
        return None


def short_name(model: str) -> str:
    """A model's name for people: the file's, the quantization set apart."""
    stem = _SPLIT.sub("", Path(model).name).removesuffix(".gguf")
    return re.sub(r"[.\-_]((?:I?Q\d|TQ\d|BF16|F16|F32|MXFP4)\w*)$", r" \1", stem, flags=re.I)
