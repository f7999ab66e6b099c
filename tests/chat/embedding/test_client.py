"""Asking for embeddings: batches in order, and every way in which a server answers otherwise."""

from __future__ import annotations

import asyncio
import json

import pytest

from gputui.chat.answering.client import make_client
from gputui.chat.embedding.client import BATCH, MOST_TEXTS, Embedded, embed
from gputui.chat.embedding.similarity import similarity
from gputui.chat.model import Endpoint
from gputui.errors import GputuiError
from tests.chat.raw_server import Request, Responder, head, reply_json, serve

KEY = "sk-very-secret-4711"


def answer(vectors: list[object], tokens: int | None = None, model: str = "m") -> dict[str, object]:
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return {"object": "list", "model": model, "data": data, **usage}


async def by_length(request: Request, writer: asyncio.StreamWriter) -> None:
    """A vector by the text's length, in the reverse order, as an index allows."""
    vectors: list[object] = [[float(len(text)), 1.0] for text in request.body["input"]]
    body = answer(vectors, tokens=sum(map(len, request.body["input"])))
    body["data"] = list(reversed(body["data"]))  # type: ignore[call-overload]
    writer.write(head(200, "application/json") + json.dumps(body).encode())
    await writer.drain()


async def ask(endpoint: Endpoint, *texts: str, told: list[int] | None = None) -> Embedded:
    async with make_client() as client:
        return await embed(client, endpoint, texts, (told if told is not None else []).append)


async def failure(
    *responders: Responder, texts: tuple[str, ...] = ("a", "b"), **more: str
) -> GputuiError:
    async with serve(*responders) as server:
        with pytest.raises(GputuiError) as caught:
            await ask(server.endpoint("e", **more), *texts)
    assert KEY not in str(caught.value)
    return caught.value


async def test_batches_come_back_in_the_order_of_the_texts() -> None:
    texts = ["x" * (number + 1) for number in range(BATCH + 3)]
    told: list[int] = []
    async with serve(by_length) as server:
        embedded = await ask(server.endpoint("e", key=KEY), *texts, told=told)
    assert [len(request.body["input"]) for request in server.requests] == [BATCH, 3]
    assert {request.path for request in server.requests} == {"/v1/embeddings"}
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert told == [BATCH, BATCH + 3]
    ratios = [round(vector[0] / vector[1]) for vector in embedded.vectors]
    assert ratios == [len(text) for text in texts]
    assert embedded.tokens is not None
    assert (embedded.tokens.value, embedded.tokens.origin) == (sum(map(len, texts)), "server")
    assert embedded.tokens_per_second is not None
    assert embedded.tokens_per_second.origin == "client"
    assert embedded.dimensions == 2


async def test_without_usage_there_is_no_speed() -> None:
    async with serve(reply_json(answer([[1], [2]]), 200)) as server:
        embedded = await ask(server.endpoint("e"), "a", "b")
    assert embedded.tokens is None
    assert embedded.tokens_per_second is None


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (answer([[1, 0]]), 200, "no list of embeddings"),
        (answer([[1, 0], []]), 200, "no list of embeddings"),
        (answer([[1, 0], [[1, 0], [0, 1]]]), 200, "no list of embeddings"),
        (answer([[1, 0], "AAAA"]), 200, "no list of embeddings"),
        ({"data": [{"index": 5, "embedding": [1]}, {"embedding": [1]}]}, 200, "no list"),
        ({"choices": []}, 200, "no list of embeddings"),
        (answer([[1, 0], [0, 0]]), 200, "text 2 is all zeros"),
        (answer([[1, 0], [None, 0]]), 200, "text 2 holds numbers that are none"),
        ({"error": "Not Found"}, 404, "nothing is served at http://127.0.0.1"),
        ({"error": {"message": f"bad key {KEY}"}}, 401, "refuses the key"),
        (
            {"error": {"message": "Loading model", "type": "unavailable_error"}},
            503,
            "still loading",
        ),
        (
            {"error": {"message": "This server does not support embeddings"}},
            501,
            "does not support",
        ),
    ],
)
async def test_what_is_no_vector_for_each_text_is_said(
    body: object, status: int, words: str
) -> None:
    assert words in (await failure(reply_json(body, status), key=KEY)).message


async def test_a_model_without_pooling_is_told_what_to_set() -> None:
    said = "Pooling type 'none' is not OAI compatible. Please use a different pooling type"
    error = await failure(reply_json({"error": {"code": 400, "message": said}}, 400))
    assert "--pooling" in error.hint


async def test_which_text_is_too_long_is_found() -> None:
    async def refuse(request: Request, writer: asyncio.StreamWriter) -> None:
        if any(len(text) > 5 for text in request.body["input"]):
            said = (
                "input (701 tokens) is too large to process. increase the physical batch size "
                "(current batch size: 512)"
            )
            await reply_json({"error": {"code": 500, "message": said}}, 500)(request, writer)
        else:
            await by_length(request, writer)

    error = await failure(refuse, texts=("a", "much longer", "c"))
    assert "Text 2: e takes 512 tokens of a text, and this one has 701" in error.message
    assert "ubatch_size" in error.hint


async def test_another_server_at_the_address_is_refused() -> None:
    error = await failure(reply_json(answer([[1], [1]], model="other"), 200), expected_model="e")
    assert "other answers at" in error.message


async def test_vectors_that_differ_in_dimension_from_batch_to_batch() -> None:
    many = tuple("t" for _ in range(BATCH + 1))
    responders = (
        reply_json(answer([[1.0, 0.0]] * BATCH), 200),
        reply_json(answer([[1.0, 0.0, 0.0]]), 200),
    )
    async with serve(*responders) as server:
        embedded = await ask(server.endpoint("e"), *many)
    with pytest.raises(GputuiError, match="different dimensions"):
        similarity(embedded.vectors)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("a",), "one text"),
        (("a", " "), "Text 2 is empty"),
        (("a",) * (MOST_TEXTS + 1), "257 texts"),
    ],
)
async def test_what_cannot_be_compared_is_not_asked(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(GputuiError, match=words):
        await ask(Endpoint("gone", "http://127.0.0.1:9/v1"), *texts)
