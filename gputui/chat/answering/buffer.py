"""An answer's text as it grows: cleaned piece by piece, though a piece can end anywhere."""

from __future__ import annotations

import re

from gputui.text import clean

_MAX_HELD = 4096
_HELD = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*\Z"  # a control sequence without its last character
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*\x1b?\Z"
    r"|\x1b[ -/]*\Z"
    r"|\r\Z"  # a line feed may follow
    r"|[\ud800-\udbff]\Z"  # the first half of a character outside the basic plane
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class TextBuffer:
    """Foreign text appended in pieces; ``text`` is what gputui.text.clean makes of the whole.

    An escape sequence cut by the end of a piece waits for its rest (at most 4096 characters of it),
    so neither the sequence nor its printable remains are ever seen. Halves of a character are joined;
    a lone one becomes U+FFFD.
    """

    __slots__ = ("_held", "_new", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._new: list[str] = []
        self._held = ""

    def append(self, piece: str) -> None:
        """Add a piece as it came."""
        if not self._held and piece.isascii() and piece.isprintable():
            self._new.append(piece)
            return
        piece = self._held + piece
        end = _unfinished(piece)
        if len(piece) - end > _MAX_HELD:
            end = len(piece)
        self._held = piece[end:]
        self._new.append(clean(_paired(piece[:end])))

    def close(self) -> None:
        """No more comes: what waited is cleaned as it is."""
        self._new.append(clean(_paired(self._held)))
        self._held = ""

    @property
    def text(self) -> str:
        """Everything so far."""
        if self._new:
            self._text += "".join(self._new)
            self._new.clear()
        return self._text


def _unfinished(text: str) -> int:
    """Where the sequence begins that the end of ``text`` cuts; its length where none does.

    No sequence runs over what ends one, nor over an escape that is not its last character: looked
    for from there on only, since each introducer before would scan the same text to its end.
    """
    start = max(text.rfind(end) for end in "\n\x07\x9c") + 1
    escape = text.rfind("\x1b", start, len(text) - 1)
    cut = _HELD.search(text, escape if escape >= 0 else start)
    return cut.start() if cut else len(text)


def _paired(text: str) -> str:
    """Two halves of one character, sent as two escapes, as that character."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
