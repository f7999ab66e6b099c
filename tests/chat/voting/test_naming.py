"""Answers that say who made them, and answers that only speak of models."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.chat.voting.naming import FAMILIES, LONGEST, MAKERS, names_itself
from tests.support.hostile import HOSTILE

SELF = (
    "I am {}, a large language model.",
    "Hello! I'm {}. How can I help?",
    "I’m an AI assistant called {}",
    "My name is **{}**!",
    "As {}, I cannot feel.",
    "As an AI model named {}, my knowledge ends there.",
    "I am a helpful, open-weights model of the {} family.",
    "I am {} 3.1",
    "I am {}-32B-Instruct",
    "You are talking to {}.",
    "Ich bin {}, ein Sprachmodell.",
)
MADE = (
    "I am a large language model, trained by {}.",
    "I was created by {}.",
    "I'm an AI assistant that was developed by the team at {}, and I like it.",
    "As an AI language model developed by {}, I have no opinion.",
    "My creators are {}.",
)
MENTIONS = (
    "{} was released last year.",
    "I have heard of {}.",
    "I know that the model was trained on what {} wrote.",
    "You could compare it with {}; I would.",
    "I am not {}.",
    "I am going to explain how {} works.",
    "```\nI am {}\n```",
    "> I am {}",
    'The robot said: "I am {}" and left.',
    "I am {}ish",
    "I am x{}",
    "As {} grows, so do I.",
    "I am {}'s biggest fan.",
    "",
)


@settings(deadline=None)
@given(
    name=st.sampled_from(FAMILIES),
    said=st.sampled_from(SELF),
    change=st.sampled_from([str.upper, str.lower, str.title]),
)
def test_a_model_that_introduces_itself_is_found_in_any_case(
    name: str, said: str, change: object
) -> None:
    assert names_itself(change(said.format(name)))  # type: ignore[operator]


@settings(deadline=None)
@given(name=st.sampled_from(MAKERS), said=st.sampled_from(MADE))
def test_so_is_one_that_says_who_made_it(name: str, said: str) -> None:
    assert names_itself(said.format(name))


@settings(deadline=None)
@given(
    name=st.sampled_from(
        [
            name
            for name in (*FAMILIES, *MAKERS)
            if name.isascii() and not ({" ", "-"} & set(name))  # "seed-ossish" names Seed
        ]
    ),
    said=st.sampled_from(MENTIONS),
)
def test_who_only_mentions_a_model_is_not(name: str, said: str) -> None:
    assert not names_itself(said.format(name.title()))


@pytest.mark.parametrize(
    "text",
    [
        "Llamas are animals", "I am a llama, living in Peru.", "I am a falcon.", "The granite is hard",
        "Gemma was trained by Google.", "I like Claude Monet", "This is Google's own policy.",
        "You asked about GPT-4. It was trained by OpenAI.", "I am happy to tell you about DeepSeek",
        "I am sure that Microsoft made it",
    ],
)  # fmt: skip
def test_animals_painters_and_other_models_are_not(text: str) -> None:
    assert not names_itself(text)


def test_the_name_that_the_model_goes_by_here_counts() -> None:
    assert not names_itself("I am Zorblax.")
    assert names_itself("I am Zorblax.", {"zorblax"})
    assert names_itself("As Zorblax-9B, I think", {"Zorblax-9B.Q4_K_M", "zorblax-9b"})
    assert not names_itself("I am a coder.", {"coder"})
    assert not names_itself("I am a", {"a", ""})


LETTERS = st.text(st.sampled_from("abcdefgh ijk.,\n'\"I am as my name is *_0123"), max_size=300)


@settings(deadline=None)
@given(before=LETTERS, after=LETTERS)
def test_what_stands_around_does_not_hide_it(before: str, after: str) -> None:
    assert names_itself(f"{before}\n\nI am DeepSeek-R1. {after}")


@settings(deadline=None)
@given(
    text=st.text(st.sampled_from("abc de I am as my name is called the model 12.,\n"), max_size=400)
)
def test_without_a_name_nothing_is_found(text: str) -> None:
    assert not names_itself(text)


@pytest.mark.parametrize("text", [*(text for _, text in HOSTILE), "I am the " * 100_000])
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    assert not names_itself(text)
    assert time.process_time() - started < 20, f"{len(text)} characters, of which {LONGEST} matter"


def test_chinese_takes_no_longer_than_other_text() -> None:
    names_itself("", ("zorblax",))  # patterns are compiled once

    def took(text: str) -> float:
        started = time.process_time()
        assert not names_itself(text, ("zorblax",))
        return time.process_time() - started

    chinese = min(took("我是" * LONGEST) for _ in range(3))
    latin = min(took("we are " * (2 * LONGEST // 7)) for _ in range(3))
    assert chinese < 10 * latin


def test_chinese_introductions_are_found() -> None:
    for said in ("你好，我是通义千问。", "我是阿里云的模型", "我叫Qwen", "大家好我是Zorblax"):
        assert names_itself(said, ("zorblax",)), said
    assert not names_itself("我知道通义千问", ("zorblax",))
