"""Hostile text in every field that reaches a screen, at full length and in every cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from gputui.chat.answering.buffer import TextBuffer
from gputui.chat.answering.wire import Event, EventParser, TextDelta
from gputui.chat.model import Answer
from gputui.text import clean
from tests.chat.raw_server import Responder, reply, reply_json
from tests.chat.talking import last, roles, settled, talking
from tests.support.hostile import HOSTILE, IDS, assert_clean, completion

SMALL = 2000
"""Characters up to which a text is cut at every place."""

LONGEST_LINE = 700
"""Characters of anything that is shown on one line: a message, a hint, a name."""


def joined(text: str) -> str:
    """``text`` with the halves of characters joined; a lone one can be shown by no terminal."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def assert_fields_clean(answer: Answer) -> None:
    """Every field that a screen, a table or a terminal shows."""
    for text in (answer.text, answer.reasoning):
        assert_clean(text)
    for line in (answer.model, answer.finish_reason, answer.error, answer.hint):
        assert_clean(line or "")
        assert "\n" not in (line or "")
        assert "\t" not in (line or "")
        assert len(line or "") <= LONGEST_LINE


def chunk(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=IDS)
async def test_every_field_of_an_answer_is_clean_and_nothing_is_lost(name: str, text: str) -> None:
    delta = {"content": text, "reasoning_content": text}
    stream = chunk(model=text, choices=[{"delta": delta}])
    stream += chunk(choices=[{"delta": {}, "finish_reason": text}]) + b"data: [DONE]\n\n"
    size = max(7, len(stream) // 50)
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    async with talking((reply(*pieces),), (reply(stream),)) as (chat, _, _b):
        chat.send("hi")
        while chat.sides["A"].busy:
            if (live := chat.sides["A"].live) is not None:
                assert_fields_clean(live)
            await asyncio.sleep(0)
        await settled(chat)
        for side in "AB":
            answer = last(chat, side)
            assert_fields_clean(answer)
            assert answer.error is None
            assert answer.text == answer.reasoning == clean(joined(text))


def in_stream(text: str) -> Responder:
    return reply(chunk(error={"message": text, "type": text, "code": 500}))


def in_body(text: str) -> Responder:
    return reply_json({"error": {"message": text}})


def bare(text: str) -> Responder:
    return reply_json({"error": text, "detail": text}, 500)


def unlike_json(text: str) -> Responder:
    raw = text.encode(errors="surrogatepass").replace(b"\n", b" ").replace(b"\r", b" ")
    return reply(b"data: {" + raw + b"\n\n")


def page(text: str) -> Responder:
    body = f"<html><title>{text}</title>".encode(errors="surrogatepass")
    return reply(body, kind="text/html")


def context(text: str) -> Responder:
    error = {"type": "exceed_context_size_error", "n_ctx": text, "n_prompt_tokens": text}
    return reply_json({"error": error})


def in_header(text: str) -> Responder:
    """Control characters break HTTP; the rest of Latin-1 can stand in a header."""
    value = "".join(c for c in text[:2000] if c.isprintable() and c < "\x7f")
    return reply(b"{}", status=429, kind="application/json", retry_after=value.strip() or "1")


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=IDS)
@pytest.mark.parametrize(
    ("first", "second"), [(in_stream, in_body), (bare, unlike_json), (page, in_header)]
)
async def test_every_error_is_clean_and_short(
    first: Callable[[str], Responder], second: Callable[[str], Responder], name: str, text: str
) -> None:
    async with talking((first(text), context(text)), (second(text),)) as (chat, _, _b):
        chat.send("hi")
        await settled(chat)
        for side in "AB":
            assert_fields_clean(last(chat, side))
        chat.retry("A")
        await settled(chat)
        assert_fields_clean(last(chat, "A"))
        if first is page or text.strip():  # an error that says nothing is none
            assert last(chat, "A").error


def buffered(pieces: list[str]) -> str:
    buffer = TextBuffer()
    for piece in pieces:
        buffer.append(piece)
        assert_clean(buffer.text[-100:])
    buffer.close()
    return buffer.text


def cuts(text: str) -> list[list[str]]:
    """A text in one piece a character, in two pieces cut at every place, and in odd sizes."""
    sizes = (1, 2, 3, 7) if len(text) <= SMALL else (997, 65537)
    ways = [[text[i : i + size] for i in range(0, len(text), size)] for size in sizes]
    places = range(len(text)) if len(text) <= SMALL else (1, 2, 3, 4097, len(text) - 1)
    return ways + [[text[:place], text[place:]] for place in places]


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=IDS)
def test_no_cut_between_pieces_changes_what_is_shown(name: str, text: str) -> None:
    whole = clean(joined(text))
    for pieces in cuts(text):
        assert buffered(pieces) == whole


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=IDS)
def test_no_cut_between_bytes_changes_what_arrives(name: str, text: str) -> None:
    """As servers send it that escape nothing: a cut falls inside characters of four bytes."""
    delta = {"choices": [{"delta": {"content": text, "reasoning": text}, "finish_reason": text}]}
    line = json.dumps(delta, ensure_ascii=False).encode(errors="surrogatepass")
    stream = b"data: " + line + b"\n\n"
    size = 1 if len(stream) <= 4 * SMALL else 997
    parser, events = EventParser(), list[Event]()
    for start in range(0, len(stream), size):
        events += parser.feed(stream[start : start + size])
    events += parser.close()
    assert events == list(EventParser().feed(stream))
    for reasoning in (False, True):
        said = [e.text for e in events if isinstance(e, TextDelta) and e.reasoning is reasoning]
        assert_clean(buffered(said))


@pytest.mark.parametrize("end", ["\n", "\x07", "\x1bx"])
def test_introducers_without_number_cost_no_more_than_their_length(end: str) -> None:
    """Each once scanned the text to its end: 20,000 of them held the screen for four seconds."""
    assert buffered(["\x9d" * (1 << 20) + end, "a"]) == clean("\x9d" * (1 << 20) + end + "a")


async def test_what_the_end_of_a_piece_held_back_is_there_at_the_end() -> None:
    async with talking((reply(completion("end\r")),), (reply(completion("x\x1b[")),)) as (c, _, _b):
        c.send("hi")
        await settled(c)
        assert last(c, "A").text == "end\n"
        assert last(c, "B").text == "x"


async def test_a_hostile_prompt_is_sent_clean() -> None:
    async with talking((reply(completion("x")),), (reply(completion("y")),)) as (chat, a, _):
        chat.send("\x1b[31mred\ud800?", ("A",))
        await settled(chat)
        assert roles(a.requests[0]) == [("user", "red?")]
