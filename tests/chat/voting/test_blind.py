"""A blind draw over true HTTP: until the vote nothing that a side says of itself tells who sits there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from gputui.chat.asking import choosing
from gputui.chat.conversation import Conversation
from gputui.chat.keeping.store import Store
from gputui.chat.model import STOPPED, Answer, Endpoint, Sampling, Settings, Turn
from gputui.chat.voting.blind import FAILED, NOBODY, TOLD_FAILED, TOLD_STOPPED
from gputui.chat.voting.casting import ballot_of
from gputui.chat.voting.vote import Choice
from gputui.errors import GputuiError
from tests.chat.raw_server import Responder, reply, reply_json, reply_then
from tests.chat.talking import PIECE, kept, settled, talking, until
from tests.support.hostile import completion


def swapped(items: list[Endpoint] | list[str]) -> None:
    items.reverse()


def as_they_are(items: list[Endpoint] | list[str]) -> None:
    pass


@asynccontextmanager
async def blind(
    a: tuple[Responder, ...], b: tuple[Responder, ...], store: Store | None = None
) -> AsyncIterator[Conversation]:
    """The server of ``a`` sits on side B, that of ``b`` on side A."""
    async with talking(a, b, store) as (chat, _, _b):
        chat.blind.shuffle = swapped
        chat.blind.begin()
        chat.begin_anew()
        chat.blind.shuffle = as_they_are
        yield chat


def said(chat: Conversation) -> str:
    """All that a screen, a copy or an export can say of the sides."""
    parts: list[object] = []
    for side in chat.sides.values():
        parts += [
            side.endpoint,
            side.live,
            list(side.finished),
            side.waiting,
            side.problem,
            side.settings,
            side.context_use,
            side.lingering,
            side.waits_for,
        ]
    return repr(parts)


def seats(chat: Conversation) -> list[str]:
    return [side.seated.name if side.seated else "" for side in chat.sides.values()]


THOUGHT = b'data: {"choices":[{"delta":{"reasoning_content":"let me think"}}]}\n\n'
WORDY = reply(THOUGHT + completion("fine"))
SHORT = reply(completion("good"))


async def test_the_draw_is_hidden_until_the_vote_and_told_after_it() -> None:
    async with blind((WORDY,), (SHORT,)) as chat:
        assert seats(chat) == ["b", "a"]
        assert chat.sides["A"].endpoint is chat.sides["B"].endpoint is NOBODY
        chat.send("hi")
        await settled(chat)
        answers = [chat.sides[s].finished[-1].answers[s] for s in "AB"]
        assert [one.text for one in answers] == ["good", "fine"]
        bare = Answer("A", "", "", "good", finish_reason="stop")
        assert answers[0] == bare, "no name, no figure, no settings"
        assert {f.name for f in fields(Answer) if getattr(answers[1], f.name) != getattr(bare, f.name)} == {
            "side", "text",
        }  # fmt: skip
        assert chat.sides["A"].finished[-1].answers["A"] is answers[0], "the same object each time"
        vote = ballot_of(chat).vote(Choice.B, "", lambda: 7.0)
        versions = [side.version for side in chat.sides.values()]
        chat.blind.reveal()
        assert (vote.a.name, vote.b.name, vote.blind, vote.at) == ("b", "a", True, 7.0)
        told = [chat.sides[s].finished[-1].answers[s] for s in "AB"]
        assert [one.name for one in told] == ["b", "a"]
        assert told[1].reasoning == "let me think"
        assert told[0].measurement.ttft_seconds is not None
        assert all(
            one.version > before for one, before in zip(chat.sides.values(), versions, strict=True)
        )
        assert not ballot_of(chat).vote(Choice.A, "").blind, "the names are known by now"


async def test_nothing_is_shown_until_both_have_finished_and_both_sides_show_the_same() -> None:
    go_on = asyncio.Event()
    slow = reply_then(PIECE, wait=go_on, rest=completion(" and the rest"))
    async with blind((slow,), (SHORT,)) as chat:
        chat.send("hi")
        await until(lambda: not chat.sides["A"].busy)
        versions = chat.sides["A"].version
        a, b = chat.sides["A"], chat.sides["B"]
        assert a.live is not None
        assert b.live is not None
        assert (a.live.text, b.live.text) == ("", "")
        assert a.live.measurement.ttft_seconds is b.live.measurement.ttft_seconds is None
        assert not a.finished
        assert not b.finished
        for question in (
            lambda: chat.send("more"),
            lambda: chat.retry("A"),
            lambda: ballot_of(chat),
        ):
            with pytest.raises(GputuiError) as refused:
                question()
            assert "ide" not in refused.value.message, "no side is said to be the one that writes"
        go_on.set()
        await settled(chat)
        assert a.version > versions, "the side that waited has something new to draw"
        assert all(side.live is None for side in chat.sides.values())
        assert len(a.finished) == len(b.finished) == 1


async def test_no_name_url_or_speed_is_in_anything_that_a_side_says() -> None:
    boom = reply_json({"error": {"message": "deepseek at /models/deepseek.gguf failed"}}, 500)
    async with blind((WORDY, boom), (SHORT, SHORT)) as chat:
        urls = [side.seated.url for side in chat.sides.values() if side.seated]
        chat.sides["A"].choose(chat.sides["A"].seated)  # as it is pointed to where it runs
        for _ in range(2):
            chat.send("hi")
            await settled(chat)
        text = said(chat)
        for secret in (
            *urls,
            "127.0.0.1",
            "deepseek",
            "name='a'",
            "name='b'",
            "let me think",
            "Figure(",
        ):
            assert secret not in text, text
        assert chat.sides["B"].finished[-1].answers["B"].error == FAILED
        with pytest.raises(GputuiError, match="no answer to vote on"):
            ballot_of(chat)
        chat.blind.end()
        assert "deepseek at" in (chat.sides["B"].finished[-1].answers["B"].error or "")


async def test_a_stop_stops_both_and_the_vote_after_it_is_not_blind() -> None:
    never = asyncio.Event()
    endless = reply_then(PIECE, wait=never, rest=b"")
    async with blind((endless,), (endless,)) as chat:
        chat.send("hi")
        await until(
            lambda: all(side._live and side._live.text.text for side in chat.sides.values())
        )
        chat.sides["B"].stop()
        await settled(chat)
        reasons = [chat.sides[s].finished[-1].answers[s].finish_reason for s in "AB"]
        assert reasons == [STOPPED, STOPPED]
        assert chat.blind.hidden
        ballot = ballot_of(chat)
        assert ballot.told == TOLD_STOPPED
        assert not ballot.vote(Choice.TIE, "").blind


async def test_a_failed_answer_tells_who_sits_where_also_after_a_retry_that_did_better() -> None:
    boom = reply_json({"error": {"message": "out of memory"}}, 500)
    async with blind((boom, SHORT, SHORT), (SHORT,) * 3) as chat:
        chat.send("hi")
        await settled(chat)
        chat.retry("A")
        await settled(chat)
        ballot = ballot_of(chat)
        assert (ballot.told, ballot.blind) == (TOLD_FAILED, False)
        assert not ballot.vote(Choice.A, "").blind
        chat.blind.reveal()
        assert ballot_of(chat).told == ""
        chat.send("next")
        await settled(chat)
        assert ballot_of(chat).blind, "a new draw is a new riddle"


async def test_a_model_that_is_not_ready_after_a_prompt_tells_who_sits_where_before_it_nothing() -> (
    None
):
    async with blind((SHORT,), (SHORT,)) as chat:
        chat.blind.not_ready()
        chat.send("hi")
        await settled(chat)
        assert ballot_of(chat).blind
        chat.blind.not_ready()
        assert not ballot_of(chat).blind


async def test_a_retry_asks_both_and_the_order_of_asking_is_drawn() -> None:
    async with blind((SHORT,) * 4, (SHORT,) * 4) as chat:
        chat.at_once = 1
        asked: list[list[str]] = []

        def note(items: list[Endpoint] | list[str]) -> None:
            asked.append([str(item) for item in items])

        chat.blind.shuffle = note
        chat.send("hi")
        assert not any(side.waiting for side in chat.sides.values()), "which one waits is not said"
        await settled(chat)
        chat.retry("A")
        assert all(side.busy for side in chat.sides.values())
        await settled(chat)
        assert asked == [["A", "B"], ["A", "B"]]


async def test_after_the_vote_the_next_prompt_begins_a_new_draw_in_a_new_conversation(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "gputui.db")
    async with blind((SHORT,) * 3, (SHORT,) * 3, store) as chat:
        chat.send("first")
        await settled(chat)
        chat.send("second")
        await settled(chat)
        assert len(chat.sides["A"].finished) == 2, "several prompts before the vote"
        chat.blind.reveal()
        chat.retry("A")
        await settled(chat)
        assert len(chat.sides["A"].finished) == 2, "one side is asked again as ever"
        chat.blind.shuffle = swapped
        chat.send("third")
        await settled(chat)
        assert chat.blind.hidden
        assert seats(chat) == ["a", "b"]
        assert [turn.prompt for turn in chat.sides["A"].finished] == ["third"]
    store = Store(tmp_path / "gputui.db")
    assert len(store.conversations()) == 2
    store.close()
    names = [turn.answers["A"].name for turn in kept(tmp_path / "gputui.db")]
    assert names == ["b", "b", "a"], "what is kept is the truth"


async def test_choosing_a_model_or_opening_another_conversation_ends_the_draw() -> None:
    async with blind((SHORT,), (SHORT,)) as chat:
        seated = chat.sides["A"].seated
        assert seated is not None
        chat.sides["A"].choose(Endpoint(seated.name, "http://127.0.0.1:1/v1"))
        assert chat.blind.hidden, "the same one, where it runs now"
        chat.sides["A"].choose(Endpoint("c", "http://127.0.0.1:1/v1"))
        assert not chat.blind.on
    async with blind((SHORT,), (SHORT,)) as chat:
        chat.seat(("A", "B", "C"))
        assert not chat.blind.on
    async with blind((SHORT,), (SHORT,)) as chat:
        chat.take_up([Turn("p", 1.0, {"A": Answer("A", "x", "y", "z")})], 3)
        assert not chat.blind.on
    async with blind((SHORT,), (SHORT,)) as chat:
        chat.blind.shuffle = swapped
        chat.begin_anew()
        assert chat.blind.hidden, "an empty one is a new draw"
        assert seats(chat) == ["a", "b"]


async def test_both_are_asked_alike_and_own_settings_come_back() -> None:
    async with talking((SHORT,), (SHORT,)) as (chat, a, b):
        own = Settings("be a pirate", Sampling(temperature=0.1))
        chat.sides["A"].settings = own
        chat.blind.begin()
        chat.begin_anew()
        with pytest.raises(GputuiError, match="both sides are asked"):
            chat.send("hi", ("A",))
        chat.send("hi")
        await settled(chat)
        assert a.requests[0].body == b.requests[0].body
        assert "pirate" not in json.dumps(a.requests[0].body)
        chat.blind.end()
        assert chat.sides["A"].settings == own


async def test_in_blind_mode_nothing_is_chosen_for_one_side_alone() -> None:
    async with blind((SHORT,), (SHORT,)) as chat:
        for choose in (
            lambda: choosing.choose_value(chat, "A", "temperature", "0.1"),
            lambda: choosing.choose_system(chat, "A", "be a pirate"),
            lambda: choosing.drop(chat, "B", "1"),
        ):
            with pytest.raises(GputuiError, match="asked alike") as refused:
                choose()
            assert not {"a", "b"} & set(str(refused.value).split()), "no name is told"
        choosing.choose_value(chat, None, "temperature", "0.1")
        assert chat.settings.sampling.temperature == 0.1
        chat.blind.end()
        choosing.choose_value(chat, "A", "temperature", "0.2")


async def test_there_must_be_two_models() -> None:
    chat = Conversation(None)
    with pytest.raises(GputuiError, match="two models"):
        chat.blind.begin()
    for side in chat.sides.values():
        side.choose(Endpoint("same", "http://127.0.0.1:1/v1"))
    with pytest.raises(GputuiError, match="same sits on both sides"):
        chat.blind.begin()
    assert not chat.blind.on


def test_each_seat_is_as_likely() -> None:
    chat = Conversation(None)
    for name, side in chat.sides.items():
        side.choose(Endpoint(name, f"http://127.0.0.1:1/{name}"))
    chat.blind.begin()
    first = []
    for _ in range(400):
        chat.begin_anew()
        first.append(seats(chat)[0])
    assert 120 < first.count("A") < 280  # 8 standard deviations


async def test_a_ballot_needs_two_answers_to_the_same_prompt() -> None:
    async with talking((SHORT, SHORT), (SHORT,)) as (chat, _, _b):
        with pytest.raises(GputuiError, match="no two answers"):
            ballot_of(chat)
        chat.tag = "code"
        chat.send("hi")
        await settled(chat)
        ballot = ballot_of(chat)
        vote = ballot.vote(Choice.TIE, ballot.named())
        assert (vote.blind, vote.named, vote.tag) == (False, "", "code")
        chat.send("more", ("A",))
        await settled(chat)
        with pytest.raises(GputuiError, match="one side alone"):
            ballot_of(chat)


async def test_a_vote_says_which_answer_named_itself() -> None:
    async with talking((reply(completion("I am Qwen.")),), (SHORT,)) as (chat, _, _b):
        chat.send("who are you?")
        await settled(chat)
        assert ballot_of(chat).named() == "a"
