"""Files that go with a prompt: what is taken, what is refused and in which words."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.asking import attachments
from gputui.chat.asking.attachments import (
    Attached,
    check_number,
    check_sight,
    read_attachment,
    user_message,
)
from gputui.chat.asking.paths import completions
from gputui.chat.asking.pictures import media_type, pixels
from gputui.chat.model import Attachment, Endpoint
from gputui.errors import GputuiError
from tests.support.pictures import gif, jpeg, png, webp


def put(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


@pytest.mark.parametrize(
    ("data", "kind", "size"),
    [
        (png(64, 48), "image/png", (64, 48)),
        (jpeg(640, 480), "image/jpeg", (640, 480)),
        (gif(3, 7), "image/gif", (3, 7)),
        (webp(300, 200, "VP8 "), "image/webp", (300, 200)),
        (webp(300, 200, "VP8L"), "image/webp", (300, 200)),
        (webp(300, 200, "VP8X"), "image/webp", (300, 200)),
        (png(64, 48)[:14], "image/png", None),
        (jpeg(64, 48)[:8], "image/jpeg", None),
        (png(1, 1).replace(b"IHDR\0\0\0\1", b"IHDR\0\0\0\0"), "image/png", None),
    ],
)
def test_pictures_are_known_by_their_first_bytes_whatever_their_name(
    tmp_path: Path, data: bytes, kind: str, size: tuple[int, int] | None
) -> None:
    found = read_attachment(put(tmp_path, "holiday.txt", data))
    assert found.attachment == Attachment("holiday.txt", kind, data)
    assert found.pixels == size
    assert ("×" in found.words) == (size is not None)


@given(
    st.sampled_from([png(9, 9), jpeg(9, 9), gif(9, 9), webp(9, 9, "VP8L")]),
    st.binary(max_size=40),
    st.integers(2, 60),
)
def test_no_damaged_picture_is_an_error(whole: bytes, junk: bytes, cut: int) -> None:
    for data in (whole[:cut] + junk, junk, whole[:12] + junk):
        found = pixels(data)
        assert found is None or (media_type(data) and min(found) > 0)


def test_a_text_is_taken_and_other_encodings_are_noted(tmp_path: Path) -> None:
    plain = read_attachment(put(tmp_path, "a.py", "\ufeffprint('ä')\n"))
    assert plain.attachment == Attachment("a.py", "text/plain", "print('ä')\n".encode())
    assert plain.note == ""
    wide = read_attachment(put(tmp_path, "b.txt", "Straße\n".encode("utf-16")))
    assert wide.attachment.data.decode() == "Straße\n"
    latin = read_attachment(put(tmp_path, "c.txt", "Die Straße ist lang\n".encode("latin-1")))
    assert latin.attachment.data.decode() == "Die Stra\ufffde ist lang\n"
    assert "c.txt is not in UTF-8: 1 character" in latin.note


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(path.parent)  # a socket's path must be short
        bound.bind(path.name)


def unreadable(path: Path) -> None:
    path.write_text("x")
    path.chmod(0)


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "is a directory"),
        (fifo, "is a pipe"),
        (unix_socket, "is a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        (lambda path: path.symlink_to("gone"), "No such file"),
        (loop, "symbolic links"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\x7fELF\0\0\0"), "neither text nor a picture"),
        (lambda path: path.write_bytes(b"PK\3\4" + bytes(90)), "neither text nor a picture"),
        (lambda path: path.write_bytes(b"text" * 2000 + b"\0"), "neither text nor a picture"),
        (lambda path: path.write_text("жук".encode("cp1251").decode("latin-1")), None),
        (lambda path: path.write_bytes("жук и жаба".encode("cp1251")), "is not in UTF-8"),
        pytest.param(
            unreadable,
            "Permission denied",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root reads all"),
        ),
    ],
)
def test_what_cannot_be_attached_is_told_and_never_waited_for(
    tmp_path: Path,
    make: Callable[[Path], object],
    words: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "it"
    make(path)
    if words is None:
        assert read_attachment(str(path)).attachment.media_type == "text/plain"
        return
    with pytest.raises(GputuiError) as refused:
        read_attachment(str(path))
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["", "a\0b", "~nobody-of-that-name/x", "/etc/\ud800", "x" * 5000])
def test_what_is_no_path_is_told(text: str) -> None:
    with pytest.raises(GputuiError):
        read_attachment(text)


def test_sizes_are_guarded_and_the_error_says_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = put(tmp_path, "long.log", "x" * (100 << 10))
    with pytest.raises(
        GputuiError, match=r"long\.log has 100\.0 KiB, and a text may have 64\.0 KiB"
    ):
        read_attachment(text)
    assert len(read_attachment(text, limit=100 << 10).attachment.data) == 100 << 10
    monkeypatch.setattr(attachments, "PICTURE_BYTES", 5000)
    with pytest.raises(GputuiError, match=r"a picture may have 4\.9 KiB"):
        read_attachment(put(tmp_path, "large.png", png() + bytes(6000)))


def test_a_file_that_the_kernel_makes_up_is_read_to_the_limit() -> None:
    found = read_attachment("/proc/self/status")  # a regular file of 0 bytes
    assert b"Pid:" in found.attachment.data


def picture(name: str = "cat.png") -> Attachment:
    return Attachment(name, "image/png", png())


def test_at_most_four_pictures_go_with_a_prompt() -> None:
    check_number([picture()] * 4)
    with pytest.raises(GputuiError, match="More than 4 pictures"):
        check_number([picture()] * 5)


def test_pictures_are_refused_only_where_it_is_known_that_nobody_sees() -> None:
    for sees in (True, None):
        check_sight(Endpoint("m", "u", sees=sees), [picture()])
    blind = Endpoint("smollm2", "u", sees=False)
    check_sight(blind, [Attachment("a", "text/plain", b"x")])
    with pytest.raises(GputuiError, match="smollm2 takes no pictures: start it with mmproj"):
        check_sight(blind, [picture()])
    with pytest.raises(GputuiError) as veiled:
        check_sight(blind, [picture()], named=False)
    assert "smollm2" not in str(veiled.value)


@given(st.text(alphabet="`a\n", max_size=40))
def test_no_text_ends_its_own_fence(text: str) -> None:
    message = user_message("What is it?", [Attachment("a.md", "text/plain", text.encode())])
    head, fence, *inner = message.content.split("\n")
    assert head == "a.md:"
    assert inner[-3:] == [fence, "", "What is it?"]
    assert set(fence) == {"`"}
    assert len(fence) >= 3
    assert all(fence not in line for line in inner[:-3])


def test_texts_stand_before_the_prompt_and_pictures_beside_it() -> None:
    with_both = [Attachment("a.txt", "text/plain", b"one\n"), picture()]
    message = user_message("Look", with_both)
    assert message.content == "a.txt:\n```\none\n```\n\nLook"
    assert message.images == (with_both[1],)
    blind = user_message("Look", with_both, sees=False)
    assert blind.images == ()
    assert "cannot see: cat.png" in blind.content


def test_a_files_name_is_cleaned(tmp_path: Path) -> None:
    found = read_attachment(put(tmp_path, "a\x1b[31m\u202e\n.txt", "x"))
    assert found.attachment.name == "a .txt"
    assert isinstance(found, Attached)


def test_paths_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "cat one.png", b"x")
    put(tmp_path, "cat\x1b[2J.png", b"x")
    put(tmp_path, ".hidden", b"x")
    (tmp_path / "cats").mkdir()
    put(tmp_path / "cats", "tom.png", b"x")
    assert completions(f"{tmp_path}/ca") == (f"{tmp_path}/cat one.png", f"{tmp_path}/cats/")
    assert completions(f"{tmp_path}/.h") == (f"{tmp_path}/.hidden",)
    assert completions(f"{tmp_path}/none/") == ()
    monkeypatch.chdir(tmp_path)
    assert completions("cats/") == ("cats/tom.png",)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert completions("~/cats/t") == ("~/cats/tom.png",)
    assert completions("~nobody-of-that-name/") == ()
