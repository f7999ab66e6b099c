"""What a file's first bytes say of it: which kind of picture it is, and how large."""

from __future__ import annotations

import struct

PICTURES = "PNG, JPEG, GIF, WebP"
"""The kinds that are recognised, for people."""


def media_type(head: bytes) -> str | None:
    """The media type of a picture that begins so; None where it is none that servers take."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def pixels(data: bytes) -> tuple[int, int] | None:
    """Width and height as the header tells them; None where it does not, or is damaged.

    Sources: PNG specification 11.2.2 (IHDR), GIF89a section 18, ITU T.81 B.2.2 (SOF), and the WebP
    container specification with RFC 6386 9.1 (VP8) and the lossless bitstream's section 3 (VP8L).
    """
    readers = {
        "image/png": _png,
        "image/jpeg": _jpeg,
        "image/gif": _gif,
        "image/webp": _webp,
    }
    reader = readers.get(media_type(data) or "")
    try:
        found = reader(data) if reader else None
    except (struct.error, IndexError):
        return None
    return found if found and found[0] and found[1] else None


def _png(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """The first frame header: SOF0 to SOF15, without the tables that have codes among them."""
    at = 2
    while data[at] == 0xFF:
        code = data[at + 1]
        if code == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + length
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        sides = [int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27)]
        return (sides[0], sides[1]) if len(data) >= 30 else None
    return None
