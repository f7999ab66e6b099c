from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.models.caches import cells_of
from gputui.models.gguf import Header, read_header
from gputui.models.layers import layers_of
from gputui.models.memory import Device, Estimate, estimate
from gputui.models.options import ServerOptions, parse_options
from gputui.models.search import Room, largest_context, most_layers, quantizations
from tests.support.gguf_files import llama, write_gguf

GIB = 2**30
MIB = 2**20
CARD = Device("GPU 0", 32 * GIB)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Makes the header of a model of a usual shape, in an architecture, with keys of its own."""

    def header(architecture: str = "qwen2", layers: int = 64, **more: Any) -> Header:
        keys = {key: more.pop(key) for key in list(more) if "." in key}
        numbers = {key: more.pop(key) for key in list(more) if key in _NUMBERS}
        metadata, tensors = llama(layers=layers, architecture=architecture, **numbers, **more)
        metadata |= {f"{architecture}.{key}": content for key, content in keys.items()}
        return read_header(write_gguf(tmp_path / "m.gguf", metadata, tensors))

    return header


_NUMBERS = ("width", "feed", "heads", "kv_heads", "vocabulary", "context")


def kv_mib(header: Header, *argv: str) -> float:
    return estimate(header, parse_options(argv), [CARD]).devices[0].cache / MIB


def test_the_cache_of_a_usual_model(make: Any) -> None:
    # 64 layers, 8 heads of 128: 256 KiB a token at f16.
    assert kv_mib(make(), "-c", "32768") == 8192
    assert kv_mib(make(), "-c", "32768", "-ctk", "q8_0", "-ctv", "q8_0") == 8192 * 1.0625 / 2
    assert (
        kv_mib(make(), "-c", "32768", "-ctk", "q8_0", "-ctv", "q4_0")
        == 8192 * (1.0625 + 0.5625) / 4
    )
    assert kv_mib(make(), "-c", "1000") == kv_mib(make(), "-c", "1024"), "padded to 256 cells"
    assert kv_mib(make(), "-c", "1000", "-np", "3") == 3 * kv_mib(make(), "-c", "512")


def test_without_a_context_the_training_length_counts(make: Any) -> None:
    assert estimate(make(context=4096), ServerOptions(), [CARD]).context == 4096


def windows(header: Header) -> list[int]:
    return [number for number, layer in enumerate(layers_of(header)) if layer.window is None]


@pytest.mark.parametrize(
    ("architecture", "keys", "whole"),
    [
        ("gemma2", {}, [1, 3, 5, 7, 9, 11]),
        ("gemma3", {"attention.sliding_window": 1024}, [5, 11]),
        ("gemma3n", {"attention.sliding_window": 512}, [4, 9]),
        ("gpt-oss", {"attention.sliding_window": 128}, [1, 3, 5, 7, 9, 11]),
        ("llama4", {}, [3, 7, 11]),
        ("cohere2", {"attention.sliding_window": 4096}, [3, 7, 11]),
        ("smallthinker", {"attention.sliding_window": 4096}, [0, 4, 8]),
        ("phi3", {"attention.sliding_window": 2047}, list(range(12))),
        ("llama", {"attention.sliding_window": 4096}, list(range(12))),
        (
            "gemma4",
            {
                "attention.sliding_window": 512,
                "attention.sliding_window_pattern": [True, True, False] * 4,
            },
            [2, 5, 8, 11],
        ),
    ],
)
def test_which_layers_see_a_window_alone(
    make: Any, architecture: str, keys: dict[str, Any], whole: list[int]
) -> None:
    assert windows(make(architecture, layers=12, **keys)) == whole


def test_the_cells_of_a_window_grow_with_the_slots_that_share_them(make: Any) -> None:
    header = make("gpt-oss", layers=2, **{"attention.sliding_window": 128})
    shared = cells_of(header, parse_options(["-c", "8192"]))
    assert (shared.of(None), shared.of(128)) == (8192, 1024)  # 4 slots × 128 + 512
    apart = cells_of(header, parse_options(["-c", "8192", "-np", "4"]))
    assert (apart.of(None), apart.of(128)) == (8192, 4 * 768)  # 4 × (128 + 512 → 768)
    full = cells_of(header, parse_options(["-c", "8192", "--swa-full"]))
    assert full.of(128) == 8192


def test_mla_caches_keys_alone(make: Any) -> None:
    keys = {
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "attention.kv_lora_rank": 512,
    }
    header = make("deepseek2", layers=61, kv_heads=1, heads=128, width=7168, **keys)
    # DeepSeek V3: 61 × 576 × 2 bytes a token, 68.6 KiB.
    assert kv_mib(header, "-c", "4096") == 61 * 576 * 2 * 4096 / MIB


def test_recurrent_layers_keep_a_state_a_slot(make: Any) -> None:
    keys = {
        "ssm.conv_kernel": 4,
        "ssm.state_size": 128,
        "ssm.inner_size": 4096,
        "ssm.group_count": 16,
        "full_attention_interval": 4,
    }
    header = make("qwen3next", layers=48, **keys)
    kept = layers_of(header)
    assert [number for number, layer in enumerate(kept) if layer.keys] == list(range(3, 48, 4))
    state = 3 * (4096 + 2 * 16 * 128) + 128 * 4096
    needed = estimate(header, parse_options(["-c", "4096", "-np", "2"]), [CARD])
    assert needed.devices[0].recurrent == 36 * state * 4 * 2
    assert any("recurrent" in word for word in needed.warnings)


@pytest.mark.parametrize(
    ("architecture", "heads", "more", "attending"),
    [
        ("mamba2", 0, {}, []),
        ("jamba", [0, 8, 0, 0], {}, [1]),
        ("granitehybrid", [0, 0, 4, 0], {}, [2]),
        ("lfm2", [0, 8, 0, 8], {"shortconv.l_cache": 3}, [1, 3]),
        ("falcon-h1", 2, {}, [0, 1, 2, 3]),
    ],
)
def test_hybrid_models_attend_in_some_layers(
    make: Any, architecture: str, heads: Any, more: dict[str, Any], attending: list[int]
) -> None:
    keys = {"ssm.conv_kernel": 4, "ssm.state_size": 16, "ssm.inner_size": 512} | more
    header = make(architecture, layers=4, **{"attention.head_count_kv": heads}, **keys)
    kept = layers_of(header)
    assert [number for number, layer in enumerate(kept) if layer.keys] == attending
    assert all(layer.state for number, layer in enumerate(kept) if number not in attending)


def test_a_model_that_only_embeds_keeps_nothing(make: Any) -> None:
    assert estimate(make("bert", layers=12), ServerOptions()).host.cache == 0


def test_the_last_layers_go_to_the_gpu_and_the_output_first(make: Any) -> None:
    header = make(layers=4)
    one = estimate(header, parse_options(["-c", "1024", "-ngl", "1"]), [CARD])
    output = next(tensor.bytes for tensor in header.tensors if tensor.name == "output.weight")
    norm = next(tensor.bytes for tensor in header.tensors if tensor.name == "output_norm.weight")
    assert one.devices[0].weights == output + norm
    assert one.devices[0].cache == 0
    three = estimate(header, parse_options(["-c", "1024", "-ngl", "3"]), [CARD])
    assert three.devices[0].cache == three.host.cache > 0
    assert three.devices[0].weights + three.host.weights == header.tensor_bytes
    assert (three.gpu_layers, three.layers) == (3, 5)


def test_a_split_follows_its_proportions_else_free_memory(make: Any) -> None:
    two = [Device("a", 96 * GIB), Device("b", 32 * GIB)]
    free = estimate(make(), parse_options(["-c", "8192"]), two)
    assert free.devices[0].cache == pytest.approx(3 * free.devices[1].cache, rel=0.1)
    asked = estimate(make(), parse_options(["-c", "8192", "-ts", "1,1"]), two)
    assert asked.devices[0].cache == pytest.approx(asked.devices[1].cache, rel=0.1)
    none = estimate(make(), parse_options(["-c", "8192", "-sm", "none", "-mg", "1"]), two)
    assert none.devices[0].total == two[0].overhead
    assert none.devices[1].weights > 15 * GIB


def test_experts_that_stay_on_the_host_and_a_cache_that_does(make: Any, tmp_path: Path) -> None:
    metadata, tensors = llama(layers=4, architecture="qwen3moe")
    tensors += [(f"blk.{n}.ffn_up_exps.weight", (5120, 1024, 8), "Q4_K") for n in range(4)]
    header = read_header(write_gguf(tmp_path / "moe.gguf", metadata, tensors))
    whole = estimate(header, parse_options(["-c", "1024"]), [CARD])
    half = estimate(header, parse_options(["-c", "1024", "-ncmoe", "2"]), [CARD])
    experts = 2 * next(t.bytes for t in header.tensors if "exps" in t.name)
    assert whole.devices[0].weights - half.devices[0].weights == experts
    assert half.host.weights - whole.host.weights == experts
    host = estimate(header, parse_options(["-c", "1024", "-nkvo"]), [CARD])
    assert (host.devices[0].cache, host.host.cache) == (0, whole.devices[0].cache)


def test_a_tied_output_is_on_the_gpu_a_second_time(tmp_path: Path) -> None:
    metadata, tensors = llama(layers=2)
    header = read_header(write_gguf(tmp_path / "m.gguf", metadata, tensors[:-1]))
    needed = estimate(header, parse_options(["-c", "512"]), [CARD])
    embedding = header.tensors[0].bytes
    assert needed.devices[0].weights == header.tensor_bytes
    assert needed.host.weights == embedding


def test_a_second_copy_for_the_cpu_leaves_the_first_to_the_kernel(make: Any) -> None:
    mapped = estimate(make(), parse_options(["-c", "512"]))
    assert mapped.host.weights > 1.8 * mapped.resident.weights
    copied = estimate(make(), parse_options(["-c", "512", "--no-mmap"]))
    assert copied.host.weights == mapped.resident.weights


def test_what_is_not_counted_is_said(make: Any) -> None:
    options = parse_options(["--lora", "x.gguf", "-ot", "exps=CPU", "-md", "d.gguf"])
    words = " ".join(estimate(make("new-thing", layers=2), options).warnings)
    for part in ("new-thing", "LoRA", "draft", "by hand"):
        assert part in words


@settings(max_examples=60, deadline=None)
@given(
    st.integers(256, 1 << 17),
    st.integers(0, 70),
    st.integers(1, 8),
    st.sampled_from(["f16", "q8_0", "q4_0"]),
    st.lists(st.integers(1, 100), min_size=0, max_size=4),
)
def test_more_context_never_takes_less_and_no_weight_is_lost(
    context: int, layers: int, slots: int, kind: str, split: list[int]
) -> None:
    header = _BIG
    devices = [Device(str(number), 24 * GIB) for number in range(len(split))]
    argv = ["-ngl", str(layers), "-np", str(slots), "-ctk", kind, "-ts", ",".join(map(str, split))]
    less = estimate(header, parse_options([*argv, "-c", str(context)]), devices)
    more = estimate(header, parse_options([*argv, "-c", str(context + 4096)]), devices)
    assert more.total >= less.total
    held = sum(share.weights for share in less.devices) + less.host.weights
    assert held >= header.tensor_bytes
    assert less.gpu_layers == (min(layers, 65) if devices else 0)


def _big() -> Header:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return read_header(write_gguf(Path(folder) / "m.gguf", *llama()))


_BIG = _big()


def room(free: float, *argv: str, host: float = 64 * GIB) -> Room:
    return Room(_BIG, parse_options(argv), (Device("GPU 0", free),), host)


def taken(one: Room, **changes: object) -> Estimate:
    return one.taken(**changes)


def test_the_largest_context_fits_and_the_next_one_does_not() -> None:
    one = room(32 * GIB)
    largest = largest_context(one)
    assert 40000 < largest < 70000
    assert one.holds(one.taken(context=largest))
    assert not one.holds(one.taken(context=largest + 256))
    assert largest_context(room(96 * GIB)) == 131072, "no more than it was trained for"
    assert largest_context(room(8 * GIB, "-ngl", "all")) == 0


def test_the_most_layers_fit_and_one_more_does_not() -> None:
    one = room(12 * GIB, "-c", "8192")
    most = most_layers(one)
    assert 20 < most < 60
    assert one.on_gpus(one.taken(gpu_layers=most))
    assert not one.on_gpus(one.taken(gpu_layers=most + 1))


def test_the_quantizations_that_fit_are_the_smaller_ones() -> None:
    found = quantizations(room(24 * GIB, "-c", "16384"), contexts=True)
    fits = [one.fits for one in found]
    assert fits == sorted(fits), "what fits is smaller than what does not"
    by_name = {one.name: one for one in found}
    assert not by_name["Q8_0"].fits
    assert by_name["Q3_K_M"].fits
    assert by_name["Q4_K_M"].weights == _BIG.tensor_bytes
    # The file of Qwen2.5 32B in Q8_0 has 34.8 GB.
    assert by_name["Q8_0"].weights == pytest.approx(34.8e9, rel=0.02)
    assert (by_name["Q2_K"].largest_context or 0) > (by_name["Q5_K_M"].largest_context or 0)


def smol(folder: Path) -> Header:
    """The shapes of SmolLM2 135M: rows of 576 are no multiple of 256, those of 1536 are."""
    small, large = ("attn_q", "attn_output"), ("ffn_gate", "ffn_up")
    layers = [
        (f"blk.{layer}.{name}.weight", shape, "F16")
        for layer in range(30)
        for name, shape in (
            *((name, (576, 576)) for name in small),
            *((name, (576, 192)) for name in ("attn_k", "attn_v")),
            *((name, (576, 1536)) for name in large),
            ("ffn_down", (1536, 576)),
        )
    ]
    tensors = [("token_embd.weight", (576, 49152), "F16"), *layers]
    metadata = {"general.architecture": "llama", "llama.block_count": 30}
    return read_header(write_gguf(folder / "smol.gguf", metadata, tensors))


def test_rows_that_a_quantization_cannot_take_have_a_larger_one(tmp_path: Path) -> None:
    found = quantizations(Room(smol(tmp_path), parse_options([]), (), None))
    weights = {one.name: one.weights / 1e6 for one in found}
    # The sizes of the published files, in MB.
    published = {"Q8_0": 145, "Q6_K": 138, "Q5_K_M": 112, "Q4_K_M": 105, "Q3_K_M": 93.5, "Q2_K": 88}
    for name, size in published.items():
        assert weights[name] == pytest.approx(size, rel=0.03), name
    assert list(weights.values()) == sorted(weights.values(), reverse=True)
