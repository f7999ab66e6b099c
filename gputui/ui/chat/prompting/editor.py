"""The user's own editor for a prompt, on the terminal that the screen has given back for so long."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from textual.app import App, SuspendNotSupported

from gputui.chat.asking.reading import read_text
from gputui.errors import GputuiError
from gputui.text import clean, clean_line

MOST_BYTES = 1 << 20


def editor_command() -> list[str]:
    """``$VISUAL``, else ``$EDITOR``, as its words. Raises GputuiError where neither is set."""
    for variable in ("VISUAL", "EDITOR"):
        value = os.environ.get(variable, "").strip()
        if value:
            try:
                return shlex.split(value)
            except ValueError as error:
                raise GputuiError(f"${variable} has an open quote", "Set it anew.") from error
    raise GputuiError("No editor is set", "Set one before gputui is started: export EDITOR=nano")


async def edit(app: App[str | None], text: str) -> str:
    """``text`` as the user's editor leaves it. Raises GputuiError where there is no editor, or it fails.

    Answers go on streaming meanwhile; nothing is drawn until the editor has ended.
    """
    command = editor_command()
    path = await asyncio.to_thread(_write, text)
    try:
        with _given_back(app):
            code = await _run([*command, str(path)])
        if code != 0:
            name = clean_line(Path(command[0]).name, 80)
            raise GputuiError(f"{name} ended with {code}", "The prompt is as it was.")
        return clean(await asyncio.to_thread(read_text, path, MOST_BYTES)).removesuffix("\n")
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(path.unlink)


@contextlib.contextmanager
def _given_back(app: App[str | None]) -> Iterator[None]:
    try:
        with app.batch_update(), app.suspend(), _no_interrupt():
            yield
    except SuspendNotSupported as error:
        hint = "Only on a terminal of its own."
        raise GputuiError("The terminal cannot be given to an editor here", hint) from error
    app.refresh(layout=True)


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C is the editor's while it is there; a handler, since what is ignored is inherited."""
    try:
        before = signal.signal(signal.SIGINT, lambda *_: None)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def _run(command: list[str]) -> int:
    try:
        process = await asyncio.create_subprocess_exec(*command)
    except OSError as error:
        why = f"{clean_line(command[0], 80)} cannot be started: {error.strerror}"
        raise GputuiError(why, "Set $VISUAL or $EDITOR to an editor.") from error
    try:
        return await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        raise


def _write(text: str) -> Path:
    """A file of the user's own: 0600, as mkstemp makes it."""
    try:
        handle, name = tempfile.mkstemp(prefix="gputui-prompt-", suffix=".md")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise GputuiError(
            f"No file for the editor: {error.strerror}", "Make room for it."
        ) from error
    return Path(name)
