"""Reading a log: any bytes, any block size, anywhere; what is read of a large one; what changes under it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.instances.log.lines import Level, LogLine, Search, Wanted, line_text
from gputui.instances.log.reader import BLOCK, Change, InstanceLog, LogFile
from gputui.text import clean
from tests.support.hostile import HOSTILE

GIB = 2**30
EVERYTHING = 10**9

LOG = """\
0.00.033.951 I cmn  common_param: verbosity = 3
0.00.034.522 W srv  llama_server: CORS is set to allow all origins
its second line
0.00.036.037 I srv    load_model: loading model 'a.gguf'
ggml_backend: GGML_ASSERT(x) failed
0.00.100.000 D slot  get_availabl: nothing
0.00.312.564 E srv    load_model: failed
what follows it
0.00.400.000 I srv  the end
"""

pieces = st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\r\n",
            b"a",
            b"bc\n",
            b"x" * 40,
            "ü→\n".encode(),
            b"\x1b[31mred\x1b[0m\n",
            b"lo\x1b[1mad\r\n",
            b"\x1b]0;load\x07r\x00ed",
            b"l\xc2\xadoad second\tline\n",
            "re\u200bd loaſ\u2028K".encode(),
            b"\0\xff",
        ]
        + [line.encode() + b"\n" for line in LOG.splitlines()]
    ),
    max_size=40,
).map(b"".join)
blocks = st.integers(3, 100)
quick = settings(deadline=None, max_examples=50)


def naive(data: bytes, block: int) -> list[bytes]:
    """The lines of ``data``: ended by line feeds, or where the whole block before has none."""
    lines, start = [], 0
    for at in range(1, len(data) + 1):
        border = at % block == 0 and b"\n" not in data[at - block : at]
        if data[at - 1 : at] == b"\n" or border or at == len(data):
            lines.append(data[start:at])
            start = at
    return lines


def open_bytes(data: bytes, block: int = BLOCK) -> LogFile:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return LogFile(Path(file.name), block)  # held open by the reader


def raw(data: bytes, lines: Sequence[LogLine]) -> list[bytes]:
    return [data[line.start : line.end] for line in lines]


@quick
@given(pieces, blocks)
def test_the_same_lines_as_a_naive_reader_from_both_ends(data: bytes, block: int) -> None:
    file = open_bytes(data, block)
    expected = naive(data, block)
    forwards = file.lines_from(0, EVERYTHING)
    backwards = file.lines_before(len(data), EVERYTHING)
    assert raw(data, forwards.lines) == raw(data, backwards.lines) == expected
    assert forwards.lines == backwards.lines, "with the same levels"
    assert [line.text for line in forwards.lines] == [line_text(line) for line in expected]
    assert forwards.edge
    assert (backwards.edge, backwards.reached) == (True, 0)


@quick
@given(pieces, blocks, st.integers(1, 5), st.data())
def test_paging_from_any_line_misses_and_doubles_none(
    data: bytes, block: int, count: int, draw: st.DataObject
) -> None:
    file = open_bytes(data, block)
    place = draw.draw(st.integers(0, len(data)))
    start = file.line_start(place)
    starts = [line.start for line in file.lines_from(0, EVERYTHING).lines]
    if place < len(data):
        assert start == max(begin for begin in starts if begin <= place)
    below, above, at = list[LogLine](), list[LogLine](), start
    while True:
        page = file.lines_from(at, count)
        below += [line for line in page.lines if line.whole or page.edge]
        at = page.reached
        if page.edge:
            break
    at = start
    while at > 0:
        page = file.lines_before(at, count)
        above = [*page.lines, *above]
        at = page.reached
    assert raw(data, [*above, *below]) == naive(data, block)


@quick
@given(
    pieces,
    blocks,
    st.sampled_from(Level),
    st.sampled_from(
        [
            "",
            "a",
            "LOAD",
            "load",
            "red",
            "ü",
            "Ü→",
            "→",
            "second line",
            "second  line",
            "d c",
            "as k",
        ]
    ),
)
def test_a_filter_keeps_what_it_should_from_both_ends(
    data: bytes, block: int, least: Level, words: str
) -> None:
    file = open_bytes(data, block)
    wanted = Wanted(least, Search(words) if words else None)
    expected = tuple(line for line in file.lines_from(0, EVERYTHING).lines if wanted.takes(line))
    assert file.lines_from(0, EVERYTHING, wanted).lines == expected
    assert file.lines_before(len(data), EVERYTHING, wanted).lines == expected
    for count in (1, 3):
        start = file.start_of_last(count, wanted)
        found = file.lines_from(start, EVERYTHING, wanted).lines
        assert found == expected[-count:]


@quick
@given(pieces, st.lists(st.integers(0, 60), max_size=12), blocks)
def test_growth_shows_each_line_once(data: bytes, cuts: list[int], block: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.log"
        path.touch()
        file, shown, reached, at = LogFile(path, block), list[LogLine](), 0, 0
        for cut in (*cuts, len(data)):
            with path.open("ab") as log:
                log.write(data[at : at + cut])
            at += cut
            assert file.refresh() in (Change.NONE, Change.GREW)
            page = file.lines_from(reached, EVERYTHING)
            shown = [line for line in shown if line.start < reached]
            shown += page.lines
            reached = page.reached
        assert raw(data, shown) == naive(data, block)


def test_levels_are_by_letter_and_what_has_none_belongs_to_the_line_before() -> None:
    file = open_bytes(LOG.encode())
    levels = [line.level.name for line in file.lines_from(0, 100).lines]
    assert levels == [
        "INFO", "WARNING", "WARNING", "INFO", "ERROR", "DEBUG", "ERROR", "ERROR", "INFO",
    ]  # fmt: skip
    errors = file.lines_before(file.size, 100, Wanted(Level.ERROR)).lines
    assert [line.text.split()[-1] for line in errors] == ["failed", "failed", "it"]


def test_an_old_build_without_letters_has_its_errors_alone() -> None:
    text = (
        b"main: server is listening\nerror: invalid argument\nslot release: id 0\nwarning: slow\n"
    )
    lines = open_bytes(text).lines_from(0, 10).lines
    assert [line.level.name for line in lines] == ["INFO", "ERROR", "INFO", "WARNING"]


@pytest.mark.parametrize(("name", "text"), HOSTILE)
def test_hostile_lines_are_harmless(name: str, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass") + b"\n"
    for line in open_bytes(data).lines_from(0, 100).lines:
        assert line.text == clean(line.text).replace("\n", " ")
        assert "\t" not in line.text


# ── large files ──────────────────────────────────────────────────────────────────────────────────


def sparse(path: Path, size: int, last: bytes) -> LogFile:
    """A file of that size, all holes but its last lines."""
    path.touch()
    os.truncate(path, size - len(last))
    with path.open("ab") as file:
        file.write(last)
    return LogFile(path)


def test_opening_a_gigabyte_reads_no_more_than_opening_a_megabyte(tmp_path: Path) -> None:
    read = []
    for size in (2**20, GIB):
        file = sparse(tmp_path / f"{size}.log", size, b"\n" + b"0.01 I srv  a line\n" * 200)
        page = file.lines_before(file.size, 50)
        assert [line.text for line in page.lines] == ["0.01 I srv  a line"] * 50
        read.append(file.bytes_read)
    assert read[0] == read[1] < 2**20 // 2


def test_a_line_of_a_hundred_megabytes_is_shown_in_pieces(tmp_path: Path) -> None:
    file = sparse(tmp_path / "x.log", 100 * 2**20, b"\nthe last\n")
    page = file.lines_before(file.size, 3)
    assert page.lines[-1].text == "the last"
    assert all(line.end - line.start < 2 * BLOCK for line in page.lines)
    assert file.bytes_read < 20 * BLOCK
    up = file.lines_before(page.lines[0].start, 2)
    assert up.lines[-1].end == page.lines[0].start


def test_a_search_through_it_all_tells_where_it_is_and_can_be_ended(tmp_path: Path) -> None:
    file = sparse(tmp_path / "x.log", 64 * 2**20, b"\nfound Me\n")
    told: list[int] = []

    def end_half_way(place: int) -> bool:
        told.append(place)
        return place >= file.size // 2

    ended = file.lines_from(0, 1, Wanted(search=Search("found me")), end_half_way)
    assert ended.lines == ()
    assert ended.reached == told[-1] == file.size // 2
    assert told == sorted(told)
    found = file.lines_from(ended.reached, 1, Wanted(search=Search("found me")))
    assert [line.text for line in found.lines] == ["found Me"]
    assert file.bytes_read < file.size * 1.01, "each block once"
    assert not file.lines_from(0, 1, Wanted(search=Search("FOUND"))).lines, "capitals count"


@settings(deadline=None, max_examples=30)
@given(st.integers(-12, 12), st.sampled_from(["needle", "nädel", "two words"]))
def test_words_are_found_across_the_border_of_blocks(shift: int, words: str) -> None:
    data = b"a line\n" * (BLOCK // 7 - 2)
    data += b"x" * (BLOCK - len(data) + shift - 1) + b"\n" if len(data) < BLOCK + shift - 1 else b""
    data += f"before {words} after\n".encode() + b"a line\n" * 20_000
    file = open_bytes(data)
    wanted = Wanted(search=Search(words))
    (line,) = file.lines_from(0, 5, wanted).lines
    assert line.text == f"before {words} after"
    assert file.lines_before(file.size, 5, wanted).lines == (line,)
    (span,) = Search(words).spans(line.text)
    assert line.text[slice(*span)] == words


# ── what happens under the reader ────────────────────────────────────────────────────────────────


def test_a_log_that_is_cut_and_one_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\ntwo\n")
    file = LogFile(path)
    assert file.refresh() is Change.NONE
    path.write_text("three\n")
    assert file.refresh() is Change.CUT
    assert [line.text for line in file.lines_from(0, 9).lines] == ["three"]
    os.truncate(path, 0)
    with path.open("a") as log:
        log.write("four\nfive\nsix\n")
    assert file.refresh() is Change.CUT, "emptied, and longer than before by now"
    path.replace(tmp_path / "x.log.1")
    assert file.refresh() is Change.NONE, "the new one is not there yet"
    path.write_text("new\n")
    assert file.refresh() is Change.REPLACED
    assert [line.text for line in file.lines_from(0, 9).lines] == ["four", "five", "six"]
    log = InstanceLog(path)
    assert log.ages() == (0, 1)
    assert log.age_of(file) == 1
    assert log.open().lines_from(0, 9).lines[0].text == "new"


def test_what_is_cut_while_it_is_read_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("a line\n" * 50_000)
    file = LogFile(path)

    def empty(place: int) -> bool:
        if place > BLOCK:
            os.truncate(path, 10)
        return False

    assert len(file.lines_from(0, EVERYTHING, stop=empty).lines) < 50_000
    assert file.refresh() is Change.CUT


def test_no_log_is_an_empty_one_that_says_why(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x.log")
    assert "never started" in file.trouble
    assert file.lines_before(file.size, 10).lines == file.lines_from(0, 10).lines == ()
    assert file.refresh() is Change.NONE
    (tmp_path / "x.log").write_text("now\n")
    assert file.refresh() is Change.REPLACED
    assert "directory" in LogFile(tmp_path / "x.log" / "y").trouble.lower()
