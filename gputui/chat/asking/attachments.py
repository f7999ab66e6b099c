"""Files that go with a prompt: read, judged, and put into the message."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gputui.chat.asking.pictures import PICTURES, media_type, pixels
from gputui.chat.asking.reading import opened, path_of
from gputui.chat.model import Attachment, Endpoint, Message, Turn
from gputui.errors import GputuiError
from gputui.text import clean_line, fence, size

TEXT_BYTES = 64 << 10
PICTURE_BYTES = 8 << 20
MOST_PICTURES = 4
MOST_TEXTS = 16
_HEAD_BYTES = 4096
_UNREADABLE_SHARE = 0.3
"""A text of which more cannot be read is of no use to a model, nor to the user."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = {*range(0x20), 0x7F} - {*b"\t\n\r\f\b\x1b"}
"""Bytes that no text has; an escape is in many a log."""


class PictureError(GputuiError):
    """A picture that cannot be attached."""


@dataclass(frozen=True, slots=True)
class Attached:
    """An attachment with what people are told of it: ``pixels``, and a ``note`` where it was changed."""

    attachment: Attachment
    pixels: tuple[int, int] | None = None
    note: str = ""

    @property
    def words(self) -> str:
        """``cat.png 45.1 KiB 640×480``."""
        sides = f" {self.pixels[0]}×{self.pixels[1]}" if self.pixels else ""
        return f"{attachment_words(self.attachment)}{sides}"


def attachment_words(attachment: Attachment) -> str:
    """``cat.png 45.1 KiB``; the name alone where its data were not read."""
    data = attachment.data
    return f"{attachment.name} {size(len(data))}" if data else attachment.name


def asked_words(turn: Turn) -> str:
    """A turn's prompt with the names of what went with it, for people."""
    return "\n".join([turn.prompt, *(f"+ {attachment_words(one)}" for one in turn.attachments)])


def read_attachment(text: str, limit: int = TEXT_BYTES) -> Attached:
    """The picture or text at a path as a person wrote it; blocks. ``limit``: the most bytes of a text.

    Raises GputuiError, in words, for all that cannot be attached.
    """
    path = path_of(text)
    with opened(path) as file:
        return _read(path, file, limit)


def check_number(attachments: Iterable[Attachment]) -> None:
    """Raises GputuiError where they are more than go with one prompt."""
    kinds = [one.is_image for one in attachments]
    if kinds.count(True) > MOST_PICTURES:
        raise PictureError(f"More than {MOST_PICTURES} pictures", "Take one off first.")
    if kinds.count(False) > MOST_TEXTS:
        raise GputuiError(f"More than {MOST_TEXTS} text files", "Take one off first.")


def check_sight(
    endpoint: Endpoint, attachments: Iterable[Attachment], *, named: bool = True
) -> None:
    """Raises GputuiError where there are pictures among them, and the endpoint takes none for sure.

    Not ``named``: nothing that is said tells which one it is.
    """
    if endpoint.sees is False and any(one.is_image for one in attachments):
        who = f"{endpoint.name} takes no pictures: start it with mmproj"
        raise GputuiError(
            who if named else "Not all who are asked take pictures",
            "Or send the prompt without the picture.",
        )


def user_message(
    prompt: str, attachments: Sequence[Attachment], *, sees: bool | None = None
) -> Message:
    """A prompt with its attachments: texts before it, each under its name; pictures beside it.

    For a model that sees nothing for sure, the pictures of turns before are named instead, and so are those
    whose data are not here.
    """
    if not attachments:  # as in nearly all of thousands of turns
        return Message("user", prompt)
    parts = [_fenced(one) for one in attachments if not one.is_image]
    images = tuple(one for one in attachments if one.is_image)
    seen = tuple(one for one in images if one.data and sees is not False)
    parts += [f"(a picture that you cannot see: {one.name})" for one in images if one not in seen]
    return Message("user", "\n\n".join([*parts, prompt]), seen)


def _fenced(attachment: Attachment) -> str:
    """A text between fences that nothing in it can end."""
    text = attachment.data.decode(errors="replace").rstrip("\n")
    marks = fence(text)
    return f"{attachment.name}:\n{marks}\n{text}\n{marks}"


def _read(path: Path, file: BinaryIO, limit: int) -> Attached:
    name = clean_line(path.name, 80) or "file"
    total = os.fstat(file.fileno()).st_size
    head = file.read(_HEAD_BYTES)
    if not head:
        raise GputuiError(f"{name} is empty", "There is nothing to attach.")
    kind = media_type(head)
    if kind is not None:
        data = head + file.read(PICTURE_BYTES + 1 - len(head))
        if len(data) > PICTURE_BYTES:
            raise PictureError(
                _too_large(name, total, "a picture", PICTURE_BYTES), "Scale it down."
            )
        return Attached(Attachment(name, kind, data), pixels(data))
    if _is_binary(head):
        raise _neither(name, total)
    data = head + file.read(max(0, limit + 1 - len(head)))
    if len(data) > limit:
        raise GputuiError(_too_large(name, total, "a text", limit), "Attach the part that matters.")
    return _text(name, data)


def _neither(name: str, total: int) -> GputuiError:
    return GputuiError(
        f"{name} ({size(total)}) is neither text nor a picture ({PICTURES})",
        "Attach what it says as text, or what it shows as a picture.",
    )


def _too_large(name: str, total: int, what: str, limit: int) -> str:
    return f"{name} has {size(total)}, and {what} may have {size(limit)}"


def _is_binary(data: bytes) -> bool:
    if any(data.startswith(mark) for mark, _ in _MARKS):
        return False
    return any(byte in _CONTROLS for byte in data)


def _text(name: str, data: bytes) -> Attached:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    text = data.decode(encoding, errors="replace")
    lost = text.count("\ufffd") - (data.count("\ufffd".encode()) if encoding == "utf-8" else 0)
    if _is_binary(data) or (encoding == "utf-16" and "\0" in text):
        raise _neither(name, len(data))
    if lost > len(text) * _UNREADABLE_SHARE:
        raise GputuiError(f"{name} is not in UTF-8", "Convert it: iconv -f … -t utf-8")
    note = f"{name} is not in UTF-8: {lost} characters are replaced" if lost > 0 else ""
    return Attached(Attachment(name, "text/plain", text.encode()), note=note)
