"""Exported conversations: all that was kept is in them, and no text can break their shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gputui.chat.figures import figures_line, settings_line
from gputui.chat.keeping.export import FORMATS, Kept, json_document, json_lines, read
from gputui.chat.keeping.found import Summary
from gputui.chat.keeping.markdown import markdown
from gputui.chat.keeping.store import Store
from gputui.chat.model import (
    FIGURES,
    Answer,
    Attachment,
    Figure,
    Measurement,
    Sampling,
    Settings,
    Turn,
)
from gputui.text import clean

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
HOSTILE = st.text("`~#>-*_[]()<>|\\!$&=+ \n\tab1.\x1b\x02", max_size=40) | ANY_TEXT
NUMBERS = st.none() | st.floats(0, 1e9)
FIGURE = st.none() | st.builds(Figure, st.floats(0, 1e9), st.sampled_from(["server", "client"]))
SETTINGS = st.none() | st.builds(
    Settings,
    st.none() | HOSTILE,
    st.builds(
        Sampling,
        temperature=NUMBERS,
        top_k=st.none() | st.integers(0, 100),
        seed=st.none() | st.integers(0, 2**31),
        cache_prompt=st.none() | st.booleans(),
    ),
)


def answers(side: str) -> st.SearchStrategy[Answer]:
    return st.builds(
        Answer,
        side=st.just(side),
        name=HOSTILE,
        model=HOSTILE,
        text=HOSTILE,
        reasoning=HOSTILE,
        finish_reason=st.none() | st.sampled_from(["stop", "length", "stopped"]),
        measurement=st.builds(
            Measurement,
            **dict.fromkeys(("ttft_seconds", "ttfo_seconds", "elapsed_seconds"), NUMBERS),
            **dict.fromkeys(FIGURES, FIGURE),
        ),
        error=st.none() | HOSTILE,
        hint=HOSTILE,
        settings=SETTINGS,
        left_out=st.lists(st.sampled_from(["seed", "top_k"]), unique=True).map(tuple),
        dropped=st.none() | st.integers(0, 2**53),
    )


TURNS = st.lists(
    st.builds(
        Turn,
        prompt=HOSTILE,
        created_at=st.floats(0, 4e9),
        answers=st.fixed_dictionaries({}, optional={side: answers(side) for side in "AB"}),
        id=st.integers(1, 99),
        attachments=st.lists(
            st.builds(Attachment, HOSTILE, st.just("image/png"), st.binary(min_size=1, max_size=9)),
            max_size=2,
        ).map(tuple),
        tag=HOSTILE,
    ),
    max_size=3,
)
SUMMARIES = st.builds(
    Summary,
    id=st.integers(1, 99),
    title=HOSTILE,
    given=st.booleans(),
    created_at=st.floats(0, 4e9),
    changed_at=st.floats(0, 4e9),
    turns=st.integers(0, 3),
    names=st.lists(HOSTILE, max_size=2).map(tuple),
    models=st.lists(HOSTILE, max_size=2).map(tuple),
)


def answer_back(shape: dict) -> Answer:  # type: ignore[type-arg]
    by = shape["measured_by"]
    times = {name: shape[name] for name in ("ttft_seconds", "ttfo_seconds", "elapsed_seconds")}
    figures = {name: Figure(shape[name], by[name]) for name in by}
    assert all(shape[name] is None for name in set(FIGURES) - set(by))
    told = shape["settings"]
    return Answer(
        **{name: shape[name] for name in ("side", "name", "model", "text", "reasoning")},
        finish_reason=shape["finish_reason"],
        measurement=Measurement(**times, **figures),
        error=shape["error"],
        hint=shape["hint"],
        settings=told and Settings(told["system"], Sampling(**told["sampling"])),
        left_out=tuple(shape["left_out"]),
        dropped=shape["dropped"],
    )


@settings(max_examples=80, deadline=None)
@given(summary=SUMMARIES, turns=TURNS)
def test_json_holds_all_that_was_kept(summary: Summary, turns: list[Turn]) -> None:
    shape = json.loads("".join(json_document([Kept(summary, turns)] * 2)))
    assert shape["version"] == 1
    kept, again = shape["conversations"]
    assert kept == again
    assert (
        Summary(
            kept["id"],
            kept["title"],
            kept["title_given"],
            kept["created_at"],
            kept["changed_at"],
            kept["turn_count"],
            tuple(kept["names"]),
            tuple(kept["models"]),
        )
        == summary
    )
    assert [one["turn"] for one in kept["turns"]] == list(range(1, len(turns) + 1))
    for one, turn in zip(kept["turns"], turns, strict=True):
        assert (one["id"], one["prompt"], one["created_at"], one["tag"]) == (
            *(turn.id, turn.prompt, turn.created_at, turn.tag),
        )
        assert {a["side"]: answer_back(a) for a in one["answers"]} == turn.answers
        assert one["attachments"] == [
            {
                "name": file.name,
                "media_type": file.media_type,
                "size_bytes": len(file.data),
                "sha256": sha256(file.data).hexdigest(),
            }
            for file in turn.attachments
        ]


@settings(max_examples=40, deadline=None)
@given(summary=SUMMARIES, turns=TURNS)
def test_json_lines_are_an_answer_each(summary: Summary, turns: list[Turn]) -> None:
    text = "".join(json_lines([Kept(summary, turns)]))
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    said = [(turn, answer) for turn in turns for _, answer in sorted(turn.answers.items())]
    assert len(lines) == len(said)
    for line, (turn, answer) in zip(lines, said, strict=True):
        assert answer_back(line) == answer
        assert (line["prompt"], line["turn_id"]) == (turn.prompt, turn.id)
        assert (line["conversation_id"], line["conversation_title"]) == (summary.id, summary.title)


def shown_texts(turns: list[Turn]) -> Iterator[str]:
    """What stands in a fence, in order: a system prompt where it is another than before on its side."""
    before: dict[str, str] = {}
    for turn in turns:
        yield turn.prompt
        for side, answer in sorted(turn.answers.items()):
            yield from (text for text in (answer.reasoning, answer.text) if text)
            system = (answer.settings.system if answer.settings else None) or ""
            if system and system != before.get(side):
                yield system
            before[side] = system


@settings(max_examples=150, deadline=None)
@given(summary=SUMMARIES, turns=TURNS)
def test_nothing_that_was_said_breaks_the_markdown(summary: Summary, turns: list[Turn]) -> None:
    document = "".join(markdown(summary, turns))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(document)
    headings = [token.tag for token in tokens if token.type == "heading_open"]
    expected = ["h1"] + [tag for turn in turns for tag in ["h2", *["h3"] * len(turn.answers)]]
    assert headings == expected
    fences = [token.content for token in tokens if token.type == "fence"]
    assert fences == [clean(text) + "\n" for text in shown_texts(turns)]
    allowed = {"heading_open", "heading_close", "inline", "paragraph_open", "paragraph_close"}
    allowed |= {
        "fence",
        "bullet_list_open",
        "bullet_list_close",
        "list_item_open",
        "list_item_close",
    }
    assert {token.type for token in tokens} <= allowed
    spans = {child.type for token in tokens for child in token.children or ()}
    assert spans <= {"text", "code_inline", "text_special", "softbreak"}


def test_the_markdown_is_to_be_read() -> None:
    numbers = Measurement(
        *(0.4, 1.2, 3.0),
        prompt_tokens=Figure(30, "server"),
        completion_tokens=Figure(36, "client"),
        generation_tokens_per_second=Figure(14.23, "server"),
        reasoning_tokens=Figure(12, "client"),
    )
    asked = Settings("Be brief.", Sampling(temperature=0.7, seed=42, cache_prompt=False))
    good = Answer(
        *("A", "deepseek", "R1_Q4_K_M", "```py\nsorted(x)\n```", "hm"),
        measurement=numbers,
        finish_reason="stop",
        settings=asked,
        left_out=("top_k",),
    )
    bad = Answer("B", "coder", "", "", error="coder: no answer", hint="Look at its log")
    file = Attachment("a.png", "image/png", b"123")
    turns = [
        Turn("How do I *sort*?", 1.0, {"A": good, "B": bad}, 1, (file,), "code"),
        Turn("And backwards?", 2.0, {"A": good}, 2),
    ]
    summary = Summary(7, "How do I *sort*?", False, 1.0, 2.0, 2, ("deepseek", "coder"), ("R1",))
    document = "".join(markdown(summary, turns))
    assert document.startswith(
        """# How do I \\*sort\\*?

