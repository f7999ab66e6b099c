from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.config import InstanceConfig
from gputui.llama.command import arguments
from gputui.models.options import ALL_LAYERS, ServerOptions, parse_options


def test_fields_and_args_of_an_instance_both_count() -> None:
    instance = InstanceConfig(
        name="x",
        model="m.gguf",
        port=1,
        ctx_size=8192,
        n_gpu_layers="all",
        ubatch_size=256,
        tensor_split=(3, 1),
        args=("--swa-full", "-fa", "off", "--n-cpu-moe=4", "--fit", "off"),
    )
    options = parse_options(arguments(instance, Path("m.gguf"), None))
    assert (options.context, options.gpu_layers, options.ubatch) == (8192, ALL_LAYERS, 256)
    assert options.tensor_split == (3.0, 1.0)
    assert (options.swa_full, options.flash_attention, options.fit) == (True, False, False)
    assert options.host_experts == 4


def test_slots_share_one_pool_unless_their_number_is_given() -> None:
    auto, four = parse_options([]), parse_options(["-np", "4"])
    assert (auto.slots, auto.one_pool) == (4, True)
    assert (four.slots, four.one_pool) == (4, False)
    assert parse_options(["-np", "4", "-kvu"]).one_pool
    assert parse_options(["-np", "-1"]).parallel is None


@pytest.mark.parametrize(
    ("word", "layers"), [("auto", None), ("-1", None), ("all", ALL_LAYERS), ("10", 10), ("0", 0)]
)
def test_layers(word: str, layers: int | None) -> None:
    assert parse_options(["-ngl", word]).gpu_layers == layers


def test_flash_attention_with_and_without_a_value() -> None:
    assert parse_options(["-fa", "-c", "512"]).context == 512
    assert parse_options(["-fa"]).flash_attention is True
    assert parse_options(["-fa", "auto", "-c", "512"]).flash_attention is None
    assert parse_options(["--flash-attn=off"]).flash_attention is False


def test_what_cannot_be_understood_is_left_to_the_server() -> None:
    assert parse_options(["-c", "many", "--batch-size", "-ub"]).context == 0
    assert parse_options(["-c"]) == ServerOptions(context_is_set=False)


@given(
    st.lists(
        st.text(max_size=12)
        | st.sampled_from(["-c", "-ts", "-ngl", "-np", "-fitt", "inf", "-7", "nan,1"])
    )
)
def test_no_command_line_is_an_error(argv: list[str]) -> None:
    assert parse_options(argv).slots >= 1
