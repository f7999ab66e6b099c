"""Files where the user wants them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gputui.errors import GputuiError
from gputui.files import save_file


def test_a_file_is_private_and_never_in_the_place_of_another_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    save_file(path, b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        save_file(path, b"two")
    assert path.read_bytes() == b"one"
    path.chmod(0o644)
    save_file(path, b"two", replace=True)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["a.md"]


def test_a_link_is_followed_only_where_it_is_to_be_replaced(tmp_path: Path) -> None:
    link, target = tmp_path / "link.md", tmp_path / "target.md"
    link.symlink_to(target)
    with pytest.raises(FileExistsError):
        save_file(link, b"x")
    assert not target.exists()
    target.write_bytes(b"old")
    save_file(link, b"new", replace=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("name", "replace", "words"),
    [
        ("missing/a.md", False, "does not exist"),
        ("folder", False, "is a directory"),
        ("folder", True, "is a directory"),
        ("pipe", True, "is no regular file"),
        ("a\0b", False, "null byte"),
        ("x" * 300, False, "too long"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    tmp_path: Path, name: str, replace: bool, words: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GputuiError, match=words):
        save_file(tmp_path / name, b"x", replace=replace)
