"""Parts of what was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.conversation import Conversation
from gputui.chat.model import Answer, Turn
from gputui.chat.said import code_blocks, newest_answer


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code", ()),
        ("a\n```python\nx = 1\n\ny = 2\n```\nb", ("x = 1\n\ny = 2",)),
        ("```\na\n```\n~~~sh\nb\n~~~", ("a", "b")),
        ("````md\n```\ninner\n```\n````", ("```\ninner\n```",)),
        ("1. do\n   ```sh\n   ls\n     -l\n   ```\n", ("ls\n  -l",)),
        ("    ```\n    ls\n    ```", ()),
        ("```\na\n    ```\nb\n```", ("a\n    ```\nb",)),
        ("10. do\n    ```sh\n    ls\n    ```\n", ("ls",)),
        ("- a\n  - b\n\n    ```\n    ls\n    ```\n", ("ls",)),
        ("```\nnot closed\nat all", ("not closed\nat all",)),
        ("```\n```", ("",)),
        ("inline ```code``` is none", ()),
        ("```a`b\nnone\n", ()),
        ("~~~\n```\n~~~", ("```",)),
    ],
)
def test_code_blocks(text: str, blocks: tuple[str, ...]) -> None:
    assert code_blocks(text) == blocks


@given(st.lists(st.text("abc \n", max_size=20).filter(lambda text: "```" not in text)))
def test_every_fenced_text_comes_back(texts: list[str]) -> None:
    document = "words\n".join(f"```\n{text}\n```\n" for text in texts)
    assert code_blocks(document) == tuple(texts)


def test_the_newest_answer_is_the_last_that_says_something() -> None:
    side = Conversation(None).sides["A"]
    assert newest_answer(side) is None
    said = [
        Turn(text, number, {"A": Answer("A", "n", "m", text, error=None if text else "failed")})
        for number, text in enumerate(("first", "second", ""))
    ]
    side.take_up(said)
    newest = newest_answer(side)
    assert newest is not None
    assert newest.text == "second"
