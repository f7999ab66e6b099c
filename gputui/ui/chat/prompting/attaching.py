"""The files that go with the next prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from gputui.chat.model import Attachment
from gputui.errors import GputuiError
from gputui.text import clean_line
from gputui.ui.boundary import on_daemon_thread

if TYPE_CHECKING:
    from gputui.chat.asking.attachments import Attached
    from gputui.chat.asking.pasted import Reading


READ_SECONDS = 5.0
"""A disk that is slower, or a network that is gone, is not waited for."""
_Read = TypeVar("_Read")


async def patiently(read: Callable[[], _Read], what: str) -> _Read:
    """What ``read`` reads from a disk. Raises GputuiError where that takes too long."""
    try:
        return await asyncio.wait_for(on_daemon_thread(read), READ_SECONDS)
    except TimeoutError as error:
        words = f"{what} is not read within {READ_SECONDS:.0f} s"
        raise GputuiError(words, "Its disk or network does not answer.") from error


class Attaching:
    """What is attached, in order. ``version`` is another one whenever that changes."""

    def __init__(self) -> None:
        self.attached: tuple[Attached, ...] = ()
        self.version = 0

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """As they are sent."""
        return tuple(one.attachment for one in self.attached)

    def add(self, more: Sequence[Attached]) -> None:
        """Attach these too; all or none. Raises GputuiError where they become too many."""
        from gputui.chat.asking.attachments import check_number

        together = (*self.attached, *more)
        check_number(one.attachment for one in together)
        self._set(together)

    def remove(self, those: Sequence[Attached]) -> None:
        """Take these off, where they are there."""
        self._set(tuple(one for one in self.attached if not any(one is that for that in those)))

    def detach(self, number: str) -> None:
        """Take off the one of that number, as it is counted for people; all for "". Raises GputuiError."""
        if not self.attached:
            raise GputuiError("Nothing is attached", "/attach PATH attaches a file.")
        if not number:
            self.clear()
            return
        if (
            not number.isascii()
            or not number.isdigit()
            or not 0 < int(number[:9]) <= len(self.attached)
        ):
            raise GputuiError(
                f"There is no attachment {clean_line(number, 20)}",
                f"They are counted from 1 to {len(self.attached)}.",
            )
        self.remove([self.attached[int(number) - 1]])

    def clear(self) -> None:
        """Attach nothing."""
        if self.attached:
            self._set(())

    async def read(self, text: str) -> tuple[Attached, ...]:
        """Attach what a person named: a path, or several as a shell reads them. Raises GputuiError."""
        found = await patiently(lambda: _read_named(text), clean_line(text, 200))
        self.add(found)
        return found

    async def read_pasted(self, text: str) -> tuple[Attached, ...]:
        """Attach what was pasted, where it is paths of files that can be; () where it is a text.

        Raises GputuiError for pictures that cannot be attached, so that it is told.
        """
        from gputui.chat.asking.attachments import PictureError
        from gputui.chat.asking.pasted import readings

        meant = readings(text)
        if not meant:
            return ()
        try:
            found = await patiently(lambda: _read_one_of(meant), clean_line(text, 200))
        except PictureError:
            raise
        except GputuiError:
            return ()
        self.add(found)
        return found

    def _set(self, attached: tuple[Attached, ...]) -> None:
        self.attached = attached
        self.version += 1


def _read_named(text: str) -> tuple[Attached, ...]:
    from gputui.chat.asking.attachments import read_attachment
    from gputui.chat.asking.pasted import readings

    try:
        return (read_attachment(text),)
    except GputuiError:
        others = [one for one in readings(text) if one != (text,)]
        if not others:
            raise
        return _read_one_of(others)


def _read_one_of(meant: Sequence[Reading]) -> tuple[Attached, ...]:
    """The first reading all of whose files can be attached. Raises GputuiError, a picture's first."""
    from gputui.chat.asking.attachments import PictureError, read_attachment

    problem: GputuiError | None = None
    for reading in meant:
        try:
            return tuple(read_attachment(path) for path in reading)
        except GputuiError as error:
            problem = error if problem is None or isinstance(error, PictureError) else problem
    raise problem or GputuiError("There is no file")
