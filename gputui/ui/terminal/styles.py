"""How a cell looks: select graphic rendition (SGR, ECMA-48 8.3.117) and hyperlinks (OSC 8).

Styles that look the same are one object, so that ``is`` tells whether two cells look alike. The
caches are bounded: a style that fell out of them is made again, which costs a cell sent in vain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final
from zlib import crc32

KEPT = 2048

BOLD, DIM, ITALIC, UNDERLINE, BLINK, FAST_BLINK, REVERSE, CONCEAL, STRIKE = (
    1 << bit for bit in range(9)
)
DOUBLE_UNDERLINE, FRAME, ENCIRCLE, OVERLINE = (1 << bit for bit in range(9, 13))

ON: Final = {
    "1": BOLD, "2": DIM, "3": ITALIC, "4": UNDERLINE, "5": BLINK, "6": FAST_BLINK, "7": REVERSE,
    "8": CONCEAL, "9": STRIKE, "21": DOUBLE_UNDERLINE, "51": FRAME, "52": ENCIRCLE, "53": OVERLINE,
}  # fmt: skip
OFF: Final = {
    "22": BOLD | DIM, "23": ITALIC, "24": UNDERLINE | DOUBLE_UNDERLINE, "25": BLINK | FAST_BLINK,
    "27": REVERSE, "28": CONCEAL, "29": STRIKE, "54": FRAME | ENCIRCLE, "55": OVERLINE,
}  # fmt: skip
NO_LINK = "\x1b]8;;\x1b\\"
SELDOM = FRAME | ENCIRCLE | OVERLINE
"""Attributes that many terminals know, if at all, no single way to end."""
SEEN_ON_BLANKS = UNDERLINE | DOUBLE_UNDERLINE | REVERSE | STRIKE | SELDOM


@dataclass(frozen=True, eq=False, slots=True)
class Style:
    """One look. Colours are the SGR parameters that choose them, "" for the terminal's own.

    ``link`` is the address of a hyperlink; ``extra`` holds parameters that nothing here knows, to
    be sent again as they came.
    """

    attributes: int = 0
    foreground: str = ""
    background: str = ""
    link: str = ""
    extra: str = ""


DEFAULT: Final = Style()


def style_of(attributes: int, foreground: str, background: str, link: str, extra: str) -> Style:
    """The one object of that look."""
    if not (attributes or foreground or background or link or extra):
        return DEFAULT
    return _style(attributes, foreground, background, link, extra)


@lru_cache(KEPT)
def _style(attributes: int, foreground: str, background: str, link: str, extra: str) -> Style:
    return Style(attributes, foreground, background, link, extra)


def one(style: Style) -> Style:
    """The object that stands for all styles of this look."""
    return style_of(style.attributes, style.foreground, style.background, style.link, style.extra)


@lru_cache(KEPT)
def blank(style: Style) -> Style:
    """The plainest style in which a space looks as it does in ``style``."""
    if style.attributes & SEEN_ON_BLANKS or style.extra:
        return style
    return style_of(0, "", style.background, style.link, "")


@lru_cache(KEPT)
def linked(style: Style, link: str) -> Style:
    """``style`` as part of a hyperlink, "" ends one.

    The link's id is left out: Rich draws one by lot each time it renders a link.
    """
    return one(replace(style, link=link))


def plain(style: Style) -> Style:
    """``style`` after everything but a hyperlink was reset."""
    return styled(style, "") if style.link else DEFAULT


@lru_cache(KEPT)
def styled(style: Style, parameters: str) -> Style:
    """``style`` after an SGR sequence with these parameters."""
    attributes, extra = style.attributes, style.extra
    foreground, background = style.foreground, style.background
    codes = [code.lstrip("0") for code in parameters.split(";")]
    while codes:
        code = codes.pop(0)
        if not code:
            attributes, foreground, background, extra = 0, "", "", ""
        elif code in ON:
            attributes |= ON[code]
        elif code in OFF:
            attributes &= ~OFF[code]
        elif code in ("38", "48") and (colour := _colour(code, codes)):
            foreground, background = (colour, background) if code == "38" else (foreground, colour)
        elif code in FOREGROUNDS:
            foreground = "" if code == "39" else code
        elif code in BACKGROUNDS:
            background = "" if code == "49" else code
        else:
            extra = ";".join([*filter(None, [extra]), code, *codes])
            break
    return style_of(attributes, foreground, background, style.link, extra)


FOREGROUNDS = frozenset(map(str, [*range(30, 38), 39, *range(90, 98)]))
BACKGROUNDS = frozenset(map(str, [*range(40, 48), 49, *range(100, 108)]))


def _colour(code: str, rest: list[str]) -> str:
    """The parameters of a colour, taken off ``rest``; "" where they are not well formed."""
    length = {"5": 2, "2": 4}.get(rest[0] if rest else "", 0)
    parts = rest[:length]
    if not length or len(parts) < length or any(":" in part for part in parts):
        return ""
    del rest[:length]
    return ";".join([code, *(part or "0" for part in parts)])


@lru_cache(KEPT)
def change(before: Style | None, after: Style) -> str:
    """The shortest sequence that leads from one style to another.

    From any where ``before`` is None, but that no hyperlink is ended then.
    """
    if before is after:
        return ""
    return _link_change(before, after) + _sgr_change(before, after)


def _link_change(before: Style | None, after: Style) -> str:
    if (before or DEFAULT).link == after.link:
        return ""
    # One id an address: the parts of a link that is wrapped light up together.
    identified = f"\x1b]8;id={crc32(after.link.encode()):x};{after.link}\x1b\\"
    return identified if after.link else NO_LINK


def _sgr_change(before: Style | None, after: Style) -> str:
    whole = ";".join(
        ["0", *_on(after.attributes), *filter(None, [after.foreground, after.background])]
        + ([after.extra] if after.extra else [])
    )
    parameters = [whole if whole != "0" else ""]
    if before is not None and before.extra == after.extra:
        lost = before.attributes & ~after.attributes
        if not lost & SELDOM:
            parameters.append(";".join(_difference(before, after, lost)))
            if not parameters[-1]:
                return ""
    return min((f"\x1b[{choice}m" for choice in parameters), key=len)


def _difference(before: Style, after: Style, lost: int) -> list[str]:
    """The parameters of what differs, nothing reset."""
    ended = [code for code, group in OFF.items() if group & lost]
    kept = before.attributes
    for code in ended:
        kept &= ~OFF[code]
    parameters = ended + _on(after.attributes & ~kept)
    if before.foreground != after.foreground:
        parameters.append(after.foreground or "39")
    if before.background != after.background:
        parameters.append(after.background or "49")
    return parameters


def _on(attributes: int) -> list[str]:
    return [code for code, bit in ON.items() if attributes & bit]


@lru_cache(KEPT)
def for_blanks(before: Style | None, plain: Style) -> Style:
    """The style nearest to ``before`` in which a space looks as in ``plain``."""
    if before is None or plain is not blank(plain):
        return plain
    nearest = style_of(
        before.attributes & ~SEEN_ON_BLANKS, before.foreground, plain.background, plain.link, ""
    )
    if blank(nearest) is not plain:
        return plain
    return min(nearest, plain, key=lambda style: len(change(before, style)))
