"""Tables of the user's file changed by their lines: every other line stays as it is, byte for byte.

Each change is held against the same change of the plain data before anybody may write it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from gputui.config.toml_text import Table, by_tomlkit, is_crlf, split_lines, tables
from gputui.errors import ConfigError, GputuiError

if TYPE_CHECKING:
    from tomlkit.items import Table as TomlTable

Values = Mapping[str, Any]
"""Keys of a table with plain values, as tomllib has them; None takes the key out."""


class CannotEditError(GputuiError):
    """The file is written in a way that cannot be changed without touching more of it."""

    def __init__(self) -> None:
        super().__init__(
            "the file is written in a way that gputui cannot change without touching more of it",
            "Change it in an editor: gputui takes it over as soon as it is saved.",
        )


_Arguments = ParamSpec("_Arguments")


def or_cannot(edit: Callable[_Arguments, str]) -> Callable[_Arguments, str]:
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


def insert(text: str, line: int, table: str) -> str:
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


def change_table(text: str, table: Table, values: Values) -> str:
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
    return split_lines(by_tomlkit("".join(lines), lambda document: assign(of(document), values)))


def assign(table: TomlTable, values: Values) -> None:
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
    assign(inner, {**dict.fromkeys(inner.unwrap()), **targets})


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def inline_table(values: Values) -> Any:
    """``{ … }``, for tomlkit."""
    import tomlkit

    table = tomlkit.inline_table()
    for key, value in values.items():
        table[key] = inline_table(value) if isinstance(value, Mapping) else value
    return table


def in_array(text: str, kind: str, act: Callable[[Any], object]) -> str:
    """``kind = [{ … }]``: the array changed by tomlkit, in its own line or lines."""
    return by_tomlkit(text, lambda document: act(document[kind]))


def checked(before: str, after: str, act: Callable[[dict[str, Any]], object]) -> str:
    """``after``, if it says what ``before`` says once ``act`` has changed its data."""
    expected = data_of(before)
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


def data_of(text: str) -> dict[str, Any]:
    """What the file says. Raises ConfigError where it is not valid TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"the file is not valid TOML: {error}", "Put that right first."
        ) from error


def is_inline(text: str, kind: str) -> bool:
    """Whether the file has ``kind = [ … ]`` rather than ``[[kind]]`` tables."""
    return kind in data_of(text) and not tables(text, kind)


def assign_plain(table: dict[str, Any], values: Values) -> None:
    """Set keys of plain data, and take out those of None."""
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def present(values: Values) -> dict[str, Any]:
    """The values that a new table has."""
    return {key: value for key, value in values.items() if value not in (None, {})}
