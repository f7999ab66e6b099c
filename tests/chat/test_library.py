"""The prompt library: files of the user's, read as they are and never written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gputui.chat.asking.library import MOST_BYTES, look, placeholder, read_prompt
from gputui.errors import GputuiError


def names(folder: Path) -> list[tuple[str, str]]:
    return [(one.name, one.tag) for one in look(folder).prompts]


def test_files_are_prompts_and_their_folder_is_a_tag(tmp_path: Path) -> None:
    (tmp_path / "code" / "deeper").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for name in ("explain.md", "a b.TXT", "code/review.md", "x.py", ".secret.md", ".git/x.md"):
        (tmp_path / name).write_text("text")
    (tmp_path / "code" / "deeper" / "no.md").write_text("text")
    assert names(tmp_path) == [("a b", ""), ("explain", ""), ("code/review", "code")]
    assert look(tmp_path).tags == ("code",)


def test_a_library_that_is_not_there_is_empty(tmp_path: Path) -> None:
    library = look(tmp_path / "none")
    assert (library.prompts, library.problems) == ((), ())


def test_names_are_cleaned_and_each_is_there_once(tmp_path: Path) -> None:
    for name in ("a.md", "a.txt", "\x1b[31mred\x1b[0m.md", "\u202e.md"):
        (tmp_path / name).write_text("text")
    assert sorted(names(tmp_path)) == [(".md", ""), ("a", ""), ("a.txt", ""), ("red", "")]


def test_links_are_followed_out_of_the_folder(tmp_path: Path) -> None:
    library, elsewhere = tmp_path / "prompts", tmp_path / "elsewhere"
    library.mkdir()
    elsewhere.mkdir()
    (elsewhere / "one.md").write_text("from elsewhere")
    (library / "linked.md").symlink_to(elsewhere / "one.md")
    (library / "work").symlink_to(elsewhere)
    (library / "loop").symlink_to(library / "loop")
    assert names(library) == [("linked", ""), ("work/one", "work")]
    assert [read_prompt(one) for one in look(library).prompts] == ["from elsewhere"] * 2


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "large.md").write_text("x" * (MOST_BYTES + 1))
    (tmp_path / "latin.md").write_bytes("Straße".encode("latin-1"))
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "gone.md").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.md")
    library = look(tmp_path)
    told = {}
    for prompt in library.prompts:
        with pytest.raises(GputuiError) as refused:
            read_prompt(prompt)
        told[prompt.name] = str(refused.value)
    assert "is too large" in told["large"]
    assert "256 KiB" in told["large"]
    assert "is not in UTF-8" in told["latin"]
    assert "is empty" in told["empty"]
    assert "No such file" in told["gone"]
    assert "is a pipe" in told["pipe"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads all")
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert "Permission denied" in look(tmp_path).problems[0]
    (tmp_path / "closed").chmod(0o700)


def test_a_prompt_is_cleaned(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_bytes(b"\xef\xbb\xbfone\r\n\x1b]52;c;eA==\x07two\n\n")
    assert read_prompt(look(tmp_path).prompts[0]) == "one\ntwo"


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("explain", "explain"),
        ("code/review", "code/review"),
        ("review", "code/review"),
        ("exp", "explain"),
        ("code/", None),
        ("", None),
        ("none", None),
    ],
)
def test_a_prompt_is_found_by_its_name_and_by_as_much_as_is_clear(
    tmp_path: Path, typed: str, name: str | None
) -> None:
    (tmp_path / "code").mkdir()
    for file in ("explain.md", "other.md", "code/review.md", "code/terse.md"):
        (tmp_path / file).write_text("text")
    found = look(tmp_path).find(typed)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("text", "hole"),
    [("a {{b}} {{c}}", (2, 7)), ("none", None), ("{{{{x}}", (2, 7)), ("{{a\nb}}", None)],
)
def test_the_first_placeholder(text: str, hole: tuple[int, int] | None) -> None:
    assert placeholder(text) == hole
