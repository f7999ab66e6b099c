"""How full a context is, and what to leave out where it is too small."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.answering.overflow import ContextExceededError
from gputui.chat.answering.wire import error_of
from gputui.chat.asking import choosing
from gputui.chat.asking.context import ContextUse, drop_words, full_words, turn_tokens, use
from gputui.chat.listing import listing_of
from gputui.chat.model import Answer, Endpoint, Figure, Measurement, Settings, Turn
from tests.chat.raw_server import reply, reply_json
from tests.chat.talking import last, roles, settled, talking
from tests.support.hostile import completion


def turn(number: int, prompt: int | None, answered: int | None, **more: object) -> Turn:
    """A turn whose server counted so many tokens."""

    def figure(value: int | None) -> Figure | None:
        return None if value is None else Figure(value, "server")

    numbers = Measurement(prompt_tokens=figure(prompt), completion_tokens=figure(answered))
    text = Answer("A", "a", "m", "word " * 80, finish_reason="stop", measurement=numbers)
    return Turn("question", 1e9 + number, {"A": replace(text, **more)})  # type: ignore[arg-type]


AT = Endpoint("a", "http://h/v1", context=8192)
TURNS = [turn(1, 100, 400), turn(2, 550, 300), turn(3, 900, 200)]
"""Prompts of 100, 50 and 50 tokens, each with its answer."""


def test_what_a_turn_holds_is_how_the_prompt_grew() -> None:
    assert turn_tokens(TURNS, "A") == [500, 350, 250]


def test_the_system_prompt_is_no_part_of_the_first_turn() -> None:
    first = turn(1, 100, 400, settings=Settings("x" * 240))
    assert turn_tokens([first], "A") == [440]


def test_reasoning_is_not_sent_again() -> None:
    thought = turn(1, 100, 400)
    answer = thought.answers["A"]
    counted = replace(answer.measurement, reasoning_tokens=Figure(300, "server"))
    known = replace(thought, answers={"A": replace(answer, measurement=counted)})
    assert turn_tokens([known], "A") == [200]
    guessed = replace(thought, answers={"A": replace(answer, reasoning="word " * 240)})
    assert turn_tokens([guessed], "A") == [200]


def test_where_the_server_counts_nothing_characters_are_counted() -> None:
    assert turn_tokens([turn(1, None, None)], "A") == [2 + 100]


def test_a_turn_that_failed_is_not_sent_and_costs_nothing() -> None:
    failed = turn(2, None, None, error="boom", text="")
    assert turn_tokens([TURNS[0], failed, TURNS[1]], "A") == [500, 0, 350]


def test_the_use_is_what_the_server_counted_last() -> None:
    assert use(TURNS, "A", None, AT, 0) == ContextUse(1100, 8192)
    assert use(TURNS, "A", None, Endpoint("a", "http://h/v1"), 0) is None
    assert use(TURNS, "A", None, None, 0) is None
    assert use([], "A", None, AT, 0) is None
    assert use([*TURNS, turn(4, None, None)], "A", None, AT, 0) == ContextUse(1100, 8192)
    live = turn(4, 1150, 7).answers["A"]
    assert use(TURNS, "A", live, AT, 0) == ContextUse(1157, 8192)


def test_what_was_dropped_since_is_taken_off_by_estimate_and_put_back() -> None:
    assert use(TURNS, "A", None, AT, 2) == ContextUse(250, 8192, estimated=True)
    fewer = [*TURNS[:2], turn(3, 900, 200, dropped=2)]
    assert use(fewer, "A", None, AT, 2) == ContextUse(1100, 8192)
    assert use(fewer, "A", None, AT, 0) == ContextUse(1950, 8192, estimated=True)
    uncounted = [*TURNS, turn(4, None, None, dropped=2)]
    assert use(uncounted, "A", None, AT, 2) == ContextUse(250, 8192, estimated=True)


def test_another_models_count_is_an_estimate() -> None:
    for other in (replace(AT, name="b"), replace(AT, served_model="another")):
        assert use(TURNS, "A", None, other, 0) == ContextUse(1100, 8192, estimated=True)
    assert use(TURNS, "A", None, replace(AT, served_model="m"), 0) == ContextUse(1100, 8192)


def test_reasoning_is_in_the_context_only_while_it_is_written() -> None:
    thought = turn(1, 100, 400)
    numbers = replace(thought.answers["A"].measurement, reasoning_tokens=Figure(300, "server"))
    answer = replace(thought.answers["A"], measurement=numbers)
    assert use([], "A", answer, AT, 0) == ContextUse(500, 8192)
    assert use([replace(thought, answers={"A": answer})], "A", None, AT, 0) == ContextUse(200, 8192)


def test_as_few_turns_as_make_room_are_named() -> None:
    assert drop_words(TURNS, "A", 0, 1) == "/drop 1 leaves out the oldest turn (about 500 tokens)."
    assert drop_words(TURNS, "A", 0, 501).startswith("/drop 2 leaves out the 2 oldest turns")
    assert drop_words(TURNS, "A", 1, 300).startswith("/drop 2 "), "one is left out already"
    assert drop_words(TURNS, "A", 0, 1101) == ""
    assert drop_words([], "A", 0, 1) == ""


def test_a_context_that_is_nearly_full_is_told_before_the_next_prompt() -> None:
    assert full_words(TURNS, "A", 0, ContextUse(1100, 8192), None) == ""
    words = full_words(TURNS, "A", 0, ContextUse(8000, 8192), None)
    assert words.startswith("A: about 8000 of 8192 tokens of context are used: /drop 1 leaves out")
    assert "/new" in full_words([], "A", 0, ContextUse(8190, 8192), None)


@given(
    st.lists(st.tuples(st.none() | st.integers(0, 9999), st.none() | st.integers(0, 9999))),
    st.integers(0, 9),
    st.integers(1, 99999),
)
def test_no_count_of_a_server_breaks_the_estimate(
    counts: list[tuple[int | None, int | None]], dropped: int, too_many: int
) -> None:
    turns = [turn(number, *pair) for number, pair in enumerate(counts)]
    costs = turn_tokens(turns, "A")
    assert len(costs) == len(turns)
    assert all(cost >= 0 for cost in costs)
    words = drop_words(turns, "A", dropped, too_many)
    if words:
        assert sum(costs[dropped : int(words.split()[1])]) >= too_many


# ── what servers say ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "tokens", "context"),
    [
        ({"type": "exceed_context_size_error", "n_prompt_tokens": 9120, "n_ctx": 8192}, 9120, 8192),
        ({"type": "exceed_context_size_error", "n_prompt_tokens": "x"}, None, None),
        (
            {
                "message": "This model's maximum context length is 8192 tokens. However, you "
                "requested 9120 tokens (8620 in the messages, 500 in the completion).",
                "code": "context_length_exceeded",
            },
            9120,
            8192,
        ),
        (
            {
                "message": "This model's maximum context length is 4096 tokens. However, your "
                "request has 5001 input tokens. Please reduce the length of the input messages."
            },
            5001,
            4096,
        ),
        ({"message": "too long", "code": "context_length_exceeded"}, None, None),
        (
            {"message": "request (5000 tokens) exceeds the available context size (4096 tokens)"},
            5000,
            4096,
        ),
    ],
)
def test_an_overflow_is_known_from_each_servers_words(
    error: dict[str, object], tokens: int | None, context: int | None
) -> None:
    found = error_of({"error": error})
    assert isinstance(found, ContextExceededError)
    assert (found.tokens, found.context) == (tokens, context)


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large",
        "This model's maximum context length is 8192 tokens and your request has 12 input tokens",
    ],
)
def test_what_is_no_overflow_stays_in_the_servers_own_words(message: str) -> None:
    found = error_of({"error": {"message": message}})
    assert not isinstance(found, ContextExceededError)
    assert found.message == message


OVERFLOW = reply_json(
    {
        "error": {
            "code": 400,
            "message": "too long",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 900,
            "n_ctx": 768,
        }
    },
    400,
)


def counted(text: str, prompt: int, answered: int) -> bytes:
    usage = {"prompt_tokens": prompt, "completion_tokens": answered}
    last = json.dumps({"choices": [], "usage": usage}).encode()
    return completion(text).replace(b"data: [DONE]", b"data: " + last + b"\n\ndata: [DONE]")


async def test_an_overflow_says_what_to_drop_and_then_it_fits() -> None:
    answers = (
        reply(counted("one", 100, 300)),
        reply(counted("two", 450, 300)),
        OVERFLOW,
        reply(counted("three", 550, 10)),
    )
    async with talking(answers, (reply(completion("x")),)) as (chat, a, _):
        side = chat.sides["A"]
        for prompt in ("1?", "2?", "3?"):
            chat.send(prompt, ("A",))
            await settled(chat)
        failed = last(chat, "A")
        assert failed.error == "The conversation has 900 tokens, the context of a holds 768"
        assert failed.hint == "/drop 1 leaves out the oldest turn (about 400 tokens)."
        assert side.context_use == ContextUse(750, 768), "how long it may be is known from here on"
        assert "is not sent any more" in choosing.drop(chat, None, "1")
        notes = [side.note_of(turn).sent for turn in side.finished]
        assert notes == [False, True, True]
        chat.retry("A")
        await settled(chat)
        assert roles(a.requests[-1]) == [("user", "2?"), ("assistant", "two"), ("user", "3?")]
        assert last(chat, "A").text == "three"
        assert len(side.finished) == 3, "what is not sent stays in the transcript"
        assert [turn.answers["A"].dropped for turn in side.finished] == [0, 0, 1]
        assert side.context_use == ContextUse(560, 768)
        assert "all turns are sent" in choosing.drop(chat, None, "0")
        assert [side.note_of(turn).sent for turn in side.finished] == [True] * 3


async def test_a_new_conversation_leaves_out_nothing() -> None:
    async with talking((reply(completion("x")),), (reply(completion("x")),)) as (chat, _, _b):
        chat.send("hi")
        await settled(chat)
        choosing.drop(chat, "A", "7")
        assert chat.sides["A"].dropped == 1, "no more than there are"
        assert chat.sides["B"].dropped == 0
        chat.begin_anew()
        assert chat.sides["A"].dropped == 0


# ── what a list of models says ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("item", "context", "llama"),
    [
        ({"id": "m", "max_model_len": 32768, "owned_by": "vllm"}, 32768, False),
        ({"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 131072}}, None, True),
        ({"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": 4096}}, 4096, True),
        ({"id": "m", "context_length": 8192}, 8192, False),
        ({"id": "m", "max_model_len": "many"}, None, False),
        ({"id": "m", "max_model_len": 0}, None, False),
    ],
)
def test_the_context_is_what_the_list_says_of_the_model(
    item: dict[str, object], context: int | None, llama: bool
) -> None:
    listing = listing_of(json.dumps({"data": [item]}).encode(), None)
    assert listing is not None
    assert (listing.models, listing.context, listing.llama) == (("m",), context, llama)


def test_of_several_models_the_configured_one_counts() -> None:
    body = json.dumps({"data": [{"id": "a", "max_model_len": 1}, {"id": "b", "max_model_len": 2}]})
    sizes = [one.context for model in ("b", None) if (one := listing_of(body.encode(), model))]
    assert sizes == [2, None]
    assert listing_of(b"[]", None) is None