Conversation 7 · begun 1970-01-01 00:00:01 UTC · 2 turns

## 1 · 1970-01-01 00:00:01 UTC

Tag: `code`

```text
How do I *sort*?
```

Attached: `a.png` · image/png · 3 B · SHA-256 `a665a459"""
    )
    numbers_line = (
        "14.2 tok/s (server) · TTFT 0.4 s (client) · TTFO 1.2 s (client) · 36 tokens (client)"
        " · 12 of them reasoning (client) · 30 tokens prompt (server) · 3.0 s in all"
    )
    settings_words = (
        "temperature 0.7 · seed 42 · cache_prompt false · refused by the server, so left out: top_k"
    )
    assert (
        f"""### A · `deepseek` · `R1_Q4_K_M`

Reasoning:

```text
hm
```

Answer:

````markdown
```py
sorted(x)
```
````

- Numbers: {numbers_line}
- Settings: `{settings_words}`
- System prompt:

```text
Be brief.
```

### B · `coder` · `–`

Failed: coder: no answer. Look at its log.

- Numbers: TTFT – (client) · – in all
- Settings: `not known`

## 2 · 1970-01-01 00:00:02 UTC
"""
        in document
    )
    assert document.endswith(f"- Settings: `{settings_words}`\n- System prompt: as before\n")
    assert figures_line(good) == numbers_line
    assert settings_line(Answer("A", "n", "m", "", settings=Settings())) == "the server's defaults"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_long_conversation_is_exported_whole(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path / "gputui.db")
    for conversation in (store.new_conversation(0), store.new_conversation(0)):
        for number in range(405):
            turn = store.new_turn(conversation, Turn(f"prompt {number}.", number, {}))
            if number == 404:
                store.save_answer(turn, Answer("A", "name", "model", "last answer"))
    document = "".join(FORMATS[kind](read(store, (2, 1))))
    assert document.count("last answer") == 2
    assert document.count("prompt 399.") == (0 if kind == "jsonl" else 2)
    store.close()
