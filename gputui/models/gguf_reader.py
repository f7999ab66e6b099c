"""Reading the header of one GGUF file: what is kept, what is skipped, what is refused.

A header comes from a stranger: no count or length in it is believed. What is kept is bounded in bytes
and numbers, what is skipped is walked without being kept, and nothing is read beyond the header.
The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from gputui.errors import GputuiError
from gputui.models.gguf_types import ARRAY, SCALARS, STRING, TENSOR_TYPES, TensorType
from gputui.text import clean_line, size

_WINDOW = 1 << 18
_KEY_BYTES = 65535  # the format's own limit
_NAME_BYTES = 255  # llama.cpp takes 63, forks more
_KEPT_STRING = 1 << 20
_KEPT_ELEMENTS = 1024
_KEPT_BYTES = 16 << 20
_PAIRS = 1 << 16
_TENSORS = 1 << 15
_STRINGS = 10_000_000
_HEADER_BYTES = 256 << 20
_DIMENSIONS = 4
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A value that was not kept: its type, and how many elements (bytes for a string) it has."""

    type: str
    length: int


Value = int | float | bool | str | tuple[int | float | bool | str, ...] | Skipped


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; ``shape`` begins with the row's length. ``bytes`` are what it takes in the file."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    bytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for length in self.shape:
            count *= length
        return count


@dataclass(frozen=True, slots=True)
class Part:
    """The header of one file."""

    version: int
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]


def read_part(file: BinaryIO, length: int, name: str) -> Part:
    """The header in ``file``, which has ``length`` bytes and is called ``name`` in errors.

    ``file`` is unbuffered. Raises GputuiError for everything that llama.cpp would not load.
    """
    return _Reader(file, length, name).part()


