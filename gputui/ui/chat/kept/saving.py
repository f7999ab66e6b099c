"""Answers and conversations into files of the user's: a name proposed, and nothing overwritten unasked."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.config.paths import state_dir
from gputui.errors import GputuiError
from gputui.files import make_private, save_file
from gputui.text import clean_line
from gputui.ui.chat.kept.line_dialog import LineDialog
from gputui.ui.dialogs import ConfirmDialog

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting


def folder() -> Path:
    """Where files are proposed to lie."""
    return state_dir() / "saved"


def proposed(stem: str, at: float, suffix: str) -> str:
    """A path for the user to agree with: ``~/.local/state/gputui/saved/answer-A-20260131-235959.md``."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(at))
    path = folder() / f"{stem}-{stamp}.{suffix}"
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


async def save(chatting: Chatting, what: str, text: str, name: str, proposal: str) -> None:
    """Write ``text`` to the file ``name``, where that is "" to the one that the user agrees to.

    ``what`` names it ("the answer of A"). Raises GputuiError where it cannot be written.
    """
    app = chatting.screen.app
    given: str | None = name or await app.push_screen_wait(
        LineDialog(f"Save {what} to", proposal, "a path")
    )
    if given is None:
        return
    path = _path(given)
    try:
        await asyncio.to_thread(_write, path, text, replace=False)
    except FileExistsError:
        question = f"{clean_line(str(path))} exists. Replace it?"
        if await app.push_screen_wait(ConfirmDialog(question, "Replace it", "Leave it")) != "yes":
            return
        await asyncio.to_thread(_write, path, text, replace=True)
    chatting.screen.notify(clean_line(str(path)), title=f"Saved {what}", markup=False)


def _path(given: str) -> Path:
    try:
        return Path(given).expanduser().absolute()
    except (RuntimeError, ValueError, OSError) as error:
        raise GputuiError(
            f"{clean_line(given)}: no such home directory", "Write it out."
        ) from error


def _write(path: Path, text: str, *, replace: bool) -> None:
    if path.parent == folder():
        try:
            make_private(path.parent)
        except OSError as error:
            raise GputuiError(
                f"{path.parent}: {error.strerror}", "Choose another place."
            ) from error
    save_file(path, text.encode(errors="replace"), replace=replace)
