"""Files written whole or not at all; gputui's own are private: 0600 in directories of 0700."""

from __future__ import annotations

import contextlib
import os
import stat
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
        replace_file(path, data)
    except OSError as error:
        raise GputuiError(
            f"{path}: {error.strerror}", "gputui's own directories must be writable."
        ) from error


def replace_file(path: Path, data: bytes, *, users: bool = False) -> None:
    """Put a file in the place of one, or of none: whole or not at all. Raises OSError.

    It is 0600. A file of the ``users`` keeps its mode and owner, and is on the disk when this returns.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if users:
                file.flush()
                os.fsync(file.fileno())
        if users:
            _keep_mode(path, Path(temporary))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_file(path: Path, data: bytes, *, replace: bool = False) -> None:
    """A file where the user wants it; its folder must be there. A new one is 0600, one that is replaced
    keeps its mode, and a link to it leads to it still.

    Raises FileExistsError where there is one already and that is not to be replaced, and GputuiError
    where it cannot be written: nothing of it stays then.
    """
    try:
        if not replace or not os.path.lexists(path):
            _write_new(path, data)
        elif not path.is_file():
            what = "is a directory" if path.is_dir() else "is no regular file"
            raise GputuiError(f"{path} {what}", "Choose another name.")
        else:
            replace_file(path.resolve(), data, users=True)
    except FileExistsError:
        if path.is_dir():
            raise GputuiError(f"{path} is a directory", "Name a file in it.") from None
        raise
    except FileNotFoundError as error:
        raise GputuiError(
            f"{path.parent} does not exist", "Name a file in one that does."
        ) from error
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise GputuiError(f"{path}: {words}", "Choose another place.") from error


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _keep_mode(target: Path, new: Path) -> None:
    """The mode and, where that is allowed, the owner of the file that is replaced."""
    with contextlib.suppress(FileNotFoundError):
        facts = target.stat()
        with contextlib.suppress(PermissionError):
            os.chown(new, facts.st_uid, facts.st_gid)
        new.chmod(stat.S_IMODE(facts.st_mode))
