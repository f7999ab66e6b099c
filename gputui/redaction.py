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
    r"KEY|TOKEN(?!IZER)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH|COOKIE|PRIVATE|SIGNATURE|WEBHOOK|"
    r"CONN(?:ECTION)?_?STR|(?:^|_)(?:PASS|SAS)(?:$|_)|[A-Z]_PWD$|(?:^|_)(?:DSN|PAT|PIN)$",
    re.IGNORECASE,
)
_LAST_WORDS = frozenset(
    {
        *("key", "apikey", "apikeys", "token", "accesstoken", "authtoken", "hft", "bearer"),
        *(
            "cookie",
            "cookies",
            "secret",
            "secrets",
            "password",
            "passwords",
            "passwd",
            "passphrase",
        ),
        *("pass", "passin", "passout", "pw", "pwd", "pin", "pat", "sig", "signature", "sas", "dsn"),
        *("credential", "credentials", "auth", "authorization", "userpwd", "webhook"),
        *("connectionstring", "connstr", "accountkey"),
    }
)
_LAST_PAIRS = frozenset(
    {("api", "keys"), ("access", "keys"), ("connection", "string"), ("webhook", "url")}
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NAME = re.compile(r"(?<![\w.-])([\w.-]+)(\\*[\"']?\s*[=:]+\s*)")
_VALUE = re.compile(
    r"(?:(?:basic|bearer|digest|negotiate|token|apikey)\s+)?"
    r"(?:\\*\"(?:\\.|[^\"\\])*\"?|'[^']*'?|\[[^\]]*\]?|[^\s\"'])+",
    re.IGNORECASE | re.DOTALL,
)
_DONE = re.compile(rf"{re.escape(HIDDEN)}(?=[\s\"']|$)")
_ASSIGNMENTS = (
    re.compile(r"((-{0,2}[A-Za-z_][\w.-]*))=.+", re.DOTALL),
    re.compile(r"(-{1,2}[A-Za-z_][\w.-]*=([A-Za-z_][\w.-]*))=.+", re.DOTALL),  # --env=KEY=…
)
_HEADER_NAME = r"[\w-]{0,64}(?:key|token(?!s|iz)|secret|passw|authorization|cookie)[\w-]{0,64}\s*:"
_HEADER = re.compile(rf"\s*((?:--?header=)?{_HEADER_NAME})\s+\S", re.IGNORECASE)
_QUOTED_HEADER = re.compile(
    rf"(?P<quote>[\"'])({_HEADER_NAME})\s*(?!(?P=quote))(?:\\.|(?!(?P=quote)).)+",
    re.IGNORECASE | re.DOTALL,
)
_HEADER_FLAGS = frozenset({"-H", "--header", "--headers"})
_OF_PROGRAMS = {
    "curl": (re.compile(r"-[A-Za-z0-9#]*[uU]|--(?:proxy-)?user"), re.compile(r"-[uU](?=.)")),
    "sshpass": (re.compile(r"-p"), re.compile(r"-p(?=.)")),
    "redis-cli": (re.compile(r"-a"), re.compile(r"-a(?=.)")),
    **dict.fromkeys(
        ("mysql", "mysqldump", "mysqladmin", "mariadb"),
        (re.compile(r"(?!)"), re.compile(r"-p(?=.)")),
    ),
}  # short flags before a password: those that it follows, and those that it is joined to
_SHELL_WORD = re.compile(
    r"(?:\\.|\"(?:\\.|[^\"\\])*(?:\"|\\?$)|'[^']*(?:'|$)|[^\s\"'])+", re.DOTALL
)
_BLANK_WORD = re.compile(r"\S+")
_IN_TEXT = (
    # Keys that say what they are: OpenAI's, Anthropic's, Hugging Face's, GitHub's, GitLab's,
    # Slack's, AWS's, and JSON web tokens.
    re.compile(r"\b(?:sk-|hf_|gh[opsur]_|github_pat_|glpat-|xox[a-z]-|AKIA|eyJ)[A-Za-z0-9_.-]{8,}"),
    re.compile(r"(?<=bearer )\S+", re.IGNORECASE),
    re.compile(r"(?<=hooks\.slack\.com/)\S+|(?<=/api/webhooks/)\S+"),
)
_URLS = re.compile(r"(?<=://)\S+")
# User and password, up to the last @: a password may hold one, and after a colon that stands before no
# port a slash.
_USER = re.compile(r"[^/@:]*:(?!\d+(?:[/?#]|$))\S+(?=@)|[^/]+(?=@)")


def is_secret(variable: str) -> bool:
    """Whether an environment variable of this name looks like one that holds a secret."""
    return _VARIABLE.search(variable) is not None


def redact_variable(name: str, value: str) -> str:
    """The value of an environment variable, fit to be shown."""
    return HIDDEN if value and is_secret(name) else _argument(value)


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """A command's arguments with each secret in them replaced: the values of ``--api-key`` and the
    like, of assignments such as ``HF_TOKEN=…``, of headers, of JSON and of URLs, and keys known by
    their form; in a command within the command too, as for ``sh -c``.
    """
    return list(_redacted(arguments))


def _redacted(arguments: Iterable[str]) -> Iterable[str]:
    flag, program = "", ""
    for argument in arguments:
        yield _value(flag, argument) if flag else _of_program(program, argument)
        name = argument.rpartition("/")[2].partition(":")[0]
        program = name if name in _OF_PROGRAMS else program
        bare = argument.rpartition("=")[2]  # a flag may be the value of another one
        takes = _names_secret(bare) or bare in _HEADER_FLAGS or _follows(program, bare)
        flag = bare if takes and re.fullmatch(r"-[^\s:]*", bare) else ""


def _follows(program: str, flag: str) -> bool:
    return program in _OF_PROGRAMS and _OF_PROGRAMS[program][0].fullmatch(flag) is not None


def _of_program(program: str, argument: str) -> str:
    joined = _OF_PROGRAMS[program][1].match(argument) if program in _OF_PROGRAMS else None
    return f"{joined[0]}{HIDDEN}" if joined else _argument(argument)


def _value(flag: str, argument: str) -> str:
    """What follows a flag that takes a secret; a flag that follows it is none."""
    if flag in _HEADER_FLAGS:
        return _argument(argument)
    return _argument(argument) if argument.startswith("--") else HIDDEN


def _argument(argument: str) -> str:
    for assigned in _ASSIGNMENTS:
        found = assigned.fullmatch(argument)
        if found and _is_secret_name(found[2]):
            return f"{found[1]}={HIDDEN}"
    found = _HEADER.match(argument)
    if found:
        return f"{found[1]} {HIDDEN}"
    text = _redact_text(argument)
    if re.search(r"\s", text.strip()):  # a command within the command
        text = _words(_words(text, _SHELL_WORD), _BLANK_WORD)  # a lone quote may be an apostrophe
    return text


def _words(text: str, word: re.Pattern[str]) -> str:
    """``text`` with its words redacted as arguments are; the quotes around one stay."""
    found = list(word.finditer(text))
    quotes = [one[0][0] if _is_quoted(one[0]) else "" for one in found]
    bare = [one[0][1:-1] if quote else one[0] for one, quote in zip(found, quotes, strict=True)]
    if bare == [text]:
        return text
    parts, at = [], 0
    for one, quote, shown in zip(found, quotes, _redacted(bare), strict=True):
        parts += [text[at : one.start()], quote, shown, quote]
        at = one.end()
    return "".join((*parts, text[at:]))


def _is_quoted(word: str) -> bool:
    return len(word) > 1 and word[0] == word[-1] and word[0] in "\"'"


def _is_secret_name(name: str) -> bool:
    return _names_secret(name) or (name.isupper() and is_secret(name))


def _names_secret(flag: str) -> bool:
    """By the last word: ``--api-key`` is one, ``--api-key-file`` and ``--max-tokens`` are none."""
    if flag.lower() in _LAST_WORDS:
        return True
    words = re.split(r"[-_.]+", _CAMEL.sub("-", flag).lower().rstrip("0123456789"))
    joined = re.split(r"[-_.]+", flag.lower())
    return words[-1] in _LAST_WORDS or joined[-1] in _LAST_WORDS or tuple(words[-2:]) in _LAST_PAIRS


def _redact_text(text: str) -> str:
    for pattern in _IN_TEXT:
        text = pattern.sub(HIDDEN, text)
    text = _URLS.sub(lambda urls: "://".join(map(_without_user, urls[0].split("://"))), text)
    return _named(_QUOTED_HEADER.sub(rf"\g<quote>\2 {HIDDEN}", text))


def _without_user(url: str) -> str:
    """What follows the ``://`` of a URL; in time that grows with its length alone."""
    found = _USER.match(url)
    return HIDDEN + url[found.end() :] if found else url


def _named(text: str) -> str:
    """``text`` without the values that a name before them says to be secret, wherever they stand: in
    JSON, in the query of a URL, in a connection string."""
    parts, at = [], 0
    for name in _NAME.finditer(text):
        if name.start() < at or not _is_secret_name(name[1]):
            continue
        value = _VALUE.match(text, name.end())
        if value and not _DONE.match(text, name.end()):
            parts += [text[at : name.end()], HIDDEN]
            at = value.end()
    return "".join((*parts, text[at:]))
