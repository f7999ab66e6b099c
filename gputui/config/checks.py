"""What is wrong with a configuration, in the file's own terms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from gputui.config.tables import OWNED_FLAGS, Config, flag_name
from gputui.errors import ConfigError
from gputui.text import clean_line, nearest


@cache
def _subtables(table: type[Struct]) -> dict[str, type[Struct]]:
    """The keys of a table that hold tables themselves, one or a list of them."""
    hints = get_type_hints(table)
    found: dict[str, type[Struct]] = {}
    for key, name in zip(table.__struct_encode_fields__, table.__struct_fields__, strict=True):
        for kind in (hints[name], *get_args(hints[name])):
            if isinstance(kind, type) and issubclass(kind, Struct):
                found[key] = kind
    return found


def check_keys(data: dict[str, Any], table: type[Struct], where: str, file: Path) -> None:
    """An unknown key is found here rather than by msgspec, which names neither value nor nearest."""
    known = table.__struct_encode_fields__
    for key, value in data.items():
        if key not in known:
            near = nearest(key, known)
            raise ConfigError(
                f'{file}: {where or "top level"}: unknown key "{clean_line(key)}" = {_show(value)}',
                f'Did you mean "{near}"?' if near else f"Known keys: {', '.join(known)}.",
            )
        for name, inner in _tables_in(key, value, where) if key in _subtables(table) else ():
            check_keys(inner, _subtables(table)[key], name, file)


def _tables_in(key: str, value: object, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The table or tables that a key holds, each with its name in the file."""
    if isinstance(value, dict):
        yield f"{where} {key}" if where else f"[{key}]", value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if isinstance(item, dict):
                yield _table_name(key, number, item), item


def _table_name(key: str, number: int, item: object) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return f"[[{key}]] {clean_line(name) if isinstance(name, str) else f'number {number + 1}'}"


def explain(error: str, data: dict[str, Any], file: Path) -> str:
    """msgspec's "Expected `int`, got `str` - at `$.instances[0].port`" in the file's own terms."""
    what, _, path = error.partition(" - at `$")
    what = "not allowed here" if "matching regex" in what else what  # the hint says it in words
    value: Any = data
    where, key = "top level", ""
    for field, index in re.findall(r"\.([A-Za-z_]+)|\[(\d+|\.\.\.)\]", path):
        if field:
            key = field
            value = value.get(field) if isinstance(value, dict) else None
            if isinstance(value, dict):
                where = f"[{field}]" if where == "top level" else f"{where} {field}"
        elif isinstance(value, list) and index.isdecimal():
            value = value[int(index)]
            if isinstance(value, dict):
                where, key = _table_name(key, int(index), value), ""
    shown = f" = {_show(value)}" if key else ""
    return f"{file}: {where}: {key}{shown}: {what[:1].lower()}{what[1:]}".replace(": : ", ": ")


def expectation(error: str) -> str:
    """What to write instead, where msgspec's own words do not say it."""
    if "Invalid enum value" in error:
        field = error.rsplit(".", 1)[-1].rstrip("`")
        words = list(_words_of(field))
        near = nearest(error.split("'")[1], words)
        known = f"Known: {', '.join(words)}."
        return f'Did you mean "{near}"? {known}' if near else known
    hints = {
        "A-Za-z0-9._-": "Use letters, digits, dot, dash and underscore.",
        "^[1-9]": "Use one digit, 1 to 9.",
        "https?": "A URL begins with http:// or https:// and has no space in it.",
        "x00-": "Take out the control character.",
        "missing required": "Add it.",
        "(s|m|h|d)": 'Use seconds, or a number with a unit: "90s", "10m", "2h".',
        "[0-5][0-9]": 'Use a time of day: "22:30".',
        "{1,4}": 'Use numbers and ranges of CPUs: "0-15,32-47".',
    }
    return next((hint for part, hint in hints.items() if part in error), "")


def _words_of(field: str) -> Iterable[str]:
    """The words that the field of that name takes, in whichever table has it."""
    for table in (Config, *_subtables(Config).values()):
        hint = get_type_hints(table, include_extras=True).get(field)
        for option in (hint, *get_args(hint)):
            if get_origin(option) is Literal:
                yield from get_args(option)


def _show(value: object) -> str:
    return clean_line(msgspec.json.encode(value, enc_hook=str).decode(), 60)


def check_unique(config: Config, file: Path) -> None:
    """Names are used as file names and as a chat side's choice; a key starts one instance."""
    names: dict[str, str] = {}
    for kind, tables in (("instances", config.instances), ("endpoints", config.endpoints)):
        for table in tables:
            where = f"[[{kind}]] {table.name}"
            if table.name.lower() in names:
                raise ConfigError(
                    f'{file}: {where}: name = "{table.name}" is taken by {names[table.name.lower()]}',
                    "Every instance and endpoint needs a name of its own.",
                )
            names[table.name.lower()] = where
    _check_alert_names(config, file)
    keys: dict[str, str] = {}
    for instance in config.instances:
        if instance.key is None:
            continue
        if instance.key in keys:
            free = next((digit for digit in "123456789" if digit not in keys), None)
            raise ConfigError(
                f'{file}: [[instances]] {instance.name}: key = "{instance.key}" is taken by '
                f"[[instances]] {keys[instance.key]}",
                f'Free: "{free}".' if free else "All nine are taken; leave key out.",
            )
        keys[instance.key] = instance.name


def _check_alert_names(config: Config, file: Path) -> None:
    """A rule is changed or defined once."""
    seen: set[str] = set()
    for alert in config.alerts:
        if alert.name in seen:
            raise ConfigError(
                f'{file}: [[alerts]] {alert.name}: name = "{alert.name}" stands there twice',
                "Every rule needs a name of its own.",
            )
        seen.add(alert.name)


def check_args(config: Config, file: Path) -> None:
    """What gputui sets itself, and keys in the clear, do not belong into ``args``."""
    for instance in config.instances:
        for arg in instance.args:
            written = arg.partition("=")[0]
            flag = flag_name(arg)
            if flag in OWNED_FLAGS:
                field = OWNED_FLAGS[flag]
                raise ConfigError(
                    f'{file}: [[instances]] {instance.name}: args has "{written}", which gputui sets',
                    f"Use the field {field} instead." if field else "Leave it out.",
                )
            if flag in ("--api-key", "--hf-token", "-hft"):
                raise ConfigError(
                    f'{file}: [[instances]] {instance.name}: args has "{written}": '
                    "a key on a command line is seen by every user of the machine",
                    "Use --api-key-file." if flag == "--api-key" else "Use the variable HF_TOKEN.",
                )
