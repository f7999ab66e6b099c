"""The wire of several servers, in any chunking."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.answering.wire import (
    MAX_LINE,
    Done,
    Event,
    EventParser,
    Failed,
    Finished,
    ModelNamed,
    PromptProgress,
    SseParser,
    TextDelta,
    Timings,
    Usage,
    events_of,
)
from gputui.errors import GputuiError
from tests.support.hostile import HOSTILE, IDS, INVALID_UTF8, completion

LLAMA_SERVER = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],'
    b'"created":1,"id":"c","model":"smollm2","object":"chat.completion.chunk",'
    b'"prompt_progress":{"total":37,"cache":0,"processed":16,"time_ms":210}}\n\n'
    b":\n\n"
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"reasoning_content":"Hm"}}],'
    b'"model":"smollm2"}\n\n'
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Caf\xc3\xa9 "}}],'
    b'"model":"smollm2","timings":{"cache_n":0,"prompt_n":37,"prompt_ms":603.0,'
    b'"prompt_per_second":61.3,"predicted_n":1,"predicted_ms":0.1,"predicted_per_second":10000.0}}\n\n'
    b'data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"model":"smollm2"}\n\n'
    b'data: {"choices":[],"model":"smollm2","usage":{"completion_tokens":45,"prompt_tokens":37,'
    b'"total_tokens":82}}\n\n'
    b"data: [DONE]\n\n"
)
READING_AFTER_ANOTHER_TASK = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],'
    b'"created":1795527404,"id":"c","model":"smollm2","object":"chat.completion.chunk","timings":{'
    b'"cache_n":24,"prompt_n":256,"prompt_ms":0.009,"prompt_per_token_ms":0.000140625,'
    b'"prompt_per_second":7111111.111111112,"predicted_n":5,"predicted_ms":187.229,'
    b'"predicted_per_token_ms":37.4458,"predicted_per_second":26.7052646758782},'
    b'"prompt_progress":{"total":1520,"cache":24,"processed":280,"time_ms":4758}}\n\n'
)
"""As llama-server sends it while it reads a prompt: its timings are those of the slot's task before."""
OPENAI = (
    b'data: {"id":"x","object":"chat.completion.chunk","model":"gpt-4o","system_fingerprint":"f",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    b'data: {"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],'
    b'"usage":null}\n\n'
    b'data: {"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
    b"data: [DONE]\n\n"
)
VLLM_REASONING = (
    b'data: {"model":"r1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\r\n\r\n'
    b'data: {"model":"r1","choices":[{"index":0,"delta":{"reasoning":"so"}}]}\r\n\r\n'
    b'data: {"model":"r1","choices":[{"index":0,"delta":{"content":"yes"},"finish_reason":"length"}]}\r\n\r\n'
    b"data: [DONE]\r\n\r\n"
)
OLLAMA_WITHOUT_DONE = (
    b'data:{"model":"qwen","choices":[{"index":0,"delta":{"role":"assistant","content":"o"}}]}\n\n'
    b'data:{"model":"qwen","choices":[{"index":0,"delta":{"content":"k"},"finish_reason":"stop"}]}\n'
)


def parse(stream: bytes, cuts: list[int] | None = None) -> list[Event]:
    """The events of a stream cut at these places."""
    parser, events = EventParser(), list[Event]()
    places = sorted({min(cut, len(stream)) for cut in cuts or []})
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        events += parser.feed(stream[start:end])
    return events + list(parser.close())


def text_of(events: list[Event], *, reasoning: bool = False) -> str:
    return "".join(e.text for e in events if isinstance(e, TextDelta) and e.reasoning is reasoning)


def test_llama_server_says_everything() -> None:
    assert parse(LLAMA_SERVER) == [
        ModelNamed("smollm2"),
        PromptProgress(total=37, cache=0, processed=16),
        TextDelta("Hm", reasoning=True),
        TextDelta("Café "),
        Timings(0, 37, 603.0, 61.3, 1, 0.1, 10000.0),
        Finished("stop"),
        Usage(37, 45),
        Done(),
    ]


def test_timings_beside_progress_are_another_tasks() -> None:
    events = parse(READING_AFTER_ANOTHER_TASK)
    assert events == [ModelNamed("smollm2"), PromptProgress(1520, 24, 280)]


def test_openai_sends_no_numbers() -> None:
    assert parse(OPENAI) == [ModelNamed("gpt-4o"), TextDelta("Hi"), Finished("stop"), Done()]


def test_vllm_names_reasoning_otherwise_and_ends_lines_with_crlf() -> None:
    events = parse(VLLM_REASONING)
    assert text_of(events, reasoning=True) == "so"
    assert text_of(events) == "yes"
    assert Finished("length") in events


def test_ollama_without_space_without_done_and_without_last_blank_line() -> None:
    events = parse(OLLAMA_WITHOUT_DONE)
    assert text_of(events) == "ok"
    assert events[-1] == Finished("stop")


@pytest.mark.parametrize("stream", [LLAMA_SERVER, OPENAI, VLLM_REASONING, OLLAMA_WITHOUT_DONE])
def test_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    assert parse(stream, list(range(len(stream)))) == parse(stream)


@given(
    st.lists(st.text(max_size=20), max_size=6),
    st.lists(st.integers(0, 2000), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_chunking_gives_the_same_events(texts: list[str], cuts: list[int], end: str) -> None:
    chunks = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    lines = [f"data: {json.dumps(chunk, ensure_ascii=False)}{end}{end}" for chunk in chunks]
    stream = "".join(lines).encode(errors="surrogatepass")
    assert parse(stream, cuts) == parse(stream)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_in_any_chunking_give_the_same_events(stream: bytes, cuts: list[int]) -> None:
    assert str(parse(stream, cuts)) == str(parse(stream))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "content",
                        "timings",
                        "usage",
                        "prompt_n",
                        "error",
                        "model",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_shape_of_a_chunk_raises(body: object) -> None:
    for event in events_of(body):
        assert event is not None


def test_a_field_of_another_type_counts_as_not_there() -> None:
    body = {
        "model": 7,
        "choices": [{"delta": {"content": ["a"], "reasoning_content": "r"}, "finish_reason": 1}],
        "usage": {"prompt_tokens": "many", "completion_tokens": 3},
        "timings": {"prompt_n": None, "predicted_n": "x"},
    }
    assert list(events_of(body)) == [
        TextDelta("r", reasoning=True),
        Usage(None, 3),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_data_of_several_lines_is_one_event(end: bytes) -> None:
    lines = (b'data: {"choices": [{"delta":', b'data: {"content": "x"}}]}', b"", b"")
    stream = end.join(lines)
    assert parse(stream) == [TextDelta("x")]
    assert parse(stream, list(range(len(stream)))) == [TextDelta("x")]


def test_comments_other_fields_and_a_byte_order_mark_are_passed_over() -> None:
    stream = b"\xef\xbb\xbf: ping\nevent: message\nid: 4\nretry: 10\ndata: [DONE]\n\n"
    assert parse(stream) == [Done()]


@pytest.mark.parametrize(
    "line",
    [
        b'data: {"error": {"code": 500, "message": "kaputt", "type": "server_error"}}\n\n',
        b'data: {"error": "kaputt"}\n\n',
        b'error: {"code": 500, "message": "kaputt", "type": "server_error"}\n\n',
    ],
)
def test_an_error_in_mid_stream_is_the_servers_own_words(line: bytes) -> None:
    (event,) = parse(line)
    assert isinstance(event, Failed)
    assert event.error.message == "kaputt"


def test_what_is_not_json_is_said_so_cleanly() -> None:
    (event,) = parse(b"data: \x1b[31m<html>\n\n")
    assert isinstance(event, Failed)
    assert "not JSON" in event.error.message
    assert "\x1b" not in event.error.message


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=IDS)
def test_hostile_text_arrives_whole(name: str, text: str) -> None:
    """It is cleaned where it is collected, not here: nothing may be lost or split on the way."""
    sent = json.loads(json.dumps(text))  # which joins the halves of a character
    assert text_of(parse(completion(text, text))) == sent * 2


@pytest.mark.parametrize(("name", "raw"), INVALID_UTF8, ids=[name for name, _ in INVALID_UTF8])
def test_invalid_utf8_is_replaced(name: str, raw: bytes) -> None:
    stream = b'data: {"choices":[{"delta":{"content":"<' + raw + b'>"}}]}\n\n'
    events = parse(stream, list(range(len(stream))))
    assert events == parse(stream)
    assert text_of(events).startswith("<")
    assert "�" in text_of(events)


def test_a_line_without_end_is_refused() -> None:
    parser = SseParser()
    assert list(parser.feed(b"x" * MAX_LINE)) == []
    with pytest.raises(GputuiError, match="16 MiB"):
        list(parser.feed(b"x"))


def test_context_overflow_names_both_numbers() -> None:
    body = {"error": {"type": "exceed_context_size_error", "n_prompt_tokens": 5093, "n_ctx": 2048}}
    (event,) = events_of(body)
    assert isinstance(event, Failed)
    assert "5093" in event.error.message
    assert "2048" in event.error.message


@pytest.mark.parametrize(
    ("details", "counted"),
    [({"reasoning_tokens": 412}, 412), ({"reasoning_tokens": "x"}, None), (None, None), ([], None)],
)
def test_openai_counts_reasoning_a_level_deeper(details: object, counted: int | None) -> None:
    body = {"usage": {"completion_tokens": 500, "completion_tokens_details": details}}
    assert list(events_of(body)) == [Usage(completion_tokens=500, reasoning_tokens=counted)]


@pytest.mark.parametrize("count", [10**19, 2**53 + 1, -1])
def test_a_count_that_can_be_none_is_not_taken(count: int) -> None:
    body = {
        "usage": {"prompt_tokens": 7, "completion_tokens": count},
        "timings": {"predicted_n": count, "prompt_n": 7},
    }
    assert list(events_of(body)) == [Usage(prompt_tokens=7), Timings(prompt_n=7)]
