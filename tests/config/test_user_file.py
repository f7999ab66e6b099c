"""The user's file on disk: written whole, through links, never over somebody else's change; and watched."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gputui.config import Config, user_file
from gputui.config.user_file import ChangedMeanwhileError
from gputui.config.watch import FileWatch, Seen
from gputui.errors import ConfigError, GputuiError

ONE = b"interval = 1.0\n"
TWO = b"interval = 2.0\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_a_file_keeps_its_mode_and_a_new_one_is_private(file: Path) -> None:
    new = file.with_name("sub") / "new.toml"
    user_file.write(new, None, ONE)
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    file.write_bytes(ONE)
    file.chmod(0o644)
    user_file.write(file, ONE, TWO)
    assert file.read_bytes() == TWO
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == ["config.toml"]


def test_a_link_stays_a_link(file: Path) -> None:
    real = file.with_name("dotfiles.toml")
    real.write_bytes(ONE)
    file.symlink_to(real)
    user_file.write(file, ONE, TWO)
    assert file.is_symlink()
    assert real.read_bytes() == TWO


@pytest.mark.parametrize("now", [b"interval = 3.0\n", None])
def test_what_somebody_else_wrote_is_never_written_over(file: Path, now: bytes | None) -> None:
    if now is not None:
        file.write_bytes(now)
    with pytest.raises(ChangedMeanwhileError):
        user_file.write(file, ONE, TWO)
    assert (file.read_bytes() if file.exists() else None) == now


def test_what_is_no_configuration_is_not_read(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(ConfigError, match="no regular file"):
        user_file.read(file)
    file.unlink()
    with file.open("wb") as sparse:
        sparse.truncate(user_file.LARGEST + 1)
    with pytest.raises(ConfigError, match="too large"):
        user_file.read(file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_in_words(file: Path) -> None:
    file.write_bytes(ONE)
    file.parent.chmod(0o500)
    try:
        with pytest.raises(GputuiError, match="cannot be written"):
            user_file.write(file, ONE, TWO)
    finally:
        file.parent.chmod(0o700)


# ── watched ──────────────────────────────────────────────────────────────────────────────────────


def watch(file: Path, content: bytes | None = ONE) -> FileWatch:
    if content is not None:
        file.write_bytes(content)
    return FileWatch(file, content)


def interval(seen: Seen | None) -> float:
    assert seen is not None
    assert seen.config is not None, seen.problem
    return seen.config.interval


def _in_place(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def _replaced(file: Path, data: bytes) -> None:
    other = file.with_name("4913~")
    other.write_bytes(data)
    other.replace(file)


def _made_anew(file: Path, data: bytes) -> None:
    file.unlink()
    file.write_bytes(data)


@pytest.mark.parametrize("save", [_in_place, _replaced, _made_anew])
def test_a_change_counts_at_the_second_look(
    file: Path, save: Callable[[Path, bytes], None]
) -> None:
    one = watch(file)
    assert one.look() is None
    save(file, TWO)
    assert one.look() is None
    assert interval(one.look()) == 2.0
    assert one.look() is None
    save(file, ONE)
    assert interval(one.look(settled=True)) == 1.0


def test_a_link_that_is_pointed_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: the file is a link into a folder that is a link itself."""
    for name, data in (("one", ONE), ("two", TWO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_bytes(data)
    (tmp_path / "..data").symlink_to("one")
    file = tmp_path / "config.toml"
    file.symlink_to("..data/config.toml")
    one = FileWatch(file, ONE, clock=lambda: 0.0)  # all files are old
    assert one.look() is None
    assert one.look() is None
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert one.look() is None
    assert interval(one.look()) == 2.0


def test_half_a_file_is_never_told(file: Path) -> None:
    one = watch(file)
    whole = b'[[instances]]\nname = "a"\nmodel = "m"\nport = 1\n'
    for cut in range(0, len(whole), 7):
        file.write_bytes(whole[:cut])
        assert one.look() is None
    file.write_bytes(whole)
    assert one.look() is None
    seen = one.look()
    assert seen is not None
    assert seen.config is not None
    assert len(seen.config.instances) == 1


def test_what_is_wrong_is_told_once_until_it_is_right_again(file: Path) -> None:
    one = watch(file)
    file.write_bytes(b"intervall = 2\n")
    one.look()
    seen = one.look()
    assert seen is not None
    assert seen.config is None
    assert "intervall" in str(seen.problem)
    assert one.look() is None
    file.write_bytes(ONE)
    one.look()
    assert interval(one.look()) == 1.0, "right again, even if it is what it was before"


def test_a_file_that_goes_and_comes(file: Path) -> None:
    one = watch(file)
    file.unlink()
    one.look()
    seen = one.look()
    assert seen is not None
    assert "is gone" in str(seen.problem)
    file.mkdir()
    one.look()
    seen = one.look()
    assert seen is not None
    assert "no regular file" in str(seen.problem)
    file.rmdir()
    file.write_bytes(TWO)
    one.look()
    assert interval(one.look()) == 2.0


def test_a_file_that_was_not_there_is_taken_over_once_it_is(file: Path) -> None:
    one = watch(file, None)
    assert one.look() is None
    assert one.look() is None
    file.write_bytes(TWO)
    one.look()
    assert interval(one.look()) == 2.0


def test_what_other_rooms_refuse_is_wrong_too(file: Path) -> None:
    def check(config: Config) -> None:
        raise ConfigError("no such theme")

    file.write_bytes(TWO)
    one = FileWatch(file, ONE, check)
    one.look()
    seen = one.look()
    assert seen is not None
    assert str(seen.problem) == "no such theme"


def test_a_change_within_the_same_moment_and_of_the_same_size_is_seen(file: Path) -> None:
    one = watch(file)
    one.look()
    facts = file.stat()
    file.write_bytes(TWO)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    one.look()
    assert interval(one.look()) == 2.0
