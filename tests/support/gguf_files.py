"""GGUF files made for a test: true headers, with holes in the place of the weights."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gputui.models.gguf_types import TENSOR_TYPES

_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}

TensorSpec = tuple[str, Sequence[int], str]
"""Name, shape, type."""


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def value(content: Any) -> bytes:
    """A metadata value with its type before it."""
    if isinstance(content, bool):
        return struct.pack("<I?", 7, content)
    if isinstance(content, int):
        return (
            struct.pack("<II", 4, content) if content < 1 << 32 else struct.pack("<IQ", 10, content)
        )
    if isinstance(content, float):
        return struct.pack("<If", 6, content)
    if isinstance(content, str):
        return struct.pack("<I", 8) + string(content)
    assert isinstance(content, list)
    if content and isinstance(content[0], str):
        return struct.pack("<IIQ", 9, 8, len(content)) + b"".join(map(string, content))
    if content and isinstance(content[0], bool):
        return struct.pack("<IIQ", 9, 7, len(content)) + bytes(content)
    return struct.pack("<IIQ", 9, 5, len(content)) + struct.pack(f"<{len(content)}i", *content)


def write_gguf(
    file: Path,
    metadata: Mapping[str, Any],
    tensors: Sequence[TensorSpec] = (),
    version: int = 3,
    raw: bytes = b"",
) -> Path:
    """A file of this header; ``raw`` are the bytes of the metadata values, in the place of ``metadata``."""
    pairs = raw or b"".join(string(key) + value(content) for key, content in metadata.items())
    infos, offset = b"", 0
    for name, shape, kind in tensors:
        number = _NUMBERS[kind]
        infos += string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        infos += struct.pack("<IQ", number, offset)
        offset += _padded(_bytes(shape, kind))
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata)) + pairs + infos
    with file.open("wb") as content:
        content.write(header)
        if tensors:
            content.truncate(_padded(len(header)) + offset)
    return file


def _bytes(shape: Sequence[int], kind: str) -> int:
    count = 1
    for length in shape:
        count *= length
    found = TENSOR_TYPES[_NUMBERS[kind]]
    return count // found.block * found.size


def _padded(count: int) -> int:
    return -(-count // 32) * 32


def llama(
    layers: int = 64,
    width: int = 5120,
    feed: int = 27648,
    heads: int = 40,
    kv_heads: int = 8,
    vocabulary: int = 152064,
    context: int = 131072,
    kind: str = "Q4_K",
    architecture: str = "qwen2",
    **more: Any,
) -> tuple[dict[str, Any], list[TensorSpec]]:
    """Metadata and tensors of a model of the usual shape; the defaults are those of Qwen2.5 32B."""
    name = architecture
    metadata: dict[str, Any] = {
        "general.architecture": name,
        "general.name": "A model of a test",
        "general.file_type": 15,
        f"{name}.block_count": layers,
        f"{name}.context_length": context,
        f"{name}.embedding_length": width,
        f"{name}.feed_forward_length": feed,
        f"{name}.attention.head_count": heads,
        f"{name}.attention.head_count_kv": kv_heads,
        f"{name}.vocab_size": vocabulary,
    }
    metadata |= {f"{name}.{key}": content for key, content in more.items()}
    cached = width // heads * kv_heads
    tensors: list[TensorSpec] = [("token_embd.weight", (width, vocabulary), kind)]
    for layer in range(layers):
        tensors += [
            (f"blk.{layer}.attn_q.weight", (width, width), kind),
            (f"blk.{layer}.attn_k.weight", (width, cached), kind),
            (f"blk.{layer}.attn_v.weight", (width, cached), kind),
            (f"blk.{layer}.attn_output.weight", (width, width), kind),
            (f"blk.{layer}.ffn_gate.weight", (width, feed), kind),
            (f"blk.{layer}.ffn_up.weight", (width, feed), kind),
            (f"blk.{layer}.ffn_down.weight", (feed, width), kind),
            (f"blk.{layer}.attn_norm.weight", (width,), "F32"),
        ]
    tensors += [
        ("output_norm.weight", (width,), "F32"),
        ("output.weight", (width, vocabulary), kind),
    ]
    return metadata, tensors
