"""Pictures and texts on the wire, through a conversation, the command and a server that sees nothing."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from gputui.chat.answering.client import request_body
from gputui.chat.asking.attachments import read_attachment
from gputui.chat.keeping.store import Store
from gputui.chat.model import Attachment, Endpoint, Message, Sampling
from gputui.config import state_dir
from gputui.errors import GputuiError
from tests.chat.raw_server import reply, reply_json
from tests.chat.talking import last, settled, talking
from tests.chat.test_chat_command import configured, run, served
from tests.support.hostile import completion
from tests.support.pictures import png

PICTURE = Attachment("cat.png", "image/png", png())
TEXT = Attachment("notes.txt", "text/plain", b"one\n")
ASKED = [
    {"type": "text", "text": "notes.txt:\n```\none\n```\n\nWhat is it?"},
    {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(png()).decode()}"},
    },
]


async def test_pictures_are_sent_as_data_uris_again_with_each_prompt_after() -> None:
    fine = reply(completion("a cat"))
    async with talking((fine,), (fine,)) as (conversation, a, b):
        conversation.send("What is it?", attachments=(PICTURE, TEXT))
        await settled(conversation)
        conversation.sides["B"].choose(b.endpoint("b", sees=False))
        conversation.send("And now?")
        await settled(conversation)
    assert [one.body["messages"] for one in (a.requests[0], b.requests[0])] == [
        [{"role": "user", "content": ASKED}]
    ] * 2
    assert a.requests[1].body["messages"][0]["content"] == ASKED
    told = b.requests[1].body["messages"][0]["content"]
    assert "a picture that you cannot see: cat.png" in told
    assert "base64" not in json.dumps(b.requests[1].body)


async def test_where_one_side_sees_nothing_neither_is_asked_and_a_retry_is_refused() -> None:
    fine = reply(completion("x"))
    async with talking((fine,), (fine,)) as (conversation, a, b):
        conversation.sides["B"].choose(b.endpoint("b", sees=False))
        with pytest.raises(GputuiError, match="b takes no pictures: start it with mmproj"):
            conversation.send("What is it?", attachments=(PICTURE,))
        assert not conversation.busy
        conversation.send("What is it?", attachments=(TEXT,))
        await settled(conversation)
        assert [len(a.requests), len(b.requests)] == [1, 1]
        conversation.send("What is it?", ("A",), (PICTURE,))
        await settled(conversation)
        conversation.sides["A"].choose(a.endpoint("a", sees=False))
        with pytest.raises(GputuiError, match="a takes no pictures"):
            conversation.retry("A")


async def test_a_server_that_decides_itself_is_asked_and_its_refusal_is_told() -> None:
    refusal = "image input is not supported - hint: you may need to provide the mmproj"
    error = {"error": {"code": 500, "message": refusal, "type": "server_error"}}
    async with talking((reply_json(error, 500),), (reply(completion("a cat")),)) as (
        conversation,
        a,
        _,
    ):
        conversation.send("What is it?", attachments=(PICTURE,))
        await settled(conversation)
        assert "image input is not supported" in (last(conversation, "A").error or "")
        assert last(conversation, "B").text == "a cat"
    assert len(a.requests) == 1


def test_a_prompt_without_pictures_stays_a_text() -> None:
    endpoint = Endpoint("m", "http://h/v1")
    body = request_body(endpoint, [Message("user", "hi")], Sampling())
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_the_command_attaches_files_and_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(png())
    (tmp_path / "notes.txt").write_bytes("Straße\n".encode("latin-1"))
    files = ("--attach", str(tmp_path / "cat.png"), "--attach", str(tmp_path / "notes.txt"))
    with served(reply(completion("x"))) as server:
        result = run(configured(tmp_path, one=server.url), "--a", "one", *files, "What is it?")
    assert result.exit_code == 0
    assert "notes.txt is not in UTF-8" in result.stderr
    (message,) = server.requests[0].body["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url"]
    store = Store(state_dir() / "gputui.db")
    (turn,) = store.turns(store.conversations()[0])
    store.close()
    read = read_attachment(str(tmp_path / "notes.txt")).attachment
    assert store.attachments(turn.id or 0) == (PICTURE, read)


def test_the_command_refuses_what_cannot_be_attached(tmp_path: Path) -> None:
    with served(reply(completion("x"))) as server:
        config = configured(tmp_path, one=server.url)
        result = run(config, "--a", "one", "--attach", str(tmp_path), "hi")
        (tmp_path / "cat.png").write_bytes(png())
        five = ("--attach", str(tmp_path / "cat.png")) * 5
        many = run(config, "--a", "one", *five, "hi")
    assert server.requests == []
    for refused, words in ((result, "is a directory"), (many, "More than 4 pictures")):
        assert refused.exit_code != 0
        told = str(refused.exception) + refused.stderr
        assert words in told
