"""What a program writes to a terminal, as a stream of moves, styles, text and the rest.

Sequences are told apart as in ECMA-48 and xterm's ctlseqs; one that is cut off waits for its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

PARAMETERS, RUN, SGR, TEXT, MOVE_TO, LINK = range(1, 7)
"""Groups of a token; the last one that matched tells its kind and holds its text. RUN is a text in one
style as Rich writes it, with its SGR parameters before and a reset behind; then SGR, text without
controls, CUP (parameters), OSC 8 (the address). Above these, as they came: any other control
sequence; any other string (OSC, DCS, SOS, PM, APC); any other escape sequence; a control alone."""

_TOKEN: Final = re.compile(
    r"""
      \x1b\[([\d;]*)m([^\x00-\x1f\x7f-\x9f]+)\x1b\[0m
    | \x1b\[([\d;:]*)m
    | ([^\x00-\x1f\x7f-\x9f]+)
    | \x1b\[(\d*(?:;\d*)?)[Hf]
    | \x1b\]8;[^;\x07\x1b\x9c]*;([^\x07\x1b\x9c]*)(?:\x07|\x1b\\)
    | (\x1b\[[0-?]*[ -/]*[@-~])
    | (\x1b(?:\][^\x07\x1b\x9c]*(?:\x07|\x1b\\)|[PX^_][^\x1b\x9c]*\x1b\\))
    | (\x1b[ -/]*[0-OQ-WYZ\\`-~])
    | ([\x00-\x1f\x7f-\x9f])
    """,
    re.VERBOSE,
)
_BEGUN: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b\x9c]*\x1b?|[PX^_][^\x1b\x9c]*\x1b?|[ -/]*)\Z"
)
LONGEST = 1 << 24
"""Characters: what is longer is no sequence; a clipboard's contents is."""


class Reader:
    """Cuts a stream into tokens."""

    def __init__(self) -> None:
        self._begun = ""

    def tokens(self, data: str) -> Iterator[re.Match[str]]:
        """Every whole token, in order."""
        if self._begun:
            data, self._begun = self._begun + data, ""
        return _TOKEN.finditer(data, 0, self._whole(data))

    def _whole(self, data: str) -> int:
        """How much of ``data`` is whole; the rest, a sequence that goes on, is kept."""
        start = data.rfind("\x1b")
        if start >= 0 and start == len(data) - 1:  # perhaps the end of a string
            string = data.rfind("\x1b", 0, start)
            if string >= 0 and _BEGUN.match(data, string):
                start = string
        if start < 0 or len(data) - start > LONGEST or not _BEGUN.match(data, start):
            return len(data)
        self._begun = data[start:]
        return start
