from __future__ import annotations

import io
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.demo.parts import Parts
from gputui.errors import GputuiError
from gputui.models.gguf import Header, Skipped, known_header, read_header
from gputui.models.gguf_reader import read_part
from gputui.models.memory import Device, estimate
from gputui.models.options import ServerOptions
from tests.support.gguf_files import llama, string, value, write_gguf

ONE = {"general.architecture": "llama", "llama.block_count": 2}


def refusal(file: Path) -> GputuiError:
    with pytest.raises(GputuiError) as caught:
        read_header(file)
    assert str(file) in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_header_says_what_the_model_is(tmp_path: Path) -> None:
    metadata, tensors = llama(layers=2, width=256, feed=512, heads=4, kv_heads=2, vocabulary=1024)
    metadata["tokenizer.ggml.tokens"] = ["a"] * 1024
    metadata["general.tags"] = ["x", "y"]
    header = read_header(write_gguf(tmp_path / "m.gguf", metadata, tensors))
    assert (header.architecture, header.name, header.quantization) == (
        "qwen2",
        "A model of a test",
        "Q4_K_M",
    )
    assert (header.block_count, header.context_length, header.vocabulary) == (2, 131072, 1024)
    assert header.metadata["tokenizer.ggml.tokens"] == Skipped("string", 1024)
    assert header.metadata["general.tags"] == ("x", "y")
    assert header.parameters == 2 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512 + 256) + (
        2 * 256 * 1024 + 256
    )
    assert header.tensors[1].shape == (256, 256)
    assert header.tensors[1].bytes == 256 * 256 * 144 // 256


def test_the_parts_of_a_split_model_are_read_as_one(tmp_path: Path) -> None:
    for number in range(3):
        split = {"split.no": number, "split.count": 3, "split.tensors.count": 3}
        file = tmp_path / f"m-{number + 1:05}-of-00003.gguf"
        write_gguf(file, ONE | split, [(f"blk.{number}.attn_q.weight", (256, 4), "F32")])
    header = read_header(tmp_path / "m-00001-of-00003.gguf")
    assert [tensor.name[4] for tensor in header.tensors] == ["0", "1", "2"]
    assert len(header.files) == 3
    assert header.tensor_bytes == 3 * 256 * 4 * 4
    (tmp_path / "m-00002-of-00003.gguf").rename(tmp_path / "other.gguf")
    with pytest.raises(GputuiError, match="m-00002-of-00003"):
        read_header(tmp_path / "m-00001-of-00003.gguf")
    assert "by its header" in refusal(tmp_path / "other.gguf").message


def pairs(*parts: bytes) -> tuple[bytes, dict[str, Any]]:
    return b"".join(parts), {str(number): 0 for number in range(len(parts))}


U64 = struct.Struct("<Q").pack


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a GGUF"),
        (b"GGU", "is not a GGUF"),
        (b"<html>", "is not a GGUF"),
        (b"GGUF", "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 4, 0, 0), "version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "metadata values"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 5), "cut off"),
    ],
)
def test_what_is_no_header_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(content)
    assert words in refusal(file).message


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (pairs(string("k") + struct.pack("<I", 99)), "unknown type 99"),
        (pairs(string("k") + struct.pack("<IIQ", 9, 99, 1)), "unknown type 99"),
        (pairs(string("k") + struct.pack("<IIQ", 9, 9, 1) + bytes(64)), "array of arrays"),
        (pairs(string("k") + struct.pack("<IIQ", 9, 8, 1 << 60) + bytes(64)), "strings"),
        (pairs(string("k") + struct.pack("<IIQ", 9, 4, 1 << 62) + bytes(64)), "cut off"),
        (pairs(string("k") + struct.pack("<I", 8) + U64(1 << 63)), "cut off"),
        (pairs(string("k") + struct.pack("<IIQ", 9, 8, 2) + U64(2**64 - 8)), "cut off"),
        (pairs(U64(1 << 40)), "key of"),
        (pairs(string("k") + value(1), string("k") + value(2)), "twice"),
        (pairs(string("general.alignment") + value(0)), "alignment is 0"),
        (pairs(string("general.alignment") + value("x")), "alignment is x"),
        (pairs(string("general.alignment") + value(24)), "alignment is 24"),
    ],
)
def test_hostile_metadata_is_refused_in_words(
    tmp_path: Path, raw: tuple[bytes, dict[str, Any]], words: str
) -> None:
    file = write_gguf(tmp_path / "bad.gguf", raw[1], raw=raw[0])
    assert words in refusal(file).message


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return string(name) + sizes + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize(
    ("infos", "words"),
    [
        ([tensor("t", (32,), 99, 0)], "unknown type 99"),
        ([tensor("t", (1, 1, 1, 1, 1), 0, 0)], "5 dimensions"),
        ([tensor("t", (33,), 8, 0)], "impossible shape"),
        ([tensor("t", (1 << 40, 1 << 40), 0, 0)], "impossible shape"),
        ([tensor("t", (32,), 0, 64)], "out of its place"),
        ([tensor("t", (32,), 0, 0), tensor("t", (32,), 0, 128)], "twice"),
        ([tensor("t" * 300, (32,), 0, 0)], "name of 300 bytes"),
        ([tensor("t", (1 << 30,), 0, 0)], "4.0 GiB of its tensors are missing"),
    ],
)
def test_hostile_tensors_are_refused_in_words(
    tmp_path: Path, infos: list[bytes], words: str
) -> None:
    file = tmp_path / "bad.gguf"
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), 0)
    file.write_bytes(head + b"".join(infos) + bytes(64))
    assert words in refusal(file).message


