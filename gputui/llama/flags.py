"""The flags that a llama-server binary knows, by its own ``--help``, and arguments held against them."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from gputui import config as configuration
from gputui.errors import GputuiError
from gputui.files import write_file
from gputui.llama.binary import cache_key, clean_environment
from gputui.text import clean, clean_line, nearest

_HELP_SECONDS = 10.0
_MOST_BYTES = 2**20
_FEWEST = 20  # a help with fewer flags is none that is understood
_NAME = r"-{1,2}[A-Za-z][\w.-]*"
_HEADER = re.compile(rf"^({_NAME}(?:,\s*{_NAME})*)(?: (\S.*))?$")
_CHOICES = re.compile(r"^(?:\[([^\[\]]+)\]|\{([^{}]+)\}|<([^<>]*\|[^<>]*)>)$")
_WORD = re.compile(r"^[A-Za-z0-9_.-]+$")


class Flag(Struct, frozen=True):
    """One flag with all of its names. ``value`` is what the help calls its value, "" for none.

    ``allowed`` are the values it takes, () where that is not said. ``variable`` is the environment's name
    for it. ``removed``: the binary knows the name, and refuses it.
    """

    names: tuple[str, ...]
    value: str = ""
    allowed: tuple[str, ...] = ()
    variable: str = ""
    removed: bool = False

    @property
    def values(self) -> int:
        """How many arguments follow it: two for ``START END``."""
        if not self.value:
            return 0
        return 2 if re.fullmatch(r"[A-Z]+ [A-Z]+", self.value) else 1


class Flags(Struct, frozen=True):
    """All flags of one binary; () where its help is not understood."""

    flags: tuple[Flag, ...] = ()

    def find(self, name: str) -> Flag | None:
        """The flag of that name; as llama.cpp does, ``--ctx_size`` is taken for ``--ctx-size``."""
        plain = name.replace("_", "-") if name.startswith("--") else name
        return next(
            (flag for flag in self.flags if name in flag.names or plain in flag.names), None
        )


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is wrong with an argument, and what to do."""

    message: str
    hint: str = ""


def parse_help(text: str) -> tuple[Flag, ...]:
    """The flags in the output of ``--help``; what has another form is left out."""
    return tuple(
        flag
        for header, description in _entries(clean(text))
        if (flag := _flag(header, description)) is not None
    )


def check_arguments(flags: Flags, arguments: Sequence[str]) -> tuple[Doubt, ...]:
    """What the binary would refuse in ``args``; () where its flags are not known."""
    if not flags.flags:
        return ()
    doubts: list[Doubt] = []
    place = 0
    while place < len(arguments):
        argument = arguments[place]
        flag = flags.find(argument)
        if flag is None:
            doubts.append(_unknown(flags, argument))
            place += 1
            if argument.startswith("-"):  # what follows may well be its value
                place += bool(arguments[place:]) and not arguments[place].startswith("-")
            continue
        values = arguments[place + 1 : place + 1 + flag.values]
        doubts += _doubts_of(flags, argument, flag, values)
        taken = len(values) if not values or flags.find(values[0]) is None else 0
        place += 1 + taken
    return tuple(doubts)


_known: dict[str, Flags] = {}


def flags_of(binary: Path) -> Flags:
    """The flags of ``binary``, asked once and kept in the cache directory. Blocks for 0.1 s the first time.

    Raises GputuiError where the binary does not run.
    """
    key = cache_key(binary, {"": "--help"})
    if key not in _known:
        file = configuration.cache_dir() / "binaries" / f"{key}-flags.json"
        found = _read_cache(file)
        if found is None:
            flags = parse_help(_ask(binary))
            found = Flags(flags if len(flags) >= _FEWEST else ())
            if found.flags:
                with contextlib.suppress(GputuiError):  # it is asked again next time
                    write_file(file, msgspec.json.encode(found))
        _known[key] = found
    return _known[key]


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """The head line of each flag, and the lines beneath it as one."""
    header, below = "", [""]
    for line in text.splitlines():
        if line.startswith("-") and not line.startswith("---"):
            if header:
                yield header, " ".join(below)
            header, below = line, []
        elif line.startswith(" "):
            below.append(line.strip())
    if header:
        yield header, " ".join(below)


def _flag(line: str, description: str) -> Flag | None:
    """``-c,    --ctx-size N      size of the context`` and what stands beneath."""
    # Names are set apart by a comma and blanks; the first other two blanks end the head.
    head, _, first = re.sub(r",\s+(?=-)", ", ", line).partition("  ")
    match = _HEADER.match(head.rstrip())
    if match is None:
        return None
    words = f"{first.strip()} {description}"
    variable = re.search(r"\(env: ([A-Z0-9_]+)\)", words)
    return Flag(
        names=tuple(re.findall(_NAME, match[1])),
        value=clean_line(match[2] or "", 120),
        allowed=_allowed(match[2] or "", words),
        variable=variable[1] if variable else "",
        removed="argument has been removed" in words,
    )


def _allowed(value: str, words: str) -> tuple[str, ...]:
    choices = _CHOICES.match(value)
    if choices:
        inner = next(group for group in choices.groups() if group)
        parts = [part.strip() for part in re.split(r"[|,]", inner)]
    else:
        said = re.search(r"allowed values: ([\w., -]+?)(?: \(|$)", words)
        parts = [part.strip() for part in said[1].split(",")] if said else []
    return tuple(parts) if len(parts) > 1 and all(_WORD.match(part) for part in parts) else ()


def _unknown(flags: Flags, argument: str) -> Doubt:
    shown = clean_line(argument, 60)
    if not argument.startswith("-"):
        return Doubt(
            f'"{shown}" belongs to no flag',
            "A flag and its value are two arguments, in this order.",
        )
    name, equals, _ = argument.partition("=")
    if equals and flags.find(name):
        return Doubt(
            f'"{shown}": llama-server takes no "="',
            f'Write it as two: "{clean_line(name)}", and its value.',
        )
    near = nearest(name, [name for flag in flags.flags for name in flag.names])
    return Doubt(
        f'"{shown}" is no flag of this llama-server', f'Did you mean "{near}"?' if near else ""
    )


def _doubts_of(flags: Flags, name: str, flag: Flag, values: Sequence[str]) -> Iterator[Doubt]:
    shown = clean_line(name, 60)
    if flag.removed:
        yield Doubt(f"{shown} was removed from this llama-server", "Its --help names what is new.")
    elif len(values) < flag.values or (values and flags.find(values[0]) is not None):
        yield Doubt(f"{shown} needs a value: {flag.value}")
    elif flag.allowed and flag.values == 1 and values[0] not in flag.allowed:
        near = nearest(values[0], flag.allowed)
        known = f"Allowed: {', '.join(flag.allowed)}."
        yield Doubt(
            f'{shown} does not take "{clean_line(values[0], 60)}"',
            f'Did you mean "{near}"? {known}' if near else known,
        )


def _read_cache(file: Path) -> Flags | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Flags)
    except (OSError, msgspec.DecodeError):
        return None


def _ask(binary: Path) -> str:
    """What ``--help`` prints, as far as it is bounded in size and time."""
    environment: Mapping[str, str] = clean_environment(os.environ)
    try:
        child = subprocess.Popen(
            [str(binary), "--help"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise GputuiError(f"{binary}: cannot be run: {error.strerror}") from error
    with child:
        end = threading.Timer(_HELP_SECONDS, child.kill)
        end.start()
        try:
            assert child.stdout is not None  # noqa: S101 - it is a pipe
            return child.stdout.read(_MOST_BYTES).decode(errors="replace")
        finally:
            end.cancel()
            child.kill()
