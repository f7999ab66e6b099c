"""The chat's tables in the file: checked as all others, and a preset written without touching more."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.config import Config, parse
from gputui.config.edit_presets import save_preset
from gputui.errors import ConfigError, GputuiError
from tests.config.test_edit import FILE, lines_kept

CHAT = """
[chat]
system = "Be brief."
temperature = 0
seed = 7
order = "one"

[[presets]]
name = "coder"  # for code
temperature = 0.2
top_p = 1
order = "together"
"""


def read(text: str) -> Config:
    return parse(text.encode(), Path("config.toml"))


def test_the_tables_are_typed() -> None:
    config = read(CHAT)
    assert (config.chat.system, config.chat.temperature, config.chat.seed) == ("Be brief.", 0, 7)
    assert (config.chat.order, config.chat.top_k) == ("one", None)
    (coder,) = config.presets
    assert (coder.name, coder.temperature, coder.top_p, coder.order) == (
        "coder",
        0.2,
        1,
        "together",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[chat]\ntemprature = 1", r'\[chat\]: unknown key "temprature".*\n.*"temperature"'),
        ("[chat]\ntemperature = -1", r"\[chat\]: temperature = -1.*>= 0"),
        ("[chat]\ntemperature = nan", "temperature"),
        ("[chat]\ntop_p = 1.5", "top_p = 1.5.*<= 1"),
        ("[chat]\ntop_k = 2.5", "top_k"),
        ("[chat]\nseed = 4294967295", "seed"),
        ("[chat]\nmax_tokens = 0", "max_tokens"),
        ("[chat]\ncache_prompt = 1", "cache_prompt"),
        ('[chat]\norder = "on"', '(?s)order.*"one"'),
        ("[[presets]]\ntemperature = 1", "name"),
        ('[[presets]]\nname = "a b"', "letters, digits"),
        ('[[presets]]\nname = "x1"\n[[presets]]\nname = "X1"', "twice"),
        ('[[presets]]\nname = "save"', "/preset"),
        ('[[presets]]\nname = "b"', "/preset"),
    ],
)
def test_what_is_wrong_is_said_in_the_files_terms(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert re.search(words, str(caught.value)), str(caught.value)


VALUES: dict[str, Any] = {"system": 'Say "no".\nTwice.', "temperature": 0.25, "cache_prompt": False}


@pytest.mark.parametrize(
    "text", ["", FILE, CHAT, FILE + CHAT, CHAT.replace("\n", "\r\n"), FILE.rstrip()]
)
def test_a_new_preset_stands_behind_the_others_and_no_line_is_touched(text: str) -> None:
    after = save_preset(text, {"name": "strict", "seed": None, **VALUES})
    assert lines_kept(text if text.endswith("\n") or not text else text + "\n", after) == []
    assert tomllib.loads(after)["presets"][-1] == {"name": "strict", **VALUES}


def test_a_preset_of_that_name_is_replaced_and_keeps_its_comments() -> None:
    after = save_preset(FILE + CHAT, {"name": "coder", "top_k": 20})
    assert tomllib.loads(after)["presets"] == [{"name": "coder", "top_k": 20}]
    assert 'name = "coder"  # for code' in after
    assert lines_kept(FILE + CHAT, after) == [
        "temperature = 0.2\n",
        "top_p = 1\n",
        'order = "together"\n',
    ]


def test_presets_in_one_array_are_understood() -> None:
    text = 'presets = [{ name = "one", seed = 1 }]  # mine\n'
    after = save_preset(save_preset(text, {"name": "two", "seed": 2}), {"name": "one", "top_k": 3})
    assert tomllib.loads(after)["presets"] == [
        {"name": "one", "top_k": 3},
        {"name": "two", "seed": 2},
    ]
    assert "# mine" in after


def test_a_file_that_is_no_toml_is_left_alone() -> None:
    with pytest.raises(GputuiError, match="not valid TOML"):
        save_preset("presets = [", {"name": "one"})


@given(st.text(), st.floats(0, 5), st.integers(0, 2**32 - 2), st.sampled_from([None, True, False]))
def test_what_is_saved_is_what_is_read(
    system: str, temperature: float, seed: int, cache: bool | None
) -> None:
    values = {"system": system, "temperature": temperature, "seed": seed, "cache_prompt": cache}
    try:
        system.encode()
    except UnicodeEncodeError:
        return
    (preset,) = read(save_preset("", {"name": "kept", **values})).presets
    assert preset.system == system
    assert (preset.temperature, preset.seed, preset.cache_prompt) == (temperature, seed, cache)