class _Reader:
    """A window that moves over the file. ``_at`` is the place in the window."""

    def __init__(self, file: BinaryIO, length: int, name: str) -> None:
        self._file = file
        self._length = length
        self._name = name
        self._window = b""
        self._start = 0
        self._at = 0
        self._kept = 0

    def part(self) -> Part:
        version = self._version()
        tensor_count, pair_count = self._u64(), self._u64()
        if tensor_count > _TENSORS:
            raise self._wrong(f"says that it has {tensor_count} tensors")
        if pair_count > _PAIRS:
            raise self._wrong(f"says that it has {pair_count} metadata values")
        metadata: dict[str, Value] = {}
        for _ in range(pair_count):
            key = self._text(_KEY_BYTES, "a metadata key")
            self._keep(len(key), key)
            if key in metadata:
                raise self._wrong(f"has the key {clean_line(key, 80)} twice")
            metadata[key] = self._value(key)
        return Part(version, metadata, self._tensors(tensor_count, metadata))

    def _version(self) -> int:
        if (magic := self._take(min(4, self._length))) != b"GGUF":
            raise GputuiError(
                f"{self._name}: is not a GGUF: it begins with {clean_line(str(magic)[1:])}",
                "Was the download complete? llama.cpp runs .gguf files alone.",
            )
        version = int.from_bytes(self._take(4), "little")
        if version in (2, 3):
            return version
        if int.from_bytes(version.to_bytes(4, "little"), "big") in (1, 2, 3):
            raise GputuiError(
                f"{self._name}: is written for big-endian machines",
                "Download or convert the little-endian file.",
            )
        raise GputuiError(
            f"{self._name}: GGUF version {version}; versions 2 and 3 can be read",
            "Convert it again with llama.cpp's convert_hf_to_gguf.py, or download a newer file."
            if version == 1
            else "A newer gputui may know it.",
        )

    # metadata

    def _value(self, key: str) -> Value:
        kind = self._u32()
        if kind == STRING:
            return self._string(key)
        if kind == ARRAY:
            return self._array(key)
        return self._numbers(key, kind, 1)[0]

    def _string(self, key: str) -> str | Skipped:
        length = self._u64()
        if length > _KEPT_STRING or not self._has_room(length):
            self._skip(length)
            return Skipped("string", length)
        self._kept += length
        return self._take(length).decode(errors="replace")

    def _array(self, key: str) -> Value:
        kind, count = self._u32(), self._u64()
        if kind == ARRAY:
            raise self._wrong(f"has an array of arrays at {clean_line(key, 80)}")
        kept = count <= _KEPT_ELEMENTS and not key.startswith("tokenizer.")
        if kind != STRING:
            name, width, _ = self._scalar(key, kind)
            if not kept or not self._has_room(count * 64):
                self._skip(count * width)
                return Skipped(name, count)
            self._kept += count * 64
            return self._numbers(key, kind, count)
        if not kept or not self._has_room(count * 64):
            self._walk(count, key)
            return Skipped("string", count)
        return self._strings(key, count)

    def _strings(self, key: str, count: int) -> tuple[str, ...]:
        self._kept += count * 64
        texts: list[str] = []
        for _ in range(count):
            text = self._string(key)
            texts.append(text if isinstance(text, str) else "…")
        return tuple(texts)

    def _scalar(self, key: str, kind: int) -> tuple[str, int, str]:
        if kind not in SCALARS:
            raise self._wrong(f"has a value of the unknown type {kind} at {clean_line(key, 80)}")
        return SCALARS[kind]

    def _numbers(self, key: str, kind: int, count: int) -> tuple[int | float | bool, ...]:
        _, width, letter = self._scalar(key, kind)
        return struct.unpack(f"<{count}{letter}", self._take(count * width))

    def _walk(self, count: int, key: str) -> None:
        """Skip ``count`` strings. Each has its length before it, so none can be left out."""
        if count > _STRINGS:
            raise self._wrong(f"says that {clean_line(key, 80)} has {count} strings")
        unpack = _U64.unpack_from
        left = count
        while left:
            self._need(8)
            window, at = self._window, self._at
            more = left
            try:
                for more in range(left, 0, -1):  # noqa: B007 - how many are left when the window ends
                    (length,) = unpack(window, at)
                    at += length + 8
                left = 0
            except (struct.error, OverflowError):
                left = more
            self._at = at
            self._check_inside()

    # tensors

    def _tensors(self, count: int, metadata: dict[str, Value]) -> tuple[Tensor, ...]:
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise self._wrong(f"says that its alignment is {clean_line(str(alignment), 40)}")
        tensors: dict[str, Tensor] = {}
        end = 0
        for _ in range(count):
            tensor, offset = self._tensor()
            if tensor.name in tensors:
                raise self._wrong(f"has the tensor {clean_line(tensor.name, 80)} twice")
            if offset != end:
                raise self._wrong(f"has the tensor {clean_line(tensor.name, 80)} out of its place")
            end += -(-tensor.bytes // alignment) * alignment
            tensors[tensor.name] = tensor
        self._check_data(tuple(tensors.values()), alignment)
        return tuple(tensors.values())

    def _tensor(self) -> tuple[Tensor, int]:
        name = self._text(_NAME_BYTES, "a tensor's name")
        dimensions = self._u32()
        if dimensions > _DIMENSIONS:
            raise self._wrong(f"has a tensor of {dimensions} dimensions: {clean_line(name, 80)}")
        shape = struct.unpack(f"<{dimensions}Q", self._take(8 * dimensions))
        number, offset = self._u32(), self._u64()
        if number not in TENSOR_TYPES:
            raise GputuiError(
                f"{self._name}: tensor {clean_line(name, 80)} is of the unknown type {number}",
                "It may be made for a fork of llama.cpp, or for a newer one than gputui knows.",
            )
        kind = TENSOR_TYPES[number]
        tensor = Tensor(name, shape, kind, 0)
        elements = tensor.elements
        if elements >= 1 << 63 or (shape[0] if shape else 1) % kind.block:
            raise self._wrong(f"has a tensor of an impossible shape: {clean_line(name, 80)}")
        return Tensor(name, shape, kind, elements // kind.block * kind.size), offset

    def _check_data(self, tensors: tuple[Tensor, ...], alignment: int) -> None:
        """Raise GputuiError where the file ends before its last tensor does."""
        if not tensors:
            return
        start = -(-(self._start + self._at) // alignment) * alignment
        padded = sum(-(-tensor.bytes // alignment) * alignment for tensor in tensors[:-1])
        missing = start + padded + tensors[-1].bytes - self._length
        if missing > 0:
            raise self._truncated(f"{size(missing)} of its tensors are missing")

    # bytes

    def _text(self, limit: int, what: str) -> str:
        length = self._u64()
        if length > limit:
            raise self._wrong(f"has {what} of {length} bytes")
        return self._take(length).decode(errors="replace")

    def _u32(self) -> int:
        return int.from_bytes(self._take(4), "little")

    def _u64(self) -> int:
        return int.from_bytes(self._take(8), "little")

    def _take(self, count: int) -> bytes:
        self._need(count)
        self._at += count
        return self._window[self._at - count : self._at]

    def _skip(self, count: int) -> None:
        self._at += count
        self._check_inside()

    def _need(self, count: int) -> None:
        """Have at least ``count`` bytes from here on in the window."""
        if len(self._window) - self._at >= count:
            return
        here = self._start + self._at
        if here + count > self._length:
            raise self._truncated("it ends within its header")
        self._file.seek(here)
        wanted = min(max(count, _WINDOW), self._length - here)
        self._window, self._start, self._at = self._file.read(wanted), here, 0
        if len(self._window) < count:
            raise self._truncated("it ends within its header")

    def _check_inside(self) -> None:
        here = self._start + self._at
        if here > self._length:
            raise self._truncated("it ends within its header")
        if here > _HEADER_BYTES:
            raise self._wrong(f"has a header of more than {size(_HEADER_BYTES)}")

    def _has_room(self, count: int) -> bool:
        return self._kept + count <= _KEPT_BYTES

    def _keep(self, count: int, key: str) -> None:
        if not self._has_room(count):
            raise self._wrong(f"has more than {size(_KEPT_BYTES)} of keys")
        self._kept += count

    def _wrong(self, what: str) -> GputuiError:
        return GputuiError(
            f"{self._name}: {what}: no header of a model is like that",
            "The file is damaged. Download it again.",
        )

    def _truncated(self, what: str) -> GputuiError:
        return GputuiError(
            f"{self._name}: is cut off at {size(self._length)}: {what}",
            "Was the download complete? Download it again.",
        )
