"""What a strict server refuses: found, left out, told, remembered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.answering.refusals import Refusals, left_out, refused, without
from gputui.chat.conversation import Conversation
from gputui.chat.model import Endpoint, Sampling, Settings
from tests.chat.raw_server import reply, reply_json, serve
from tests.chat.talking import last, settled
from tests.support.hostile import completion

SENT = {
    "messages": [],
    "model": "m",
    "stream": True,
    "stream_options": {},
    "timings_per_token": True,
    "return_progress": True,
    "temperature": 0.5,
    "top_k": 40,
    "max_tokens": 9,
}
UNKNOWN = {"error": {"message": "Unknown parameter: 'top_k'.", "param": "top_k"}}


def names(error: object, sent: dict[str, object] = SENT, *, llama: bool = False) -> set[str]:
    refusal = refused(sent, 400, json.dumps(error).encode(), llama=llama)
    return set(refusal.names) if refusal else set()


OURS = {"timings_per_token", "return_progress"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UNKNOWN, {"top_k", *OURS}),
        ({"detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"]}]}, {"top_k", *OURS}),
        ({"error": "unknown field temperature"}, {"temperature", *OURS}),
        ({"error": {"message": "no"}}, OURS),
        ({"error": {"message": "top_k must be positive"}}, set()),
        ({"error": {"message": "bad", "param": "messages"}}, set()),
        ({"error": {"message": "Image input is not supported by this server"}}, set()),
        ({"error": {"message": "Unknown parameter: 'messages'."}}, OURS),
    ],
)
def test_what_is_left_out(error: object, expected: set[str]) -> None:
    assert names(error) == expected


def test_what_is_named_nowhere_is_guessed_in_two_steps() -> None:
    fewer = without(SENT, frozenset(OURS))
    assert names({"error": "bad request"}, fewer) == {"top_k"}
    assert names({"error": "bad request"}, without(fewer, frozenset({"top_k"}))) == set()


def test_a_llama_server_refuses_no_field() -> None:
    assert names({"error": {"message": "template error"}}, llama=True) == set()


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_another_status_is_no_refusal_of_a_field(status: int) -> None:
    assert refused(SENT, status, json.dumps(UNKNOWN).encode()) is None


@given(st.binary(max_size=120))
def test_any_body_leaves_the_request_whole_enough(body: bytes) -> None:
    refusal = refused(SENT, 400, body)
    sent = without(SENT, refusal.names if refusal else frozenset())
    assert {"messages", "model", "stream"} <= sent.keys()


def test_another_name_is_nothing_left_out() -> None:
    dropped = frozenset({"max_tokens", "top_k"})
    assert without(SENT, dropped)["max_completion_tokens"] == 9
    assert left_out(SENT, dropped) == ("top_k",)
    assert left_out(SENT, dropped | {"max_completion_tokens"}) == ("top_k", "max_tokens")


def test_each_server_and_model_has_its_own() -> None:
    known = Refusals()
    one, other = Endpoint("a", "http://h/v1", "m"), Endpoint("a", "http://h/v1", "n")
    known.remember(one, frozenset({"top_k"}))
    known.remember(one, frozenset({"min_p"}))
    assert known.of(one) == {"top_k", "min_p"}
    assert known.of(other) == frozenset()


async def test_the_next_prompt_needs_one_request_and_says_again_what_is_missing() -> None:
    answers = (reply_json(UNKNOWN, 400), reply(completion("one")), reply(completion("two")))
    async with serve(*answers) as server:
        chat = Conversation(None)
        chat.settings = Settings(sampling=Sampling(top_k=40, temperature=0.5))
        chat.sides["A"].choose(server.endpoint())
        for text in ("one", "two"):
            chat.send("hi", ("A",))
            await settled(chat)
            assert last(chat, "A").text == text
            assert last(chat, "A").left_out == ("top_k",)
        await chat.close()
    assert len(server.requests) == 3
    assert "top_k" not in server.requests[2].body
    assert server.requests[2].body["temperature"] == 0.5


async def test_three_tries_and_what_was_learnt_in_them_is_known_the_next_time() -> None:
    def unknown(name: str) -> dict[str, object]:
        return {"error": {"message": f"Unknown parameter: '{name}'.", "param": name}}

    wrong = [reply_json(unknown(name)) for name in ("top_p", "seed", "temperature")]
    async with serve(*wrong, reply(completion("ok"))) as server:
        chat = Conversation(None)
        chat.settings = Settings(sampling=Sampling(top_p=0.9, temperature=0.5))
        chat.sides["A"].choose(server.endpoint())
        chat.send("hi", ("A",))
        await settled(chat)
        assert "temperature" in (last(chat, "A").error or "")
        assert len(server.requests) == 3
        chat.retry("A")
        await settled(chat)
        assert last(chat, "A").text == "ok"
        assert last(chat, "A").left_out == ("temperature", "top_p", "seed")
        await chat.close()
    assert len(server.requests) == 4
