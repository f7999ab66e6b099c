"""Cleaning text from elsewhere; numbers and units as people read them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

UNKNOWN = "–"
"""What a panel shows for a value that is not known."""

# Whole escape sequences go first, so that their printable remains ("[31m") go with them.
# No pattern can run over a line's end: an unterminated one costs the rest of its line at most.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor moves, modes
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, …
    r"|\x1b[ -/]*[0-~]"  # two-character sequences
)
_BACKTICKS = re.compile("`+")
_DELETED = {
    *range(0x09),  # C0 but tab and line feed
    *range(0x0B, 0x20),
    *range(0x7F, 0xA0),  # DEL and C1
    0x061C,  # bidi marks, embeddings, overrides and isolates
    *range(0x200E, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    0x200B,  # characters without width that only hide or shift text
    0x00AD,
    *range(0x2060, 0x2066),
    *range(0x206A, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xD800, 0xE000),  # lone surrogates: no terminal can print them
    *range(0xE0000, 0xE0080),  # tag characters
}
_TABLE: dict[int, str | None] = dict.fromkeys(_DELETED) | {0x2028: "\n", 0x2029: "\n"}


def clean(text: str) -> str:
    """``text`` from elsewhere, made safe to show: the boundary every foreign string passes.

    Removes escape sequences, control characters (but line feed and tab), bidi overrides and
    invisible characters; turns other line ends into line feeds. What remains can neither move the
    cursor, nor set the clipboard, nor reorder a line. It can still hold markup: never parse it.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ESCAPES.sub("", text).translate(_TABLE)


def clean_line(text: str, limit: int = 500) -> str:
    """``text`` cleaned and on one line, at most ``limit`` characters (an ellipsis ends a cut)."""
    line = " ".join(clean(text[: limit * 8]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def fence(text: str) -> str:
    """Backticks between which ``text`` is a block of code in Markdown that nothing in it can end."""
    return "`" * max(3, longest_run(text) + 1)


def longest_run(text: str) -> int:
    """The most backticks that stand together in ``text``."""
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def error_words(error: BaseException, limit: int = 500) -> str:
    """An error that nobody expected, cleaned and on one line: ``KeyError: 'power'``."""
    return clean_line(f"{type(error).__name__}: {error}", limit)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known word most like ``word``, or None when none is near; ``cutoff``: how near it has to be, 0
    to 1 (difflib's ratio)."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def gibibytes(value: float | None, digits: int = 1) -> str:
    """Bytes as GiB without the unit: ``54.0``."""
    return UNKNOWN if value is None else f"{value / 2**30:.{digits}f}"


def size(value: float | None) -> str:
    """Bytes with a binary unit: ``512 B``, ``92.1 MiB``, ``61.2 GiB``."""
    if value is None:
        return UNKNOWN
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def number(value: float | None, digits: int = 0) -> str:
    """A plain number with a fixed count of digits after the point."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def tokens_per_joule(value: float | None) -> str:
    """Three digits that count: ``0.031``, ``1.24``, ``12.4``."""
    if value is None:
        return UNKNOWN
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """A short time: ``45 ms`` below a tenth of a second, else ``0.9 s``, ``12 s``."""
    if value is None:
        return UNKNOWN
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def duration(value: float) -> str:
    """A length of time as it was configured: ``30 s``, ``10 min``, ``2 h``."""
    for length, unit in ((3600, "h"), (60, "min")):
        if value >= length and value % length == 0:
            return f"{value / length:.0f} {unit}"
    return f"{value:g} s"


def uptime(value: float | None) -> str:
    """A long time: ``07 s``-less clock form ``04:11``, ``2:04:11``, ``3 d 04:11``."""
    if value is None:
        return UNKNOWN
    total = max(0, int(value))
    days, rest = divmod(total, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes:02}:{secs:02}"


def sentences(*parts: str) -> str:
    """Parts of a message one after the other, each with an end."""
    ended = [part if part[-1] in ".!?:" else f"{part}." for part in parts if part]
    return " ".join(ended)
