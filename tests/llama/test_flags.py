"""A binary's flags by its own help, and arguments held against them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.demo.parts import Parts
from gputui.errors import GputuiError
from gputui.llama import flags as rooms
from gputui.llama.flags import Flag, Flags, check_arguments, flags_of, parse_help

HELP = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
                                        (env: LLAMA_ARG_CTX_SIZE)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
                                        (env: LLAMA_ARG_FLASH_ATTN)
-ctk,  --cache-type-k TYPE              KV cache data type for K
                                        allowed values: f32, f16, q8_0
                                        (default: f16)
-ot,   --override-tensor <tensor name pattern>=<buffer type>,...
                                        override tensor buffer type
--rope-scaling {none,linear,yarn}       RoPE frequency scaling method
--poll <0...100>                        use polling level to wait for work
--cpu-strict <0|1>                      use strict CPU placement (default: 0)
--control-vector-layer-range START END  layer range
--mlock                                 force system to keep model in RAM
--draft, --draft-n N                    the argument has been removed. use --spec-draft-n-max
"""
KNOWN = Flags(parse_help(HELP))


def test_a_help_is_read_with_names_values_and_variables() -> None:
    assert KNOWN.find("-c") == Flag(("-c", "--ctx-size"), "N", (), "LLAMA_ARG_CTX_SIZE")
    found = {flag.names[-1]: flag for flag in KNOWN.flags}
    assert found["--usage"].value == ""
    assert found["--flash-attn"].allowed == ("on", "off", "auto")
    assert found["--cache-type-k"].allowed == ("f32", "f16", "q8_0")
    assert found["--rope-scaling"].allowed == ("none", "linear", "yarn")
    assert found["--cpu-strict"].allowed == ("0", "1")
    assert found["--poll"].allowed == ()
    assert found["--override-tensor"].value.startswith("<tensor name")
    assert found["--control-vector-layer-range"].values == 2
    assert KNOWN.find("--ctx_size") is KNOWN.find("-c")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--flash-atn", "on"], 'Did you mean "--flash-attn"?'),
        (["--flash-attn"], "--flash-attn needs a value: [on|off|auto]"),
        (["--flash-attn", "--mlock"], "--flash-attn needs a value"),
        (["--flash-attn", "onn"], 'Did you mean "on"?'),
        (["--mlock", "yes"], '"yes" belongs to no flag'),
        (["--poll=3"], 'takes no "="'),
        (["--draft", "3"], "was removed"),
        (["--control-vector-layer-range", "3"], "needs a value: START END"),
    ],
)
def test_what_the_binary_would_refuse_is_said(arguments: list[str], words: str) -> None:
    doubts = check_arguments(KNOWN, arguments)
    assert words in " ".join(f"{doubt.message} {doubt.hint}" for doubt in doubts)


def test_the_value_of_an_unknown_flag_is_no_second_doubt() -> None:
    assert len(check_arguments(KNOWN, ["--flash-atn", "on", "--mlock"])) == 1
    assert len(check_arguments(KNOWN, ["--flash-atn", "on", "off"])) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--flash-attn", "on", "--mlock", "-c", "5"],
        ["-c", "-1"],
        ["--control-vector-layer-range", "1", "2", "--mlock"],
        ["-ot", "blk.*=CPU"],
    ],
)
def test_what_it_takes_is_in_no_doubt(arguments: list[str]) -> None:
    assert check_arguments(KNOWN, arguments) == ()
    assert check_arguments(Flags(), ["--anything"]) == ()


@given(st.text(), st.lists(st.text(max_size=8)))
def test_any_text_and_any_arguments_are_survived(text: str, arguments: list[str]) -> None:
    check_arguments(Flags(parse_help("--a\n" + text)), arguments)
    check_arguments(KNOWN, arguments)


@pytest.mark.real
def test_the_real_help(demo_parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = demo_parts.llama_server
    monkeypatch.setattr(rooms, "_known", {})  # of tests before this one
    flags = flags_of(binary)
    assert len(flags.flags) > 150
    context = flags.find("--ctx-size")
    assert context is not None
    assert (context.names, context.value) == (("-c", "--ctx-size"), "N")
    assert context.variable == "LLAMA_ARG_CTX_SIZE"
    cache = flags.find("-ctk")
    assert cache is not None
    assert "q8_0" in cache.allowed
    plain = flags.find("--mlock")
    assert plain is not None
    assert plain.values == 0
    removed = flags.find("--draft-max")
    assert removed is not None
    assert removed.removed
    said = check_arguments(flags, ["--reverse-prompt", "x", "--predict", "2", "--temp", "-1"])
    assert said == ()
    monkeypatch.setattr(rooms, "_known", {})
    monkeypatch.setattr(rooms, "_ask", lambda binary: pytest.fail("it is in the cache"))
    assert flags_of(binary) == flags


def test_a_program_that_says_nothing_of_use_raises_no_doubts(tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\necho usage: none\n")
    program.chmod(0o755)
    assert flags_of(program).flags == ()
    with pytest.raises(GputuiError):
        flags_of(tmp_path / "none")


def test_a_program_that_never_ends_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "_HELP_SECONDS", 0.2)
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    begun = time.monotonic()
    assert flags_of(program).flags == ()
    assert time.monotonic() - begun < 10
