"""Blind mode on the dashboard: nothing on the screen tells who is who, then the vote tells it all."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replace_config
from textual.pilot import Pilot

from gputui.alerts.rules import rules_of
from gputui.alerts.watch import AlertWatch
from gputui.chat.conversation import Conversation
from gputui.chat.keeping.store import Store
from gputui.chat.voting.box import VoteBox
from gputui.chat.voting.standings import standings
from gputui.chat.voting.store import VoteStore
from gputui.chat.voting.vote import Choice
from gputui.config import TargetsConfig
from gputui.instances.status import State
from gputui.themes import load_themes, shipped_dir
from gputui.ui.chat.kept.found_list import Found
from gputui.ui.chat.kept.keeping import Keeping
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.voting.dialogs import RevealDialog, VoteDialog
from gputui.ui.chat.voting.lines import votes_lines
from gputui.ui.chat.voting.screen import VotesScreen
from gputui.ui.chat.voting.veiled import veiled
from gputui.ui.dialogs import ChoiceDialog
from gputui.ui.palette import Palette
from tests.chat.saying import keep
from tests.chat.talking import settled
from tests.chat.voting.test_blind import SHORT, blind, swapped
from tests.chat.voting.votes import many
from tests.ui.harness import BOTH, CONFIG, Rig, rig, screen_text, until, until_shown
from tests.ui.test_chat import END, Script, answers, chunk, server

A, B = (
    b'data: {"model":"deepseek","choices":[]}\n\n',
    b'data: {"model":"qwen-coder","choices":[]}\n\n',
)
Play = tuple[Rig, Pilot[str | None]]


def chat_text(one: Rig) -> str:
    """What the chat alone shows, borders and all."""
    region = one.app.screen.query_one(ChatPanel).region
    lines = screen_text(one.app).splitlines()[region.y : region.bottom]
    return "\n".join(lines)


def toasts(one: Rig) -> list[str]:
    """The titles of what is told."""
    return [notification.title for notification in one.app._notifications]


def slow_ones(watch: AlertWatch) -> list[str]:
    """Whose TTFT an alert tells."""
    return [alert.subject.name for alert in watch.firing if alert.rule.name == "ttft"]


def border_hues(one: Rig) -> set[object]:
    panel = one.app.screen.query_one(ChatPanel)
    return {panel.pane(side).styles.border_top[1] for side in "AB"}


@contextlib.asynccontextmanager
async def playing(
    tmp_path: Path, left: Script, right: Script, size: tuple[int, int] = (160, 45), **more: object
) -> AsyncIterator[Play]:
    """Both instances ready, each on a GPU of its own; deepseek says ``left``."""
    async with server(left) as a, server(right) as b:
        statuses = (
            replace(BOTH[0], url=a.removesuffix("/v1")),
            replace(BOTH[1], state=State.READY, owned=True, url=b.removesuffix("/v1")),
        )
        box = VoteBox(VoteStore(tmp_path / "gputui.db"))
        one = rig(statuses=statuses, conversation=Conversation(None), votes=box, **more)
        one.conversation.blind.shuffle = swapped
        async with one.app.run_test(size=size, notifications=True) as pilot:
            await until_shown(pilot, "2 of 2 ready")
            yield one, pilot


async def begin(one: Rig, pilot: Pilot[str | None]) -> None:
    await pilot.press("c", *"/blind", "enter")
    await until(pilot, lambda: one.conversation.blind.hidden)


async def test_a_blind_round_from_the_draw_to_the_table(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        await answers(A, chunk(reasoning_content="hm"), chunk(content="slow wins"))(writer)
        await go_on.wait()
        await answers(END)(writer)

    fast = answers(B, chunk(content="I am Qwen, hello"), END)
    strict = TargetsConfig(ttft_seconds=1e-6)
    instances = tuple(replace_config(one, targets=strict) for one in CONFIG.instances)
    config = replace_config(CONFIG, instances=instances)
    watch = AlertWatch(config, rules_of(config), None)
    with_alerts: dict[str, Any] = {"config": config, "alerts": watch, "watchers": (watch,)}
    async with playing(tmp_path, slow, fast, **with_alerts) as (one, pilot):
        assert len(border_hues(one)) == 2
        await begin(one, pilot)
        await until(pilot, lambda: "deepseek" not in chat_text(one))
        assert len(border_hues(one)) == 1, "both wear the same, of no GPU"
        await pilot.press(*"hi", "enter")
        await until(pilot, lambda: not one.conversation.sides["A"].busy)
        await until(pilot, lambda: chat_text(one).count("both are being written") == 2)
        assert "I am Qwen" not in chat_text(one)
        go_on.set()
        await until_shown(pilot, "slow wins")
        text = chat_text(one)
        assert "I am Qwen, hello" in text
        for secret in (
            "deepseek",
            "qwen-coder",
            "tok/s",
            "TTFT",
            "127.0.0.1",
            "reasoning",
            "names",
        ):
            assert secret not in text, text
        assert text.count("read both, then /vote") == 2
        assert "A  ·  blind" in text
        look = one.app.screen._alerting.update  # type: ignore[attr-defined]
        look()
        watch.observed(one.supervisor.statuses)
        assert not slow_ones(watch), "no speed is told by an alert"
        await pilot.press("escape", "v")
        await until(pilot, lambda: isinstance(one.app.screen, VoteDialog))
        assert "not a blind vote" not in screen_text(one.app)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(one.app.screen, RevealDialog))
        told = screen_text(one.app)
        assert "A was qwen-coder" in told
        assert "B was deepseek" in told
        assert "better" in told
        assert "A names itself" in told
        await pilot.press("enter")
        await until(pilot, lambda: "B  deepseek" in chat_text(one))
        assert len(border_hues(one)) == 2
        await until(pilot, lambda: len(slow_ones(watch)) == 2)
        await until(pilot, lambda: chat_text(one).count("TTFT") == 2)
        box = one.app.services.votes
        assert box is not None
        await until(pilot, lambda: box.unkept == 0)
        (vote,) = await box.votes()
        assert (vote.choice, vote.blind, vote.named) == (Choice.B, True, "a")
        assert (vote.a.name, vote.b.name) == ("qwen-coder", "deepseek")
        await pilot.press("c", *"/votes", "enter")
        await until(pilot, lambda: isinstance(one.app.screen, VotesScreen))
        await until_shown(pilot, "1 on answers that named themselves")
        await pilot.press("n")
        await until_shown(pilot, "A won 0 of 1")
        await pilot.press("escape", *"next", "enter")
        await until(pilot, lambda: one.conversation.blind.hidden)
        await until(pilot, lambda: "deepseek" not in chat_text(one))
        await until(pilot, lambda: "› hi" not in chat_text(one))  # in a new conversation
        await until_shown(pilot, "› next")


async def test_choosing_a_model_and_leaving_end_the_draw_without_a_vote(tmp_path: Path) -> None:
    quick = answers(chunk(content="agreed"), END)
    async with playing(tmp_path, quick, quick, size=(80, 24)) as (one, pilot):
        await begin(one, pilot)
        await until(pilot, lambda: "deepseek" not in chat_text(one))
        await pilot.press("escape", "a")
        await until(pilot, lambda: isinstance(one.app.screen, ChoiceDialog))
        await pilot.press("enter")
        await until(pilot, lambda: not one.conversation.blind.on)
        await until(pilot, lambda: "deepseek" in chat_text(one))
        await pilot.press("c", *"/blind", "enter")  # deepseek sits on both sides by now
        await until_shown(pilot, "deepseek sits on both sides")
        assert not one.conversation.blind.on


async def test_an_open_vote_is_told_as_such_and_can_be_changed(tmp_path: Path) -> None:
    left, right = answers(A, chunk(content="left"), END), answers(B, chunk(content="right"), END)
    async with playing(tmp_path, left, right) as (one, pilot):
        await pilot.press("v")
        await until_shown(pilot, "There are no two answers")
        await pilot.press("c", *"hi", "enter")
        await until_shown(pilot, "right")
        await until_shown(pilot, "left")
        await pilot.press("escape", "v")
        await until_shown(pilot, "The names are known")
        await pilot.press("t")
        await until_shown(pilot, "Voted: a tie")
        await until(pilot, lambda: chat_text(one).count("voted: a tie") == 2)
        await pilot.press("c", *"/vote bad", "enter")
        await until_shown(pilot, "Voted: both are bad")
        box = one.app.services.votes
        assert box is not None
        await until(pilot, lambda: box.unkept == 0)
        votes = await box.votes()
        assert [(vote.choice, vote.blind) for vote in votes] == [
            (Choice.TIE, False),
            (Choice.BOTH_BAD, False),
        ]
        assert votes[0].turn == votes[1].turn
        await pilot.press(*"/vote c", "enter")
        await until(pilot, lambda: "/vote takes a, b, tie, bad" in toasts(one))


async def test_a_vote_is_blind_only_if_the_draw_still_holds_as_it_is_cast(tmp_path: Path) -> None:
    quick = answers(chunk(content="agreed"), END)
    async with playing(tmp_path, quick, quick) as (one, pilot):
        await begin(one, pilot)
        await pilot.press(*"hi", "enter")
        await until(pilot, lambda: chat_text(one).count("agreed") == 2)
        await pilot.press("escape", "v")
        await until(pilot, lambda: isinstance(one.app.screen, VoteDialog))
        one.conversation.blind.end()
        await pilot.press("a")
        await until(pilot, lambda: "Voted: A is better" in toasts(one))
        box = one.app.services.votes
        assert box is not None
        assert [vote.blind for vote in await box.votes()] == [False]
        await pilot.press("v")
        await until(pilot, lambda: isinstance(one.app.screen, VoteDialog))
        one.conversation.begin_anew()
        await pilot.press("a")
        await until(pilot, lambda: "There are no two answers to vote on" in toasts(one))


async def test_a_vote_that_is_not_kept_is_told_and_kept_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = answers(chunk(content="agreed"), END)
    async with playing(tmp_path, quick, quick) as (one, pilot):
        box = one.app.services.votes
        assert box is not None
        monkeypatch.setattr(box._store._database, "_patience", 0.01)
        await box.votes()
        other = sqlite3.connect(tmp_path / "gputui.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await pilot.press("c", *"hi", "enter")
        await until(pilot, lambda: chat_text(one).count("agreed") == 2)
        await pilot.press(*"/vote a", "enter")
        await until(pilot, lambda: any("the vote is not kept" in title for title in toasts(one)))
        other.execute("ROLLBACK")
        other.close()
        await until(pilot, lambda: "The vote is kept now" in toasts(one))
        assert box.unkept == 0


async def test_what_becomes_of_instances_in_a_draw_is_in_the_ballot_and_opening_another_asks(
    tmp_path: Path,
) -> None:
    store, other = keep(tmp_path / "kept.db", 1)
    quick = answers(chunk(content="agreed"), END)
    async with playing(tmp_path, quick, quick) as (one, pilot):
        one.conversation.store = store
        await begin(one, pilot)
        await pilot.press(*"hi", "enter")
        await until(pilot, lambda: chat_text(one).count("agreed") == 2)
        ready = list(one.supervisor.statuses)
        one.supervisor.statuses = [ready[0], replace(ready[1], state=State.FAILED)]
        await until(pilot, lambda: bool(one.conversation.blind.told))
        one.supervisor.statuses = ready
        await pilot.press(*"/vote", "enter")
        await until_shown(pilot, "not ready meanwhile", "not a blind vote")
        await pilot.press("escape")
        keeping = Keeping(one.app.screen.chatting)  # type: ignore[attr-defined]
        keeping.work(keeping.open(other))
        await until_shown(pilot, "The draw ends without a vote")
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(one.app.screen, ChoiceDialog))
        assert one.conversation.blind.hidden
        keeping.work(keeping.open(other))
        await until_shown(pilot, "The draw ends without a vote")
        await pilot.press("y")
        await until_shown(pilot, "answer 0 of A")
        assert not one.conversation.blind.on


async def test_the_list_of_conversations_tells_nothing_of_a_draw_until_the_vote(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "kept.db")
    async with blind((SHORT,), (SHORT,), store) as chat:
        chat.send("hello there")
        await settled(chat)

        def found() -> tuple[Found, Found]:
            listed = Found(conversations=store.summaries(10))
            return veiled(listed, chat), veiled(
                Found("good", matches=store.search("good", 10)), chat
            )

        listed, searched = found()
        assert [(one.names, one.models) for one in listed.conversations] == [((), ())]
        assert not searched.matches
        assert chat.hidden_id == chat.id is not None
        chat.blind.reveal()
        listed, searched = found()
        assert [one.names for one in listed.conversations] == [("b", "a")]
        assert len(searched.matches) == 1


@pytest.mark.parametrize("width", [58, 76, 100, 150])
def test_the_table_fits(width: int) -> None:
    palette = Palette.of(load_themes([shipped_dir()]).choose("midnight"))
    lines = votes_lines(standings(many()), width, palette)
    text = "\n".join("".join(part for part, _ in line.runs) for line in lines)
    assert all(line.width <= width for line in lines), text
    for words in (
        "deepseek",
        "only among themselves",
        "no rating",
        "A won 5 of 5",
        "won",
        "votes",
    ):
        assert words in text, text
    assert ("●" in text) == (width > 60), "the bar goes first where there is no room"
