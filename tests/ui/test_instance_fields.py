"""What is typed in the form and what stands in the file say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.errors import GputuiError
from gputui.ui.editing.fields import FIELDS, shown, typeable, typed_values, value_of

argument = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@given(st.lists(argument, min_size=1, max_size=4))
def test_arguments_come_back_as_they_were(arguments: list[str]) -> None:
    assert value_of("args", shown("args", arguments)) == arguments


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "port": st.integers(1, 65535),
            "ctx_size": st.integers(0, 10**6),
            "n_gpu_layers": st.sampled_from(["auto", "all", 0, 99]),
            "tensor_split": st.lists(st.integers(1, 100), min_size=1, max_size=4),
            "idle_unload": st.sampled_from(["10m", 90, 1.5]),
            "cache_type_k": st.sampled_from(["q8_0", "f16"]),
        },
    )
)
def test_values_come_back_as_they_were(table: dict[str, Any]) -> None:
    texts = {f.key: shown(f.key, table.get(f.key)) for f in FIELDS if f.key != "gpus"}
    assert typed_values(texts, table, None) == {}, "what nobody touched is no change"
    assert typed_values(texts, {}, None) == table


def test_what_is_left_out_stays_out() -> None:
    assert typed_values({"role": "chat", "restart": "never", "key": ""}, {}, []) == {}
    raw = {"key": "1", "restart": "on-failure", "gpus": ["0"]}
    texts = {"key": "", "restart": "never"}
    assert typed_values(texts, raw, []) == {"key": None, "restart": "never", "gpus": []}


@pytest.mark.parametrize(("value", "can"), [(["a  b"], True), (["a\nb"], False), ("\x1b[m", False)])
def test_only_what_one_line_can_hold_is_typed(value: object, can: bool) -> None:
    assert typeable(value) is can


@given(st.sampled_from([f.key for f in FIELDS if f.key != "gpus"]), st.text())
def test_any_text_is_a_value_or_an_error_in_words(key: str, text: str) -> None:
    words = ""
    try:
        value_of(key, text)
    except GputuiError as error:
        words = error.message
    assert "`" not in words, "msgspec's own words are not for people"
