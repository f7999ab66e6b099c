"""A ``[[presets]]`` table written into the user's file, in which every other line stays as it is."""

from __future__ import annotations

from typing import Any

from gputui.config.edit_tables import (
    Values,
    assign,
    change_table,
    checked,
    data_of,
    in_array,
    inline_table,
    insert,
    is_inline,
    or_cannot,
    present,
)
from gputui.config.tables import PresetConfig
from gputui.config.toml_text import split_lines, tables, written

_KIND = "presets"


@or_cannot
def save_preset(text: str, values: Values) -> str:
    """The file with this preset: in place of the one of its name, else behind the last one.

    ``values`` are all of its keys, ``name`` among them. Raises CannotEditError, ConfigError.
    """
    values = present(values)
    named = data_of(text).get(_KIND, [])
    for number, table in enumerate(named):
        if str(table.get("name")).lower() == str(values["name"]).lower():
            return _replaced(text, number, {**dict.fromkeys(table), **values})
    if is_inline(text, _KIND):
        new = in_array(text, _KIND, lambda array: array.append(inline_table(values)))
    else:
        found = tables(text, _KIND)
        place = found[-1].end if found else len(split_lines(text))
        new = insert(text, place, _render(values))
    return checked(text, new, lambda data: data.setdefault(_KIND, []).append(dict(values)))


def _replaced(text: str, number: int, values: Values) -> str:
    if is_inline(text, _KIND):
        new = in_array(text, _KIND, lambda array: assign(array[number], values))
    else:
        new = change_table(text, tables(text, _KIND)[number], values)

    def expected(data: dict[str, Any]) -> None:
        data[_KIND][number] = present(values)

    return checked(text, new, expected)


def _render(values: Values) -> str:
    order = PresetConfig.__struct_encode_fields__
    keys = sorted(values, key=lambda key: (key != "name", order.index(key)))
    return "\n".join([f"[[{_KIND}]]", *(f"{key} = {written(values[key])}" for key in keys)]) + "\n"
