"""Where in the text of a TOML file its tables stand, line by line.

A table is moved, copied or taken out by its lines, so that every other line stays as it is, byte for
byte. What is within a table's lines is left to tomlkit.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two quotes before the closing three are the string's
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)


class Kind(Enum):
    """What a line is. MORE: it goes on with the value of the line before."""

    BLANK = "blank"
    COMMENT = "comment"
    HEADER = "header"
    KEY = "key"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class Span:
    """Lines ``begin`` to ``end``, without ``end``."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Table:
    """One table of an array of tables: its header and keys, and each of its sub-tables.

    ``lead`` are the comments directly above its header that an empty line sets apart from what is before
    them. ``parts[0]`` is the table itself, the rest are its sub-tables, of the dotted names in ``names``.
    """

    lead: Span
    parts: tuple[Span, ...]
    names: tuple[str, ...]

    @property
    def end(self) -> int:
        """The line behind its last one; what is put here comes after all of its sub-tables."""
        return max(part.end for part in self.parts)


def split_lines(text: str) -> list[str]:
    """The lines of a TOML file with their ends; only a line feed ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def kinds(text: str) -> list[Kind]:
    """What each line of a valid TOML file is."""
    starts_inside = _inside(text)
    return [
        Kind.MORE if number in starts_inside else _kind(line)
        for number, line in enumerate(split_lines(text))
    ]


def tables(text: str, name: str) -> list[Table]:
    """The tables that ``[[name]]`` headers begin, in the order of the file, which must be valid."""
    lines, of_line = split_lines(text), kinds(text)
    headers = [number for number, kind in enumerate(of_line) if kind is Kind.HEADER]
    found: list[tuple[list[Span], list[str]]] = []
    for begin, following in zip(headers, [*headers, len(lines)][1:], strict=True):
        path, is_array = _path(lines[begin])
        if path[0] != name:
            continue
        span = Span(begin, _end(of_line, begin, following))
        if len(path) == 1 and is_array:
            found.append(([span], [""]))
        elif found:
            found[-1][0].append(span)
            found[-1][1].append(".".join(path[1:]))
    return [
        Table(_lead(of_line, parts[0].begin), tuple(parts), tuple(names)) for parts, names in found
    ]


def _inside(text: str) -> set[int]:
    """The numbers of the lines that begin within a value: in brackets, or in a string of several lines."""
    inside: set[int] = set()
    line = depth = 0
    for part in _parts(text):
        if part == "\n":
            line += 1
            if depth > 0:
                inside.add(line)
        elif part[0] in "\"'":
            inside.update(range(line + 1, line + 1 + part.count("\n")))
            line += part.count("\n")
        elif part in "[{":
            depth += 1
        elif part in "]}":
            depth -= 1
    return inside


def _parts(text: str) -> Iterator[str]:
    return (match[0] for match in _TOKEN.finditer(text))


def _kind(line: str) -> Kind:
    content = line.strip()
    if not content:
        return Kind.BLANK
    return {"#": Kind.COMMENT, "[": Kind.HEADER}.get(content[0], Kind.KEY)


def _path(header: str) -> tuple[list[str], bool]:
    """The names in a header line, and whether it has double brackets."""
    value: object = tomllib.loads(header)
    path: list[str] = []
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        path.append(name)
    return path, isinstance(value, list)


def _end(of_line: Sequence[Kind], begin: int, following: int) -> int:
    """The end of the table whose header is line ``begin``: after its last key, and the comments that
    stand right beneath it."""
    end = begin + 1
    for number in range(begin + 1, following):
        if of_line[number] in (Kind.KEY, Kind.MORE):
            end = number + 1
    while end < following and of_line[end] is Kind.COMMENT:
        end += 1
    return end


def _lead(of_line: Sequence[Kind], header: int) -> Span:
    begin = header
    while begin > 0 and of_line[begin - 1] is Kind.COMMENT:
        begin -= 1
    apart = begin == 0 or of_line[begin - 1] is Kind.BLANK
    return Span(begin if apart else header, header)


def written(value: object) -> str:
    """A value as TOML writes it, on one line; what is None in a table is left out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, Mapping):
        pairs = [f"{key} = {written(one)}" for key, one in value.items() if one is not None]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    # JSON's strings are TOML's basic strings, but for one character that TOML wants escaped, too.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def by_tomlkit(text: str, act: Callable[[Any], object]) -> str:
    """A text changed by tomlkit. Line ends that are all alike are put back; others go through it as they
    are."""
    import tomlkit

    plain = text.replace("\r\n", "\n")
    crlf = is_crlf(text) and plain.replace("\n", "\r\n") == text
    document = tomlkit.parse(plain if crlf else text)
    act(document)
    edited = tomlkit.dumps(document)
    if text.endswith("\n"):
        edited = ended(edited)
    return edited.replace("\n", "\r\n") if crlf else edited


def ended(text: str) -> str:
    """With a line end."""
    return text if text.endswith("\n") else text + "\n"


def is_crlf(text: str) -> bool:
    """Whether any line ends as on Windows."""
    return "\r\n" in text
