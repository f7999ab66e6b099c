"""Secrets in command lines and environments: hidden before anything is shown or written.

What a process was given on its command line, every user of the machine can read; that is no reason to
put it on a screen that is shared, or into a picture. Rather a harmless value hidden than a key shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

HIDDEN = "***"
"""Stands in the place of a secret."""

_VARIABLE = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH|COOKIE|PRIVATE|"
    r"(?:^|_)PASS(?:$|_)|[A-Z]_PWD$|(?:^|_)(?:DSN|PAT|PIN)$",
    re.IGNORECASE,
)
_LAST_WORDS = frozenset(
    {
        *("key", "apikey", "token", "accesstoken", "authtoken", "hft", "bearer", "cookie"),
        *("secret", "password", "passwd", "passphrase", "pass", "pw", "pwd", "pin", "pat"),
        *("credential", "credentials", "auth", "authorization", "userpwd"),
    }
)
_ASSIGNMENT = re.compile(r"(-{0,2}[A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_HEADER = re.compile(
    r"([\w-]*(?:key|token|secret|password|authorization|cookie)[\w-]*\s*:)\s*\S", re.IGNORECASE
)
_HEADER_FLAGS = frozenset({"-H", "--header", "--headers"})
_IN_TEXT = (
    # Keys that say what they are: OpenAI's, Anthropic's, Hugging Face's, GitHub's, GitLab's,
    # Slack's, AWS's, and JSON web tokens.
    re.compile(r"\b(?:sk-|hf_|gh[opsur]_|github_pat_|glpat-|xox[a-z]-|AKIA|eyJ)[A-Za-z0-9_.-]{8,}"),
    re.compile(r"(?<=bearer )\S+", re.IGNORECASE),
    re.compile(r"(?<=://)[^/\s@]+(?=@)"),  # user and password of a URL
)


def is_secret(variable: str) -> bool:
    """Whether an environment variable of this name looks like one that holds a secret."""
    return _VARIABLE.search(variable) is not None


def redact_variable(name: str, value: str) -> str:
    """The value of an environment variable, fit to be shown."""
    return HIDDEN if value and is_secret(name) else _redact_text(value)


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """A command's arguments with each secret in them replaced: the values of ``--api-key`` and the
    like, of assignments such as ``HF_TOKEN=…``, of headers, and keys known by their form.
    """
    return list(_redacted(arguments))


def _redacted(arguments: Iterable[str]) -> Iterable[str]:
    flag = ""
    for argument in arguments:
        yield _value(flag, argument) if flag else _argument(argument)
        bare = argument.startswith("-") and "=" not in argument and not re.search(r"\s", argument)
        flag = argument if bare and (_names_secret(argument) or argument in _HEADER_FLAGS) else ""


def _value(flag: str, argument: str) -> str:
    """What follows a flag that takes a secret; a flag that follows it is none."""
    if flag in _HEADER_FLAGS:
        return _header(argument)
    return _argument(argument) if argument.startswith("--") else HIDDEN


def _argument(argument: str) -> str:
    if re.search(r"\s", argument.strip()):  # a command within the command, as for sh -c
        if _HEADER.match(argument):
            return _header(argument)
        parts = re.split(r"(\s+)", argument)
        parts[::2] = redact_arguments(parts[::2])
        return _redact_text("".join(parts))
    found = _ASSIGNMENT.fullmatch(argument)
    if found and found[2] and (_names_secret(found[1]) or _is_secret_variable(found[1])):
        return f"{found[1]}={HIDDEN}"
    return _redact_text(argument)


def _header(argument: str) -> str:
    found = _HEADER.match(argument)
    return f"{found[1]} {HIDDEN}" if found else _redact_text(argument)


def _is_secret_variable(name: str) -> bool:
    return name.isupper() and is_secret(name)


def _names_secret(flag: str) -> bool:
    """By the last word: ``--api-key`` is one, ``--api-key-file`` and ``--max-tokens`` are none."""
    words = re.split(r"[-_.]+", flag.lower())
    return words[-1] in _LAST_WORDS


def _redact_text(text: str) -> str:
    for pattern in _IN_TEXT:
        text = pattern.sub(HIDDEN, text)
    return text
