"""How the sides are asked: the same explicit values, and what differs is said."""

from __future__ import annotations

import asyncio
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.asking import choosing
from gputui.chat.asking.parameters import PARAMETERS, parameter_of, shown, value_of
from gputui.chat.asking.settings import asked_otherwise, followed, own_words, sent, settings_of
from gputui.chat.conversation import Conversation
from gputui.chat.model import Answer, Endpoint, Sampling, Settings
from gputui.config import ChatConfig, PresetConfig, SamplingTable
from gputui.errors import GputuiError
from tests.chat.raw_server import reply, reply_then
from tests.chat.talking import PIECE, last, settled, talking, until
from tests.support.hostile import completion

LLAMA = Endpoint("a", "http://127.0.0.1:1/v1", llama=True)
OTHER = Endpoint("b", "http://127.0.0.1:2/v1")


def test_every_parameter_is_in_the_file_too() -> None:
    assert list(PARAMETERS) == [one.name for one in fields(Sampling)]
    assert set(SamplingTable.__struct_fields__) == {"system", *PARAMETERS}


# ── what is typed ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", "0", 0.0),
        ("temperature", "5", 5.0),
        ("top-K", "40", 40),
        ("seed", "4294967294", 2**32 - 2),
        ("cache_prompt", "OFF", False),
        ("repeat_penalty", "1.1", 1.1),
        ("min_p", "Default", None),
    ],
)
def test_values_as_they_are_typed(name: str, text: str, value: object) -> None:
    assert value_of(parameter_of(name), text) == value


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("temperature", "5.1", "0 to 5"),
        ("temperature", "-0.1", "0 to 5"),
        ("temperature", "nan", "0 to 5"),
        ("temperature", "", "0 to 5"),
        ("top_k", "2.5", "a whole number"),
        ("top_p", "1.01", "0 to 1"),
        ("repeat_penalty", "0", "more than 0, at most 5"),
        ("presence_penalty", "-3", "-2 to 2"),
        ("seed", "-1", "0 to 4294967294"),
        ("max_tokens", "0", "1 to"),
        ("cache_prompt", "1", "on or off"),
    ],
)
def test_a_wrong_value_is_refused_with_the_range(name: str, text: str, hint: str) -> None:
    with pytest.raises(GputuiError) as caught:
        value_of(parameter_of(name), text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("temperature", "banana", "temperature: banana is no number"),
        ("top_k", "2.5", "top_k: 2.5 is no whole number"),
        ("temperature", "nan", "temperature: nan is no number"),
        ("temperature", "9", "temperature: 9 is out of range"),
        ("temperature", "", "temperature: a value is missing"),
        ("cache_prompt", "1", "cache_prompt: 1 is neither on nor off"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(name: str, text: str, said: str) -> None:
    with pytest.raises(GputuiError) as caught:
        value_of(parameter_of(name), text)
    assert caught.value.message == said


def test_a_wrong_name_gets_the_nearest_one() -> None:
    with pytest.raises(GputuiError, match="temprature") as caught:
        parameter_of("temprature")
    assert "temperature" in caught.value.hint


@given(st.sampled_from(list(PARAMETERS)), st.text() | st.floats().map(str) | st.integers().map(str))
def test_any_text_is_a_value_that_reads_the_same_again_or_an_error(name: str, text: str) -> None:
    parameter = PARAMETERS[name]
    try:
        value = value_of(parameter, text)
    except GputuiError:
        return
    if value is not None:
        again = value_of(parameter, shown(value))
        assert again is not None
        assert math.isclose(again, value, rel_tol=1e-9)


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────


def test_where_nobody_chose_a_llama_server_gets_llama_cpps_own_values_and_others_openais() -> None:
    mine = sent(LLAMA, Settings(), Settings(), 7).sampling
    assert mine == Sampling(0.8, 40, 0.95, 0.05, 1.0, 0.0, 0.0, seed=7)
    assert sent(OTHER, Settings(), Settings(), 7).sampling == Sampling(
        temperature=0.8, top_p=0.95, seed=7
    )


def test_what_the_user_chose_is_sent_to_all() -> None:
    common = Settings("brief", Sampling(top_k=5, seed=1))
    settings = sent(OTHER, Settings(sampling=Sampling(top_k=9)), common, 7)
    assert (settings.system, settings.sampling.top_k, settings.sampling.seed) == ("brief", 9, 1)
    assert sent(OTHER, Settings(system=""), common, 7).system is None


async def test_both_sides_are_sent_the_same_and_the_answers_say_what_that_was() -> None:
    async with talking((reply(completion("x")),), (reply(completion("y")),)) as (chat, a, b):
        for side in chat.sides.values():
            assert side.seated is not None
            side.choose(replace(side.seated, llama=True))
        choosing.choose_value(chat, None, "max_tokens", "50")
        choosing.choose_value(chat, "B", "temperature", "0.2")
        chat.send("hi")
        await settled(chat)
        ours, theirs = a.requests[-1].body, b.requests[-1].body
        names = ("top_k", "top_p", "min_p", "seed", "max_tokens")
        assert [ours[name] for name in names] == [theirs[name] for name in names]
        assert (ours["temperature"], theirs["temperature"]) == (0.8, 0.2)
        settings = last(chat, "B").settings
        assert settings is not None
        assert (settings.sampling.temperature, settings.sampling.seed) == (0.2, theirs["seed"])
        notes = {name: side.note_of(side.finished[-1]).words for name, side in chat.sides.items()}
        assert notes == {"A": "asked with temperature 0.8", "B": "asked with temperature 0.2"}
        assert chat.sides["B"].finished[0].answers["B"].settings == settings


async def test_a_prompt_that_waits_is_sent_with_the_settings_that_it_was_asked_with() -> None:
    go_on = asyncio.Event()
    slow = reply_then(PIECE, wait=go_on, rest=completion("!"))
    async with talking((slow,), (reply(completion("y")),)) as (chat, _, b):
        choosing.choose_order(chat, "one")
        choosing.choose_system(chat, None, "before")
        chat.send("hi")
        await until(lambda: chat.sides["A"].live and chat.sides["A"].live.text)
        assert chat.sides["B"].waits_for == ("A",)
        assert chat.sides["A"].waits_for == ()
        live = chat.sides["B"].live
        assert live is not None
        assert live.measurement.elapsed_seconds is None, "the clock starts with the request"
        choosing.choose_system(chat, None, "after")
        go_on.set()
        await settled(chat)
        assert b.requests[0].body["messages"][0]["content"] == "before"
        settings = last(chat, "B").settings
        assert settings is not None
        assert settings.system == "before"
        assert chat.sides["B"].waits_for == ()


# ── what differs ─────────────────────────────────────────────────────────────────────────────────


def test_the_frame_says_what_is_a_sides_own_and_what_its_server_does_not_get() -> None:
    endpoints: dict[str, Endpoint | None] = {"A": LLAMA, "B": OTHER}
    own = {"A": Settings(sampling=Sampling(temperature=0.2)), "B": Settings(system="")}
    common = Settings("brief", Sampling(temperature=0.7))
    assert own_words("A", own, endpoints, common) == ("temperature 0.2",)
    assert own_words("B", own, endpoints, common) == ("no system prompt", "without top_k, min_p")
    same = dict.fromkeys("AB", Settings(sampling=Sampling(temperature=0.7)))
    assert own_words("A", same, endpoints, common) == ()


def answer(side: str, settings: Settings | None, *left_out: str) -> Answer:
    return Answer(side, side, "m", "text", settings=settings, left_out=left_out)


def test_an_answer_says_in_what_it_was_asked_otherwise() -> None:
    same = Settings(None, Sampling(temperature=0.8, top_k=40, seed=3))
    assert asked_otherwise(answer("A", same), [answer("B", same)]) == ()
    assert asked_otherwise(answer("A", same), []) == ()
    assert asked_otherwise(answer("A", None), [answer("B", same)]) == ()
    assert asked_otherwise(answer("A", same), [answer("B", None)]) == ()
    assert asked_otherwise(answer("A", same, "top_k"), [answer("B", same)]) == ("without top_k",)
    assert asked_otherwise(answer("A", same), [answer("B", same, "top_k", "stream_options")]) == ()
    again = replace(same, sampling=replace(same.sampling, seed=4))
    assert asked_otherwise(answer("A", again), [answer("B", same)]) == ("another seed",)
    system = Settings("be brief", same.sampling)
    assert asked_otherwise(answer("A", same), [answer("B", system)]) == ("no system prompt",)
    assert asked_otherwise(answer("A", system), [answer("B", same)]) == ("another system prompt",)


# ── what is chosen ───────────────────────────────────────────────────────────────────────────────

CODER = PresetConfig(name="coder", system="Code.", temperature=0.2, order="one")
PLAIN = PresetConfig(name="plain", top_k=1)


def test_a_preset_replaces_what_was_chosen() -> None:
    chat = Conversation()
    choosing.choose_value(chat, None, "top_p", "0.5")
    choosing.choose_value(chat, "A", "seed", "5")
    assert choosing.choose_preset(chat, None, CODER) == "both: preset coder"
    assert chat.settings == Settings("Code.", Sampling(temperature=0.2))
    assert chat.sides["A"].settings == Settings()
    assert chat.at_once == 1
    choosing.choose_preset(chat, "B", PLAIN)
    assert chat.sides["B"].settings == settings_of(PLAIN)
    assert chat.at_once == 1, "a preset without an order leaves it"
    assert choosing.name_of(chat.settings, (PLAIN, CODER)) == "coder"
    choosing.choose_configured(chat, None, ChatConfig(seed=3))
    assert (chat.settings, chat.at_once) == (Settings(sampling=Sampling(seed=3)), None)
    assert chat.sides["B"].settings == Settings()


def test_system_prompts_of_both_and_of_one() -> None:
    chat = Conversation()
    assert "be brief" in choosing.choose_system(chat, None, "be brief")
    choosing.choose_system(chat, "A", "none")
    assert chat.sides["A"].resolved(None).system is None
    assert chat.sides["B"].resolved(None).system == "be brief"
    choosing.choose_system(chat, "A", "default")
    assert chat.sides["A"].resolved(None).system == "be brief"
    choosing.choose_system(chat, None, "none")
    assert chat.settings.system is None


def test_what_there_is_not_is_refused_with_what_there_is() -> None:
    chat = Conversation()
    with pytest.raises(GputuiError, match="no preset") as caught:
        choosing.preset_named((CODER,), "codr")
    assert "coder" in caught.value.hint
    with pytest.raises(GputuiError, match="no preset"):
        choosing.preset_named((), "x")
    with pytest.raises(GputuiError):
        choosing.choose_order(chat, "two")
    with pytest.raises(GputuiError):
        choosing.drop(chat, None, "-1")
    with pytest.raises(GputuiError, match="named save"):
        choosing.preset_values(chat, "save")


def test_what_is_saved_as_a_preset_is_what_holds_for_both() -> None:
    chat = Conversation()
    choosing.choose_preset(chat, None, CODER)
    values = {name: one for name, one in choosing.preset_values(chat, "mine").items() if one}
    assert values == {"name": "mine", "system": "Code.", "temperature": 0.2, "order": "one"}


def test_the_files_changes_hold_and_what_the_user_set_stays() -> None:
    before, now = ChatConfig(seed=1, temperature=0.5), ChatConfig(seed=2, temperature=0.5)
    mine = Settings("mine", Sampling(temperature=0.9, seed=1))
    assert followed(mine, before, now) == Settings("mine", Sampling(temperature=0.9, seed=2))
    chat = Conversation()
    choosing.choose_configured(chat, None, before)
    choosing.follow(chat, before, replace_order(now))
    assert (chat.settings.sampling.seed, chat.at_once) == (2, 1)


def replace_order(config: ChatConfig) -> ChatConfig:
    return ChatConfig(seed=config.seed, temperature=config.temperature, order="one")
