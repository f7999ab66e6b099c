"""Private files: 0600 in directories of 0700, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gputui.errors import GputuiError


def make_private(folder: Path) -> None:
    """Create a directory and its missing parents, all 0700. Raises OSError."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Replace a private file atomically. Raises GputuiError."""
    try:
        make_private(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise GputuiError(
            f"{path}: {error.strerror}", "gputui's own directories must be writable."
        ) from error