def test_a_directory_a_pipe_and_a_missing_file_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert "is not a file" in refusal(tmp_path / "pipe.gguf").message
    for name in (".", "none.gguf"):
        with pytest.raises(GputuiError):
            read_header(tmp_path / name)


def test_a_header_is_read_again_only_once_the_file_has_changed(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "m.gguf", ONE)
    first = known_header(file)
    assert known_header(file) is first
    write_gguf(file, ONE | {"llama.context_length": 4096})
    assert known_header(file).context_length == 4096


class Counting(io.BytesIO):
    """A file that counts what is read of it."""

    reads = 0
    bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.reads += 1
        self.bytes_read += len(found)
        return found


def test_of_a_large_vocabulary_only_the_strings_are_walked_and_nothing_is_kept() -> None:
    tokens = [f"token{number}" for number in range(150_000)]
    body = string("tokenizer.ggml.tokens") + value(tokens)
    body += string("tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, 150_000) + bytes(600_000)
    content = b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + body
    file = Counting(content)
    tracemalloc.start()
    part = read_part(file, len(content), "m.gguf")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert part.metadata["tokenizer.ggml.tokens"] == Skipped("string", 150_000)
    assert file.bytes_read < len(content), "the scores were skipped"
    assert file.reads < 20
    assert peak < 2 << 20


_SEED = (
    b"GGUF"
    + struct.pack("<IQQ", 3, 2, 4)
    + b"".join(
        [
            string("general.architecture") + value("llama"),
            string("llama.block_count") + value(2),
            string("tokenizer.ggml.tokens") + value(["<s>", "b", "c" * 300]),
            string("llama.attention.head_count_kv") + value([1, 2]),
            tensor("blk.0.attn_q.weight", (32, 2), 8, 0),
            tensor("output.weight", (32,), 0, 96),
        ]
    )
    + bytes(512)
)


def _survives(content: bytes) -> None:
    tracemalloc.start()
    try:
        part = read_part(io.BytesIO(content), len(content), "m.gguf")  # type: ignore[arg-type]
    except GputuiError:
        pass
    else:
        header = Header(part.version, part.metadata, part.tensors, (Path("m.gguf"),), len(content))
        assert estimate(header, ServerOptions()).host.total >= 0
        needed = estimate(header, ServerOptions(), [Device("a", 3.0), Device("b", 1.0)])
        assert all(share.total >= 0 for share in needed.devices)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 << 20


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_change_of_a_header_gives_a_header_or_an_error_in_words(data: st.DataObject) -> None:
    content = bytearray(_SEED)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    _survives(bytes(content[:end]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 5), st.integers(0, 5))
def test_any_bytes_give_a_header_or_an_error_in_words(
    body: bytes, tensors: int, values: int
) -> None:
    _survives(b"GGUF" + struct.pack("<IQQ", 3, tensors, values) + body)


def test_many_large_values_are_not_kept(tmp_path: Path) -> None:
    many = b"".join(string(f"k{n}") + value("x" * 900_000) for n in range(40))
    file = write_gguf(tmp_path / "m.gguf", {str(n): 0 for n in range(40)}, raw=many)
    tracemalloc.start()
    header = read_header(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(isinstance(found, Skipped) for found in header.metadata.values()) > 20
    assert peak < 40 << 20


@pytest.mark.real
def test_the_demo_models_are_read(demo_parts: Parts) -> None:
    small, gemma = read_header(demo_parts.smollm2), read_header(demo_parts.gemma3)
    assert (small.architecture, small.quantization, small.block_count) == ("llama", "Q4_1", 30)
    assert (gemma.architecture, gemma.quantization, gemma.vocabulary) == (
        "gemma3",
        "Q4_K_M",
        262144,
    )
    assert 134e6 < small.parameters < 136e6
