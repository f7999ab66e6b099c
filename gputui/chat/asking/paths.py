"""Completing a path that is being typed, as a shell does."""

from __future__ import annotations

import os

from gputui.chat.asking.reading import path_of
from gputui.errors import GputuiError
from gputui.text import clean_line

MOST = 200


def completions(typed: str) -> tuple[str, ...]:
    """The files and folders that ``typed`` can become, folders with a slash at their end; blocks.

    () where its folder cannot be read. Hidden ones only where a dot is typed; names that no terminal can
    show are left out.
    """
    folder, _, begun = typed.rpartition("/")
    above = f"{folder}/" if "/" in typed else ""
    try:
        with os.scandir(path_of(above or ".")) as entries:
            found = [
                f"{above}{one.name}/" if _is_folder(one) else f"{above}{one.name}"
                for one in entries
                if one.name.startswith(begun)
                and (begun.startswith(".") or not one.name.startswith("."))
                and clean_line(one.name) == one.name
            ]
    except (OSError, GputuiError):
        return ()
    return tuple(sorted(found)[:MOST])


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
