"""Changing ``[[instances]]`` tables in the user's file: every other line stays as it is, byte for byte.

Each change is held against the same change of the plain data before anybody may write it. Both ways of
writing tables are understood: ``[[instances]]``, and ``instances = [{ … }]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gputui.config.edit_tables import (
    CannotEditError,
    Values,
    assign,
    assign_plain,
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
from gputui.config.load import parse
from gputui.config.tables import Config, InstanceConfig
from gputui.config.toml_text import Span, ended, split_lines, tables, written
from gputui.errors import GputuiError
from gputui.text import clean_line

__all__ = [
    "HEADER",
    "CannotEditError",
    "Values",
    "add",
    "change",
    "check",
    "duplicate",
    "references",
    "remove",
    "render",
]

HEADER = (
    "# gputui. Every key with its meaning: gputui init. Check this file with: gputui config check\n"
)
"""What a file begins with that is made by adding the first instance."""

_ARRAYS = ("layouts", "alerts")
"""The tables whose ``instances`` name instances."""


@or_cannot
def add(text: str, values: Values) -> str:
    """The file with one more instance, after the last."""
    values = present(values)
    if is_inline(text, "instances"):
        new = in_array(text, "instances", lambda array: array.append(inline_table(values)))
    else:
        new = insert(text, _place_for_new(text), render(values))
    return checked(text, new, lambda data: data.setdefault("instances", []).append(dict(values)))


@or_cannot
def change(text: str, name: str, values: Values) -> str:
    """The file with some keys of an instance changed. A new name is changed wherever it is named."""
    number = _number_of(text, name)
    if is_inline(text, "instances"):
        new = in_array(text, "instances", lambda array: assign(array[number], values))
    else:
        new = change_table(text, tables(text, "instances")[number], values)
    renamed = values.get("name", name)
    if renamed != name:
        new = _rename(new, name, str(renamed))

    def expected(data: dict[str, Any]) -> None:
        assign_plain(data["instances"][number], values)
        for table in _naming(data, name) if renamed != name else ():
            table["instances"] = [renamed if n == name else n for n in table["instances"]]

    return checked(text, new, expected)


@or_cannot
def duplicate(text: str, name: str, values: Values) -> str:
    """The file with a copy of an instance behind it, in which ``values`` differ (a new name for one)."""
    number = _number_of(text, name)

    def expected(data: dict[str, Any]) -> None:
        copied = {**data["instances"][number]}
        assign_plain(copied, values)
        data["instances"].insert(number + 1, copied)

    if is_inline(text, "instances"):
        copied = {**data_of(text)["instances"][number]}
        assign_plain(copied, values)
        new = in_array(
            text, "instances", lambda array: array.insert(number + 1, inline_table(copied))
        )
    else:
        original = tables(text, "instances")[number]
        lines = split_lines(text)
        parts = [ended("".join(lines[part.begin : part.end])) for part in original.parts]
        copy = "\n".join(part.strip("\n") + "\n" for part in parts)
        only = tables(copy, "instances")[0]
        new = insert(text, original.end, change_table(copy, only, values))
    return checked(text, new, expected)


@or_cannot
def remove(text: str, name: str) -> str:
    """The file without an instance, and without its name in layouts and alerts; a table of these that
    names no other goes too, and the ``[[groups]]`` table of a group that has no member left."""
    number = _number_of(text, name)
    data = data_of(text)
    group = data["instances"][number].get("group")
    new = _without(text, "instances", number)
    for kind in _ARRAYS:
        for index in reversed(range(len(data.get(kind, ())))):
            named = data[kind][index].get("instances") or []
            if name not in named:
                continue
            left = [one for one in named if one != name]
            new = (
                _with(new, kind, index, {"instances": left}) if left else _without(new, kind, index)
            )
    empty = group is not None and all(
        instance.get("group") != group
        for place, instance in enumerate(data["instances"])
        if place != number
    )
    groups = [table.get("name") for table in data.get("groups", ())]
    if empty and group in groups:
        new = _without(new, "groups", groups.index(group))

    def expected(data: dict[str, Any]) -> None:
        del data["instances"][number]
        for table in _naming(data, name):
            table["instances"] = [one for one in table["instances"] if one != name]
        for kind in _ARRAYS:
            kept = [table for table in data.get(kind, ()) if table.get("instances") != []]
            data[kind] = kept
        if empty:
            data["groups"] = [g for g in data.get("groups", ()) if g.get("name") != group]

    return checked(text, new, expected)


def references(config: Config, name: str) -> tuple[str, ...]:
    """What else in the file names an instance: ``layout pair``, ``alert loud``."""
    found = [f"layout {table.name}" for table in config.layouts if name in table.instances]
    found += [f"alert {t.name}" for t in config.alerts if t.instances and name in t.instances]
    return tuple(found)


def check(text: str, file: Path) -> Config:
    """The configuration in an edited text. Raises ConfigError where it is not valid."""
    return parse(text.encode(), file)


def render(values: Values) -> str:
    """A new ``[[instances]]`` table."""
    order = InstanceConfig.__struct_encode_fields__
    main = {key: values[key] for key in sorted(values, key=order.index) if key != "targets"}
    lines = ["[[instances]]", *(f"{key} = {written(main[key])}" for key in main)]
    if targets := values.get("targets"):
        lines.append("[instances.targets]")
        lines += [f"{key} = {written(value)}" for key, value in targets.items()]
    return "\n".join(lines) + "\n"


# ── lines ────────────────────────────────────────────────────────────────────────────────────────


def _place_for_new(text: str) -> int:
    """The line before which a new instance stands: behind the last one, else at the end."""
    found = tables(text, "instances")
    return found[-1].end if found else len(split_lines(text))


def _without(text: str, kind: str, number: int) -> str:
    """The file without one table of an array of tables, its comments and one of the empty lines around."""
    if is_inline(text, kind):
        return in_array(text, kind, lambda array: array.pop(number))
    table = tables(text, kind)[number]
    lines = split_lines(text)
    spans = [Span(table.lead.begin, table.parts[0].end), *table.parts[1:]]
    for span in reversed(_joined(spans, lines)):
        blank_before = span.begin == 0 or not lines[span.begin - 1].strip()
        blank_after = span.end < len(lines) and not lines[span.end].strip()
        last = span.end >= len(lines)
        begin = span.begin - 1 if last and blank_before and span.begin > 0 else span.begin
        del lines[begin : span.end + 1 if blank_before and blank_after else span.end]
    return "".join(lines)


def _joined(spans: Sequence[Span], lines: Sequence[str]) -> list[Span]:
    """Spans with nothing but empty lines between them are one."""
    joined = [spans[0]]
    for span in spans[1:]:
        between = lines[joined[-1].end : span.begin]
        if any(line.strip() for line in between):
            joined.append(span)
        else:
            joined[-1] = Span(joined[-1].begin, span.end)
    return joined


def _with(text: str, kind: str, number: int, values: Values) -> str:
    """The file with some keys changed in one table of an array of tables."""
    if is_inline(text, kind):
        return in_array(text, kind, lambda array: assign(array[number], values))
    return change_table(text, tables(text, kind)[number], values)


def _rename(text: str, name: str, new: str) -> str:
    """The file with the new name wherever a layout or alert had the old one."""
    data = data_of(text)
    for kind in _ARRAYS:
        for number, table in enumerate(data.get(kind, ())):
            named = table.get("instances") or []
            if name in named:
                renamed = [new if one == name else one for one in named]
                text = _with(text, kind, number, {"instances": renamed})
    return text


# ── what is meant ────────────────────────────────────────────────────────────────────────────────


def _number_of(text: str, name: str) -> int:
    for number, table in enumerate(data_of(text).get("instances", ())):
        if table.get("name") == name:
            return number
    raise GputuiError(
        f'no instance is named "{clean_line(name, 80)}" in the file', "It was changed meanwhile."
    )


def _naming(data: Mapping[str, Any], name: str) -> Iterable[dict[str, Any]]:
    """The tables of layouts and alerts that name an instance."""
    for kind in _ARRAYS:
        for table in data.get(kind, ()):
            if name in (table.get("instances") or ()):
                yield table
