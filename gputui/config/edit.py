"""Changing ``[[instances]]`` tables in the user's file: every other line stays as it is, byte for byte.

Each change is held against the same change of the plain data before anybody may write it. Both ways of
writing tables are understood: ``[[instances]]``, and ``instances = [{ … }]``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from gputui.config.load import parse
from gputui.config.tables import Config, InstanceConfig
from gputui.config.toml_text import (
    Span,
    Table,
    by_tomlkit,
    ended,
    is_crlf,
    split_lines,
    tables,
    written,
)
from gputui.errors import ConfigError, GputuiError
from gputui.text import clean_line

if TYPE_CHECKING:
    from tomlkit.items import Table as TomlTable

Values = Mapping[str, Any]
"""Keys of a table with plain values, as tomllib has them; None takes the key out."""

HEADER = (
    "# gputui. Every key with its meaning: gputui init. Check this file with: gputui config check\n"
)
"""What a file begins with that is made by adding the first instance."""

_ARRAYS = ("layouts", "alerts")
"""The tables whose ``instances`` name instances."""


class CannotEditError(GputuiError):
    """The file is written in a way that cannot be changed without touching more of it."""

    def __init__(self) -> None:
        super().__init__(
            "the file is written in a way that gputui cannot change without touching more of it",
            "Change it in an editor: gputui takes it over as soon as it is saved.",
        )


_Arguments = ParamSpec("_Arguments")


def _or_cannot(edit: Callable[_Arguments, str]) -> Callable[_Arguments, str]:
    """``edit``, for which a text that tomlkit, or we, cannot work on is a CannotEditError."""

    @wraps(edit)
    def edited(*args: _Arguments.args, **named: _Arguments.kwargs) -> str:
        try:
            return edit(*args, **named)
        except GputuiError:
            raise
        except Exception as error:
            raise CannotEditError from error

    return edited


@_or_cannot
def add(text: str, values: Values) -> str:
    """The file with one more instance, after the last."""
    values = _present(values)
    if _inline(text, "instances"):
        new = _in_array(text, "instances", lambda array: array.append(_inline_table(values)))
    else:
        new = _insert(text, _place_for_new(text), render(values))
    return _checked(text, new, lambda data: data.setdefault("instances", []).append(dict(values)))


@_or_cannot
def change(text: str, name: str, values: Values) -> str:
    """The file with some keys of an instance changed. A new name is changed wherever it is named."""
    number = _number_of(text, name)
    if _inline(text, "instances"):
        new = _in_array(text, "instances", lambda array: _assign(array[number], values))
    else:
        new = _change_table(text, tables(text, "instances")[number], values)
    renamed = values.get("name", name)
    if renamed != name:
        new = _rename(new, name, str(renamed))

    def expected(data: dict[str, Any]) -> None:
        _assign_plain(data["instances"][number], values)
        for table in _naming(data, name) if renamed != name else ():
            table["instances"] = [renamed if n == name else n for n in table["instances"]]

    return _checked(text, new, expected)


@_or_cannot
def duplicate(text: str, name: str, values: Values) -> str:
    """The file with a copy of an instance behind it, in which ``values`` differ (a new name for one)."""
    number = _number_of(text, name)

    def expected(data: dict[str, Any]) -> None:
        copied = {**data["instances"][number]}
        _assign_plain(copied, values)
        data["instances"].insert(number + 1, copied)

    if _inline(text, "instances"):
        copied = {**_data(text)["instances"][number]}
        _assign_plain(copied, values)
        new = _in_array(
            text, "instances", lambda array: array.insert(number + 1, _inline_table(copied))
        )
    else:
        original = tables(text, "instances")[number]
        lines = split_lines(text)
        parts = [ended("".join(lines[part.begin : part.end])) for part in original.parts]
        copy = "\n".join(part.strip("\n") + "\n" for part in parts)
        only = tables(copy, "instances")[0]
        new = _insert(text, original.end, _change_table(copy, only, values))
    return _checked(text, new, expected)


@_or_cannot
def remove(text: str, name: str) -> str:
    """The file without an instance, and without its name in layouts and alerts; a table of these that
    names no other goes too, and the ``[[groups]]`` table of a group that has no member left."""
    number = _number_of(text, name)
    data = _data(text)
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

    return _checked(text, new, expected)


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


def _insert(text: str, line: int, table: str) -> str:
    """``table`` before that line, with an empty line on each side, in the file's own line ends."""
    lines = split_lines(text)
    before, after = lines[:line], lines[line:]
    end = "\r\n" if is_crlf(text) else "\n"
    if before and not before[-1].endswith("\n"):
        before[-1] += end
    gap_before = "\n" if before and before[-1].strip() else ""
    gap_after = "\n" if after and after[0].strip() else ""
    new = (gap_before + table + gap_after).replace("\r\n", "\n").replace("\n", end)
    return "".join(before) + new + "".join(after)


