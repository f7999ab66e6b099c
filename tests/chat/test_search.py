"""Search over all that is kept: whatever is typed, with the index and without, and always up to date."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.chat.keeping import index, search
from gputui.chat.keeping.found import Match
from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Turn
from gputui.database import _MIGRATIONS

ANY_PATH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture(params=["fts5", "no_such_module"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store with the index, and one on a SQLite that has no module for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "MODULE", request.param)
        with contextlib.closing(Store(tmp_path / "gputui.db")) as made:
            yield made


def keep(
    store: Store,
    prompt: str,
    *texts: str,
    reasoning: str = "",
    conversation: int | None = None,
    at: float = 0,
) -> int:
    """A turn with an answer a text; its id."""
    if conversation is None:
        conversation = store.new_conversation(at)
    turn_id = store.new_turn(conversation, Turn(prompt, at, {}))
    for side, text in zip("ABC", texts, strict=False):
        store.save_answer(turn_id, Answer(side, "name", "model", text, reasoning=reasoning))
    return turn_id


def found(store: Store, query: str) -> list[int | None]:
    return [match.turn_id for match in store.search(query)]


def marked(match: Match) -> list[str]:
    return [match.snippet[start:end] for start, end in match.marks]


def test_words_are_found_wherever_they_were_said(store: Store) -> None:
    keep(store, "How do I sort a list?", "Quicksort über alles", reasoning="they want an algorithm")
    keep(store, "Name a town", "Tallinn", "Sort of: Tartu")
    for query, expected in {
        "quicksort": [1],
        "UBER": [1],
        "algorithm": [1],
        "sort": [2, 1],
        "sort list": [1],
        '"list sort"': [],
        '"a list"': [1],
        "tal": [2],
        "tal town": [],
        "town tal": [2],
        '"tal"': [],
        "nowhere": [],
        "": [],
        "  ": [],
    }.items():
        assert found(store, query) == expected, query


def test_what_matches_is_marked_by_positions(store: Store) -> None:
    keep(store, "x", f"{'before ' * 100}the\n\tstd::vector <b>grows</b> \x1b[31m{'after ' * 100}")
    (match,) = store.search('"std vector" grow')
    assert "std::vector <b>grows</b>" in match.snippet
    assert "".join(marked(match)).startswith("std")
    assert marked(match)[-1].startswith("grow")
    assert "\x1b" not in match.snippet
    assert "\n" not in match.snippet
    assert match.snippet[0] == match.snippet[-1] == "…"
    assert len(match.snippet) <= 402


def test_signs_in_hostile_text_are_no_marks(store: Store) -> None:
    keep(store, "a \x02fake\x03 mark \u200b here")
    (match,) = store.search("mark")
    assert match.snippet == "a fake mark here"
    assert marked(match) == ["mark"]


def test_a_script_without_blanks_is_searched_by_its_characters(store: Store) -> None:
    keep(store, "翻訳", "我喜欢北京天安门 and tea")
    for query in ("北京", "天安门", "北京 tea"):
        (match,) = store.search(query)
        assert marked(match)[0] in query
        assert "\u200b" not in match.snippet
    assert found(store, "京北") == []


@pytest.mark.parametrize("query", ["->", '"->"', "::", "🙂"])
def test_signs_alone_are_looked_for_as_they_are(store: Store, query: str) -> None:
    turn = keep(store, "what is", "p->x, std::y 🙂")
    keep(store, "other", "nothing")
    assert found(store, query) == [turn]


def test_titles_come_first_and_their_turns_are_none(store: Store) -> None:
    turn = keep(store, "about sorting", at=5)
    store.rename(1, "Sorting, my way")
    title, said = store.search("sorting")
    assert (title.turn_id, title.title, marked(title)) == (None, "Sorting, my way", ["Sorting"])
    assert (said.turn_id, said.title, said.created_at) == (turn, "Sorting, my way", 5)
    assert len(store.search("sorting", limit=1)) == 1


def test_the_newest_come_first_and_are_bounded(store: Store) -> None:
    ids = [keep(store, f"word {number}") for number in range(9)]
    assert [match.turn_id for match in store.search("word", limit=4)] == ids[:-5:-1]
    assert store.search("word", limit=0) == ()


def test_what_is_changed_and_deleted_is_followed(store: Store) -> None:
    turn = keep(store, "ask", "first answer")
    store.save_answer(turn, Answer("A", "name", "model", "second answer"))
    assert (found(store, "first"), found(store, "second")) == ([], [turn])
    keep(store, "other", "second thoughts")
    store.delete([1])
    assert found(store, "answer") == []
    assert found(store, "second") == [2]
    words = sqlite3.connect(store._path).execute("SELECT count(*) FROM unindexed")
    assert words.fetchone() == (0,) or index.MODULE != "fts5"


def test_what_older_versions_kept_is_found(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "gputui.db")) as old:
        old.executescript(_MIGRATIONS[0])
        old.execute("INSERT INTO conversations VALUES (1, 0)")
        old.executemany(
            "INSERT INTO turns VALUES (?, 1, ?, 0)", ((n, f"p{n}") for n in range(1, 1201))
        )
        old.execute(
            "INSERT INTO answers (turn_id, side, name, model, text, reasoning, hint)"
            " VALUES (7, 'A', 'n', 'm', 'a heron', 'why', '')"
        )
        old.execute("PRAGMA user_version = 1")
        old.commit()
    store = Store(tmp_path / "gputui.db")
    assert (found(store, "heron"), found(store, '"p1200"'), found(store, '"p1"')) == (
        [7],
        [1200],
        [1],
    )
    store.close()


def test_a_sqlite_without_the_module_in_between_leaves_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    store = Store(path)
    keep(store, "before", "one")
    store.close()
    rename = "UPDATE sqlite_master SET sql = replace(sql, '{}', '{}') WHERE name = 'words'"
    for old, new in (("fts5", "fts_missing"), ("fts_missing", "fts5")):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(rename.format(old, new))
            connection.commit()
        keep(store, f"with {new}", "two")
        assert found(store, "before") == [1]
        assert len(found(store, "with")) == (1 if new == "fts_missing" else 2)
        store.close()


def test_an_index_that_is_damaged_costs_no_answer(tmp_path: Path) -> None:
    store = Store(tmp_path / "gputui.db")
    keep(store, "before", "one")
    with contextlib.closing(sqlite3.connect(tmp_path / "gputui.db")) as connection:
        connection.execute("UPDATE words_data SET block = x'ff' WHERE id < 100")
        connection.commit()
    turn = keep(store, "after", "kept all the same")
    assert store.turns(2)[0].answers["A"].text == "kept all the same"
    assert found(store, "same") == [turn], "and it is made anew"
    store.close()


@ANY_PATH
@given(query=st.text(max_size=40) | st.text('"*()^:+-{}~ANDORTNEAR ab', max_size=40))
def test_no_query_is_wrong(tmp_path: Path, query: str) -> None:
    store = Store(tmp_path / "gputui.db")
    if not store.conversations():
        keep(store, "a b AND OR NOT NEAR", "ab :: + - * ( ) ^ { }")
    for match in store.search(query):
        places = [place for mark in match.marks for place in mark]
        assert places == sorted(places)
        assert all(0 <= place <= len(match.snippet) for place in places)
    store.close()


WORDS = st.text("abAÄé,. -_\n北京", max_size=25)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=4),
    query=st.text('aabÄe "-北', max_size=8),
)
def test_both_ways_find_the_same_turns(texts: list[tuple[str, str, str]], query: str) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        for script in _MIGRATIONS:
            connection.executescript(script)
        connection.execute("INSERT INTO conversations (id, created_at) VALUES (1, 0)")
        for turn, (prompt, text, reasoning) in enumerate(texts, 1):
            connection.execute("INSERT INTO turns VALUES (?, 1, ?, 0, '')", (turn, prompt))
            connection.execute(
                "INSERT INTO answers (turn_id, side, name, model, text, reasoning, hint)"
                " VALUES (?, 'A', '', '', ?, ?, '')",
                (turn, text, reasoning),
            )
        connection.commit()
        assert index.usable(connection)
        while not index.catch_up(connection, 2):
            connection.commit()
        both = [
            {one.turn_id for one in search.search(connection, query, 9, indexed=indexed)}
            for indexed in (True, False)
        ]
    assert both[0] == both[1]


def test_a_search_reads_the_index_and_no_table_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "gputui.db")
    for number in range(30):
        keep(store, f"word {number}", "common word", conversation=1 if number else None)
    store.search("word")
    plans, statements = [], []
    connection = store._reader._connection
    assert connection is not None
    connection.set_trace_callback(statements.append)
    for call in (
        lambda: store.search("word"),
        lambda: store.turns(1, newest=5),
        lambda: store.turns(1, newest=5, before=20),
        lambda: store.summary(1),
    ):
        statements.clear()
        call()
        selects = [one for one in statements if one.lstrip().startswith(("SELECT", "WITH"))]
        assert len(selects) <= 7
        plans.append(selects)
    connection.set_trace_callback(None)
    for select in {one for selects in plans for one in selects}:
        steps = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {select}")]
        scans = [step for step in steps if step.startswith(("SCAN answers", "SCAN turns"))]
        assert [step for step in scans if "COVERING INDEX" not in step] == [], (select, steps)
    store.close()


def test_letters_that_are_typed_in_two_characters_are_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "gputui.db")
    keep(store, "ein Café", "über alles")
    for query in ("cafe\u0301", "u\u0308ber", '"alles u\u0308ber" '[:-1], "caf\u00e9"):
        found = len(store.search(query))
        assert found == (0 if "alles" in query else 1), query
    store.close()


def test_a_search_that_takes_its_time_keeps_nothing_from_being_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "gputui.db")
    keep(store, "first", "->")
    with store._reading() as connection:  # as a search in another thread holds it
        assert connection.execute("SELECT count(*) FROM answers").fetchone()[0] == 1
        keep(store, "second", "->", conversation=1)
        store.delete([1])
        assert connection.execute("SELECT count(*) FROM answers").fetchone()[0] == 1, "one moment"
    assert store.search("->") == ()
    store.close()
