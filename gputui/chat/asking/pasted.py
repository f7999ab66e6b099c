"""Paths in what was pasted: terminals hand over a dropped file as its path, in many spellings."""

from __future__ import annotations

import shlex
from urllib.parse import unquote, urlsplit

MOST_LINES = 16
_MOST_CHARACTERS = 4096
"""Of one path: PATH_MAX."""

Reading = tuple[str, ...]
"""Paths that a text may mean, in their order."""


def readings(text: str) -> tuple[Reading, ...]:
    """What a text can mean where it consists of paths alone, likeliest first; () where it cannot.

    A path holds a slash. Each line is one, as it stands or as ``file://``; or it is words as a shell
    reads them: in quotes, with blanks behind a backslash, several on a line.
    """
    lines = [line.strip() for line in text.strip().split("\n") if line.strip()]
    if not 0 < len(lines) <= MOST_LINES or len(text) > MOST_LINES * _MOST_CHARACTERS:
        return ()
    literal = tuple(_of_uri(line) for line in lines)
    found = [literal, tuple(_of_uri(word) for line in lines for word in _words(line))]
    return tuple(one for one in dict.fromkeys(found) if _are_paths(one))


def _are_paths(reading: Reading) -> bool:
    return 0 < len(reading) <= MOST_LINES and all(
        "/" in path and "\0" not in path and len(path) <= _MOST_CHARACTERS for path in reading
    )


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an open quote
        return [""]


def _of_uri(text: str) -> str:
    """The path of a ``file:`` URI on this host; any other text as it is."""
    if not text.startswith("file://"):
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return unquote(parts.path) if parts.netloc in ("", "localhost") else ""
