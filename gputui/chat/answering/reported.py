"""The error objects of servers in words: each kind of server wraps them in its own way."""

from __future__ import annotations

import json
import re
from typing import Any

from gputui.chat.answering.overflow import OVERFLOW_HINT, context_exceeded, overflows
from gputui.errors import GputuiError
from gputui.text import clean_line

_PYDANTIC = re.compile(r"'loc': \(([^)]*)\), 'msg': '([^']*)'")
_DEEPEST = 4


def error_of(body: Any, key: str = "") -> GputuiError:
    """An error object of a server in words: OpenAI's and llama-server's, Ollama's, vLLM's, FastAPI's.

    ``key`` does not stand in them: it goes before the words are cut, which would leave half of it.
    """
    if isinstance(body, list) and body:  # Gemini's
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    said = clean_line(redacted(_words_of(error), key), 300)
    if exceeded := context_exceeded(error if isinstance(error, dict) else {}, said):
        return exceeded
    return GputuiError(said, OVERFLOW_HINT if overflows(said) else "")


def redacted(text: str, key: str) -> str:
    """``text`` without the key that a server may repeat in it."""
    return text.replace(key, "…") if key else text


def _words_of(error: Any, depth: int = 0) -> str:
    """What an error says, however it is wrapped."""
    if depth > _DEEPEST:
        return str(error)
    if isinstance(error, dict):
        if "loc" in error and "msg" in error:
            where = error["loc"] if isinstance(error["loc"], list) else []
            return _located([str(part) for part in where], str(error["msg"]))
        inner = error.get("message") or error.get("detail") or error.get("msg")
        return _words_of(inner, depth + 1) if inner else str(error)
    if isinstance(error, list):
        return "; ".join(_words_of(one, depth + 1) for one in error)
    text = str(error)
    if found := _PYDANTIC.findall(text):  # vLLM's: a list of them as Python prints it
        return "; ".join(_located(re.findall(r"\w+", where), words) for where, words in found)
    return _unwrapped(text, depth)


def _unwrapped(text: str, depth: int) -> str:
    """A message that is JSON itself, as a proxy passes it on, in words."""
    if not text.startswith("{"):
        return text
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(inner, dict) or not inner:
        return text
    return _words_of(inner.get("error", inner), depth + 1)


def _located(where: list[str], words: str) -> str:
    """``top_k: Extra inputs are not permitted``, of a place in the request's body."""
    place = ".".join(part for part in where if part != "body")
    return f"{place}: {words}" if place else words
