"""What the command line and the environment of a running llama-server say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from gputui.config.tables import Role

_SLEEP = "--sleep-idle-seconds"
_SLEEP_VARIABLE = "LLAMA_ARG_SLEEP_IDLE_SECONDS"


def may_wake(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> bool:
    """Whether /metrics and /slots may be asked: only of a server that never puts its model to sleep.

    They wake a sleeping model, and its idle clock starts anew; /health and /props do not. ``environment``
    is the server's, None where it is not known.
    """
    flags = {name.replace("_", "-") for name in map(_name, argv)}
    return _SLEEP not in flags and _SLEEP_VARIABLE not in (environment or {})


def role_of(argv: Sequence[str]) -> Role:
    """What a server with this command line is for."""
    flags = set(map(_name, argv))
    if flags & {"--embedding", "--embeddings"}:
        return "embedding"
    return "rerank" if flags & {"--rerank", "--reranking"} else "chat"


def value_of(argv: Sequence[str], flag: str) -> str:
    """The value of a flag, the last of several, "" where it is not given."""
    value = ""
    for word, following in pairwise((*argv, "")):
        if word == flag:
            value = following
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


def _name(word: str) -> str:
    return word.partition("=")[0]
