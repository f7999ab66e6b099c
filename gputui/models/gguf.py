"""What the header of a GGUF says of a model, all parts of a split one together."""

from __future__ import annotations

import functools
import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gputui.errors import GputuiError
from gputui.models.files import files_of, short_name
from gputui.models.gguf_reader import Part, Skipped, Tensor, Value, read_part
from gputui.models.gguf_types import FILE_TYPES
from gputui.text import clean_line

__all__ = ["Header", "Skipped", "Tensor", "Value", "known_header", "read_header"]

_MAX_TENSORS = 1 << 15
_MAX_LAYERS = 1024  # llama.cpp: LLAMA_MAX_LAYERS is 512


@dataclass(frozen=True, slots=True)
class Header:
    """A model's header. ``metadata`` has every value but the long ones, of which it has a ``Skipped``.

    ``files`` are all files of the model, ``file_bytes`` their sizes together. Text in it is as the file
    has it: clean it before it is shown. ``name``, ``architecture`` and ``quantization`` are clean.
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    files: tuple[Path, ...]
    file_bytes: int

    @property
    def architecture(self) -> str:
        """The name of the architecture, ``llama`` or ``gemma3`` say; "" where the file has none."""
        return clean_line(self.text("general.architecture") or "", 64)

    @property
    def name(self) -> str:
        """The model's name for people: its own, else the file's."""
        own = clean_line(self.text("general.name") or "", 80)
        return own or clean_line(short_name(str(self.files[0])), 80)

    @property
    def quantization(self) -> str:
        """The quantization in words, ``Q4_K_M``; the type of most of its bytes where it does not say."""
        number = self.metadata.get("general.file_type")
        if isinstance(number, int) and number in FILE_TYPES:
            return FILE_TYPES[number]
        share: Counter[str] = Counter()
        for tensor in self.tensors:
            share[tensor.type.name] += tensor.bytes
        return share.most_common(1)[0][0] if share else ""

    @property
    def parameters(self) -> int:
        """How many numbers its tensors hold together."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def tensor_bytes(self) -> int:
        """What its tensors take together."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def context_length(self) -> int | None:
        """The longest context it was trained for, in tokens."""
        return self.integer("context_length")

    @property
    def block_count(self) -> int | None:
        """How many layers it has; None where it does not say, or says more than any model has."""
        count = self.integer("block_count")
        return count if count is not None and count <= _MAX_LAYERS else None

    @property
    def vocabulary(self) -> int | None:
        """How many tokens it knows."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, Skipped):
            return tokens.length
        return self.integer("vocab_size")

    def text(self, key: str) -> str | None:
        """The string at ``key``, None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def value(self, key: str) -> Value | None:
        """The value at ``key`` of the architecture: ``attention.head_count`` is ``llama.attention.…``."""
        return self.metadata.get(f"{self.text('general.architecture')}.{key}")

    def integer(self, key: str) -> int | None:
        """The whole number at ``key`` of the architecture; None where it has none, or one a layer.

        Also None for a negative one: nothing that is counted here is.
        """
        value = self.value(key)
        return value if isinstance(value, int) and value >= 0 else None

    def per_layer(self, key: str, default: int) -> tuple[int, ...]:
        """The number of each layer at ``key``, be it one for all or one each."""
        layers = self.block_count or 0
        value = self.value(key)
        if isinstance(value, tuple):
            numbers = [max(0, n) if isinstance(n, int) else default for n in value[:layers]]
            return (*numbers, *([default] * (layers - len(numbers))))
        return (value if isinstance(value, int) and value >= 0 else default,) * layers


def read_header(path: Path) -> Header:
    """The header of a model; of a split one, all parts'. Blocks for some milliseconds a file.

    Raises GputuiError where the file cannot be read, or llama.cpp could not load it.
    """
    files = files_of(path)
    parts: list[Part] = []
    file_bytes = 0
    for file in files:
        part, length = _read(file)
        parts.append(part)
        file_bytes += length
        if sum(len(one.tensors) for one in parts) > _MAX_TENSORS:
            raise GputuiError(f"{file}: too many tensors", "Are these parts of one model?")
    _check_split(files, parts)
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    return Header(parts[0].version, parts[0].metadata, tensors, files, file_bytes)


def known_header(path: Path) -> Header:
    """As ``read_header``, but read again only once a file has changed. For any thread."""
    try:
        state = tuple((found.st_size, found.st_mtime_ns) for found in map(os.stat, files_of(path)))
    except OSError:
        return read_header(path)  # says which file, and what is wrong
    return _kept(path, state)


@functools.lru_cache(maxsize=8)
def _kept(path: Path, _state: tuple[tuple[int, int], ...]) -> Header:
    return read_header(path)


def _read(file: Path) -> tuple[Part, int]:
    try:
        # A pipe in the place of a model must not block.
        with open(file, "rb", buffering=0, opener=_open_at_once) as content:
            found = os.fstat(content.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise GputuiError(f"{file}: is not a file", "Name the .gguf file.")
            return read_part(content, found.st_size, str(file)), found.st_size
    except OSError as error:
        raise GputuiError(f"{file}: {error.strerror or error}") from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _check_split(files: tuple[Path, ...], parts: list[Part]) -> None:
    """Raise GputuiError where a file is a part of more, or other, files than its name says."""
    for number, (file, part) in enumerate(zip(files, parts, strict=True)):
        count = part.metadata.get("split.count", 0)
        place = part.metadata.get("split.no", 0)
        if max(1, count if isinstance(count, int) else 0) != len(files) or (
            len(files) > 1 and place != number
        ):
            raise GputuiError(
                f"{file}: is part {clean_line(str(place), 20)} of {clean_line(str(count), 20)} "
                "by its header, but not by its name",
                "llama.cpp finds the parts by their names: NAME-00001-of-0000N.gguf.",
            )
