"""Paths in what was pasted, in every spelling that terminals and file managers use."""

from __future__ import annotations

import shlex
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.asking.pasted import MOST_LINES, readings

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1).map(
    lambda name: f"/home/x/{name.strip(' ')}"
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/a/cat.png", ("/a/cat.png",)),
        ("  /a/cat.png \n", ("/a/cat.png",)),
        ("~/cat.png", ("~/cat.png",)),
        ("/a/my cat.png", ("/a/my cat.png",)),
        (r"/a/my\ cat.png", ("/a/my cat.png",)),
        ("'/a/my cat.png'", ("/a/my cat.png",)),
        ('"/a/my cat.png"', ("/a/my cat.png",)),
        ("file:///a/my%20cat.png", ("/a/my cat.png",)),
        ("file://localhost/a/b", ("/a/b",)),
        ("/a/1.png\n/a/2.png", ("/a/1.png", "/a/2.png")),
        ("'/a/1.png' '/a/2.png'", ("/a/1.png", "/a/2.png")),
        ("file:///a/1\nfile:///a/2\n", ("/a/1", "/a/2")),
        ("docs/a.md", ("docs/a.md",)),
    ],
)
def test_a_path_is_found_in_each_spelling(text: str, meant: tuple[str, ...]) -> None:
    assert meant in readings(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "hello",
        "cat.png",
        "What is this?",
        "file://elsewhere/a",
        "file://[/a",
        "/a\0b",
        "/a\n\nwhy?",
    ],
)
def test_a_text_is_no_path(text: str) -> None:
    assert readings(text) == ()


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_what_was_spelt_is_read(paths: list[str]) -> None:
    meant = tuple(paths)
    assert meant in readings("\n".join(map(shlex.quote, paths)))
    assert meant in readings(" ".join(map(shlex.quote, paths)))
    assert meant in readings("\n".join(f"file://{quote(path)}" for path in paths))
    assert meant in readings(
        "\n".join(
            path.replace("\\", "\\\\").replace(" ", r"\ ").replace("'", r"\'").replace('"', r"\"")
            for path in paths
        )
    )


@given(st.text())
def test_any_text_is_read_and_what_comes_out_can_be_a_path(text: str) -> None:
    for reading in readings(text):
        assert 0 < len(reading) <= MOST_LINES
        assert all("/" in path and "\0" not in path for path in reading)


def test_a_book_is_not_looked_through() -> None:
    assert readings("/a/b c\n" * 100_000) == ()
    assert readings("/" + "a" * 100_000) == ()