def _without(text: str, kind: str, number: int) -> str:
    """The file without one table of an array of tables, its comments and one of the empty lines around."""
    if _inline(text, kind):
        return _in_array(text, kind, lambda array: array.pop(number))
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
    if _inline(text, kind):
        return _in_array(text, kind, lambda array: _assign(array[number], values))
    return _change_table(text, tables(text, kind)[number], values)


def _rename(text: str, name: str, new: str) -> str:
    """The file with the new name wherever a layout or alert had the old one."""
    data = _data(text)
    for kind in _ARRAYS:
        for number, table in enumerate(data.get(kind, ())):
            named = table.get("instances") or []
            if name in named:
                renamed = [new if one == name else one for one in named]
                text = _with(text, kind, number, {"instances": renamed})
    return text


# ── within a table ───────────────────────────────────────────────────────────────────────────────


def _change_table(text: str, table: Table, values: Values) -> str:
    """The lines of one table changed, and only those."""
    lines = split_lines(text)
    values = dict(values)
    if "targets" in values and "targets" in table.names:
        span = table.parts[table.names.index("targets")]
        targets = values.pop("targets") or {}
        had = tomllib.loads("".join(lines[span.begin : span.end]))["instances"]["targets"]
        inner = {**dict.fromkeys(had), **targets}
        # From the end: the lines before keep their numbers.
        lines[span.begin : span.end] = _edited(
            lines[span.begin : span.end], inner, lambda doc: doc["instances"]["targets"]
        )
    span = table.parts[0]
    lines[span.begin : span.end] = _edited(
        lines[span.begin : span.end], values, lambda doc: next(iter(doc.values()))[0]
    )
    return "".join(lines)


def _edited(lines: Sequence[str], values: Values, of: Callable[[Any], Any]) -> list[str]:
    """Lines of one table, with ``values`` in it; ``of`` finds the table in tomlkit's document."""
    return split_lines(by_tomlkit("".join(lines), lambda document: _assign(of(document), values)))


def _assign(table: TomlTable, values: Values) -> None:
    """Set and take out keys; a key that has its value already is left as it is written."""
    plain = table.unwrap()
    for key, value in values.items():
        if value is None:
            if key in table:
                table.remove(key)
        elif key == "targets":
            _assign_targets(table, value)
        elif key not in plain or not _same(plain[key], value):
            table[key] = value


def _assign_targets(table: TomlTable, targets: Values) -> None:
    """``targets`` within the table: as it is written there, dotted or inline, else inline."""
    import tomlkit

    if "targets" not in table:
        if not targets:
            return
        table["targets"] = tomlkit.inline_table()
    inner = table["targets"]
    _assign(inner, {**dict.fromkeys(inner.unwrap()), **targets})


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _inline_table(values: Values) -> Any:
    import tomlkit

    table = tomlkit.inline_table()
    for key, value in values.items():
        table[key] = _inline_table(value) if isinstance(value, Mapping) else value
    return table


def _in_array(text: str, kind: str, act: Callable[[Any], object]) -> str:
    """``kind = [{ … }]``: the array changed by tomlkit, in its own line or lines."""
    return by_tomlkit(text, lambda document: act(document[kind]))


# ── what is meant ────────────────────────────────────────────────────────────────────────────────


def _checked(before: str, after: str, act: Callable[[dict[str, Any]], object]) -> str:
    """``after``, if it says what ``before`` says once ``act`` has changed its data."""
    expected = _data(before)
    act(expected)
    try:
        got = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        got = {}
    if _without_empty(got) != _without_empty(expected):
        raise CannotEditError
    return after


def _without_empty(data: Mapping[str, Any]) -> dict[str, Any]:
    """An array of tables without a table is as none, and so are targets without a target."""
    instances = [
        {key: value for key, value in instance.items() if (key, value) != ("targets", {})}
        for instance in data.get("instances", ())
    ]
    return {key: value for key, value in {**data, "instances": instances}.items() if value != []}


def _data(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"the file is not valid TOML: {error}", "Put that right first."
        ) from error


def _number_of(text: str, name: str) -> int:
    for number, table in enumerate(_data(text).get("instances", ())):
        if table.get("name") == name:
            return number
    raise GputuiError(
        f'no instance is named "{clean_line(name, 80)}" in the file', "It was changed meanwhile."
    )


def _inline(text: str, kind: str) -> bool:
    """Whether the file has ``kind = [ … ]`` rather than ``[[kind]]`` tables."""
    return kind in _data(text) and not tables(text, kind)


def _naming(data: Mapping[str, Any], name: str) -> Iterable[dict[str, Any]]:
    """The tables of layouts and alerts that name an instance."""
    for kind in _ARRAYS:
        for table in data.get(kind, ()):
            if name in (table.get("instances") or ()):
                yield table


def _assign_plain(table: dict[str, Any], values: Values) -> None:
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def _present(values: Values) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, {})}
