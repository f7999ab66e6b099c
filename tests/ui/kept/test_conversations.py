"""All kept conversations on the screen, over a true database."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from gputui.chat.conversation import Conversation
from gputui.chat.keeping.found import Match
from gputui.chat.keeping.store import Store
from gputui.chat.model import Answer, Turn
from gputui.config import Config, EndpointConfig
from gputui.ui.chat.kept.finder import Finder
from gputui.ui.chat.kept.found_list import Found, FoundList
from gputui.ui.chat.kept.screen import ConversationsScreen
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.prompt import Prompt
from tests.chat.saying import keep, numbers
from tests.support.hostile import HOSTILE
from tests.ui.harness import Rig, make_rig, screen_text, until, until_shown

ENDPOINTS = tuple(
    EndpointConfig(name=name, url=f"http://127.0.0.1:{port}/v1")
    for name, port in (("left", 9), ("right", 10), ("model-A", 11))
)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are proposed to lie."""
    monkeypatch.setenv("GPUTUI_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@asynccontextmanager
async def dashboard(
    store: Store | None, size: tuple[int, int] = (160, 45), **more: object
) -> AsyncIterator[tuple[Rig, Pilot[str | None]]]:
    one = make_rig(Config(endpoints=ENDPOINTS[:2]), conversation=Conversation(store), **more)  # type: ignore[arg-type]
    async with one.app.run_test(size=size, notifications=True) as pilot:
        await until_shown(pilot, "left")
        yield one, pilot


def said(store: Store, prompt: str, answer: str, at: float, side: str = "A") -> int:
    """A conversation of one turn."""
    conversation = store.new_conversation(at)
    turn = store.new_turn(conversation, Turn(prompt, at, {}))
    store.save_answer(turn, Answer(side, "left", "m.gguf", answer, finish_reason="stop"))
    return conversation


async def test_found_by_a_word_opened_at_its_turn_and_gone_on_with(tmp_path: Path) -> None:
    store, _ = keep(tmp_path / "gputui.db", 60, title="the long one")
    said(store, "about penguins", "they swim well", 2e9)
    async with dashboard(store) as (one, pilot):
        await pilot.press("o")
        await until_shown(pilot, "about penguins")
        await until_shown(pilot, "the long one")
        await pilot.press(*"answer 7 of")
        await until_shown(pilot, "1 place, titles")
        assert "about penguins" not in screen_text(one.app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(one.app.focused, Prompt))
        await until_shown(pilot, "answer 7 of A")
        await until_shown(pilot, "answer 7 of B")
        assert numbers(one.conversation.sides["A"].finished) == list(range(60))
        assert one.conversation.id == 1
        await pilot.press("escape", "o")
        await until_shown(pilot, "the long one  (open)")


async def test_those_that_answered_are_offered_where_others_sit(tmp_path: Path) -> None:
    store, _ = keep(tmp_path / "gputui.db", 2)
    one = make_rig(Config(endpoints=ENDPOINTS), conversation=Conversation(store))
    async with one.app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(pilot, "right")
        await pilot.press("o")
        await until_shown(pilot, "last prompt")
        await pilot.press("enter")
        await until_shown(pilot, "It was answered by model-A on side A. Seat them again?")
        await pilot.press("y")
        await until_shown(pilot, "A  model-A")
        assert [
            side.endpoint.name for side in one.conversation.sides.values() if side.endpoint
        ] == [
            "model-A",
            "right",
        ]


async def test_renamed_exported_and_deleted_by_key(tmp_path: Path, state: Path) -> None:
    store, kept = keep(tmp_path / "gputui.db", 3)
    other = said(store, "about penguins", "they swim well", 2e9)
    target = tmp_path / "out.json"
    target.write_text("mine")
    async with dashboard(store, (100, 30)) as (one, pilot):
        await pilot.press("o", "down", "f2")
        await until_shown(pilot, "Title of the conversation")
        await pilot.press("ctrl+u", *"new name", "enter")
        await until(pilot, lambda: store.summary(kept).title == "new name")
        await until_shown(pilot, "▸ new name")
        await pilot.press("f4")
        await until_shown(pilot, "Export as")
        await pilot.press("down", "enter")
        await until_shown(pilot, f"conversation-{kept}-2001")
        await pilot.press("ctrl+u", *str(target), "enter")
        await until_shown(pilot, "Replace it?")
        assert target.read_text() == "mine"
        await pilot.press("y")
        await until(pilot, lambda: target.read_text() != "mine")
        document = json.loads(target.read_text())
        assert [len(one["turns"]) for one in document["conversations"]] == [3]
        await until_shown(pilot, "Saved the conversation")
        await pilot.press("f8")
        await until_shown(pilot, "Delete “new name” with its 3 turns?")
        await pilot.press("n")
        await pilot.press("f8")
        await until_shown(pilot, "Delete “new name”")
        await pilot.press("y")
        await until(pilot, lambda: [one.id for one in store.summaries()] == [other])
        await until(pilot, lambda: "▸ new name" not in screen_text(one.app))
        assert not state.exists(), "the file went where it was meant to"  # noqa: ASYNC240


async def test_the_conversation_on_the_screen_by_typed_commands(
    tmp_path: Path, state: Path
) -> None:
    store, kept = keep(tmp_path / "gputui.db", 2)
    async with dashboard(store) as (one, pilot):

        async def type_command(text: str) -> None:
            await pilot.press("c")
            one.app.screen.query_one(Prompt).text = text
            await pilot.press("enter")

        await type_command("/rename too early")
        await pilot.press("escape")
        await until_shown(pilot, "This conversation is not kept")
        await one.conversation.open(kept)
        one.app.screen.query_one(ChatPanel).refresh_sides()
        await type_command("/rename by hand")
        await until(pilot, lambda: store.summary(kept).title == "by hand")
        await type_command(f"/export {tmp_path}/a.jsonl")
        await until(pilot, lambda: (tmp_path / "a.jsonl").exists())
        await until(pilot, lambda: len((tmp_path / "a.jsonl").read_text().splitlines()) == 4)
        await type_command("/export md")
        await until_shown(pilot, "state/saved/conversation-1-")
        await pilot.press("enter")
        await until(pilot, lambda: len(list((state / "saved").glob("*.md"))) == 1)
        await type_command("/search answer")
        await until_shown(pilot, "places, titles")
        await pilot.press("escape", "escape")
        await type_command("/delete")
        await until_shown(pilot, "Delete “by hand”")
        await pilot.press("y")
        await until(pilot, lambda: not store.summaries())
        await until(pilot, lambda: not one.conversation.turns and one.conversation.id is None)
        await until(pilot, lambda: "answer 1 of A" not in screen_text(one.app))


class SlowToDelete(Store):
    """A deletion is done when the test lets it."""

    began, go_on = threading.Event(), threading.Event()

    def delete(self, conversations: Sequence[int]) -> None:
        self.began.set()
        self.go_on.wait(30)
        super().delete(conversations)


async def test_what_is_begun_after_a_deletion_does_not_cut_it_off(tmp_path: Path) -> None:
    keep(tmp_path / "gputui.db", 2)[0].close()
    store = SlowToDelete(tmp_path / "gputui.db")
    other = said(store, "about penguins", "they swim well", 2e9)
    async with dashboard(store, (100, 30)) as (one, pilot):
        await pilot.press("o", "down", "f8")
        await until_shown(pilot, "with its 2 turns?")
        await pilot.press("y")
        await until(pilot, store.began.is_set)
        await pilot.press("f2")
        await until_shown(pilot, "Title of the conversation")
        store.go_on.set()
        await until(pilot, lambda: [one.id for one in store.summaries()] == [other])
        await until(pilot, lambda: "Deleted" in [n.title for n in one.app._notifications])
        await pilot.press("escape")
        await until(pilot, lambda: "prompt 0" not in screen_text(one.app))


class Held(Store):
    """A search is answered when the test lets it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[str] = []
        self.let = threading.Event()

    def search(self, query: str, limit: int = 50) -> tuple[Match, ...]:
        self.asked.append(query)
        assert self.let.wait(20)
        return super().search(query, limit)


async def test_typing_is_never_blocked_and_the_newest_question_wins(tmp_path: Path) -> None:
    keep(tmp_path / "gputui.db", 3)[0].close()
    store = Held(tmp_path / "gputui.db")
    async with dashboard(store) as (one, pilot):
        await pilot.press("o", *"a")
        await until(pilot, lambda: store.asked == ["a"])
        await pilot.press(*"nswer 2")
        await until_shown(pilot, "answer 2")
        store.let.set()
        await until_shown(pilot, "1 place, titles")
        assert store.asked == ["a", "answer 2"], "what nobody asks any more is not looked for"
        screen = one.app.screen
        assert isinstance(screen, ConversationsScreen)
        await pilot.press("escape")
        await until_shown(pilot, "last prompt")
        await pilot.press("escape")
        assert not isinstance(one.app.screen, ConversationsScreen)


@pytest.mark.parametrize("size", [(160, 45), (80, 24), (40, 10)])
async def test_hostile_titles_models_and_snippets_are_plain_text(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    store = Store(tmp_path / "gputui.db")
    for number, (_, text) in enumerate(HOSTILE):
        body = text[:3000].encode("utf-8", "replace").decode()
        conversation = said(store, f"{body} needle", body, 1e9 + number)
        store.rename(conversation, body)
        turn = store.new_turn(conversation, Turn("needle", 1e9 + number, {}))
        store.save_answer(turn, Answer("A", body[:300], body[:300], body + " needle " + body))
    async with dashboard(store, size, ascii_only=size == (80, 24)) as (one, pilot):
        await pilot.press("o")
        await until(pilot, lambda: bool(_items(one)))
        for key in ("end", "tab", "home", *"/needle"):
            await pilot.press(key)
        await until(pilot, lambda: any(isinstance(item, Match) for item in _items(one)))
        await pilot.press("down")
        await pilot.pause()
        assert one.app.is_running
        for strip in one.app.screen._compositor.render_strips(one.app.size):
            for segment in strip:
                assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in segment.text), segment
                assert not any(c in segment.text for c in "\u202e\u2066\u200b"), segment
                assert not (segment.style and segment.style.meta.get("@click")), segment
                assert size != (80, 24) or segment.text.isascii() or "▏" in segment.text


def _items(one: Rig) -> Any:
    found = one.app.screen.query_one(FoundList).found
    return found.items if found else ()


async def test_a_database_that_cannot_be_read_says_so_and_the_chat_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "gputui.db"
    path.write_bytes(b"no database" * 200)
    async with dashboard(Store(path), (80, 24)) as (one, pilot):
        await pilot.press("o")
        await until_shown(pilot, "not a database")
        await until_shown(pilot, "Move the file away")
        await pilot.press("enter", "f2", "f4", "f8", *"word", "enter")
        await until_shown(pilot, "not a database")
        await pilot.press("escape", "escape", "c")
        assert isinstance(one.app.focused, Prompt)


async def test_without_a_database_it_says_so() -> None:
    async with dashboard(None, (80, 24)) as (_, pilot):
        await pilot.press("o")
        await until_shown(pilot, "this chat has no database")


async def test_a_long_list_is_read_by_the_page() -> None:
    asked: list[int] = []

    class Counting:
        def summaries(self, count: int) -> tuple[()]:
            asked.append(count)
            return ()

    shown: list[Found] = []
    works: list[Any] = []
    finder = Finder(Counting(), works.append, shown.append)  # type: ignore[arg-type]
    finder.ask(" ", 5)
    finder.ask("", 7)
    assert len(works) == 1, "one question at a time"
    await works[0]
    assert asked == [7]
    assert [found.problem for found in shown] == [""]
