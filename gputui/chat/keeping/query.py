"""What a person types into a search, as terms: any text is one, and none can be wrong."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from gputui.text import clean

_QUERY_CHARACTERS = 1000
_TERMS = 32
_PARTS = re.compile(r'"([^"]*)("?)|([^\s"]+)')
_WORD = re.compile(r"[^\W_]+")
# Scripts that put no blanks between words: each of their characters is a word of its own here.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff])"
)
SEPARATOR = "\u200b"
"""Stands around each character of such a script in the index; cleaned text has none of its own."""


@dataclass(frozen=True)
class Term:
    """A word, or a phrase of several. ``begins``: its last word may be the beginning of one."""

    words: tuple[str, ...]
    begins: bool

    @property
    def expression(self) -> str:
        """For FTS5, whatever the words are."""
        return f'"{" ".join(self.words)}"' + " *" * self.begins

    @property
    def pattern(self) -> re.Pattern[str]:
        """For text that was ``folded``: the same places as ``expression`` finds."""
        words = r"[\W_]+".join(re.escape(_without_accents(word)) for word in self.words)
        return re.compile(rf"(?<![^\W_]){words}" + r"(?![^\W_])" * (not self.begins))


@dataclass(frozen=True)
class Query:
    """Its terms, all of which have to be found; ``literal`` where it has none, but signs alone ("->")."""

    terms: tuple[Term, ...]
    literal: str = ""

    @property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """For text that was ``folded``."""
        if self.literal:
            return (re.compile(re.escape(folded(self.literal))),)
        return tuple(term.pattern for term in self.terms)


def parse(typed: str) -> Query:
    """Of any text. A quote that is not closed yet is as if it were at the end."""
    text = unicodedata.normalize("NFC", " ".join(clean(typed[:_QUERY_CHARACTERS]).split()))
    parts = list(_PARTS.finditer(text))[:_TERMS]
    terms = []
    for part in parts:
        phrase, closed, plain = part.groups()
        last = part is parts[-1] and not closed
        if words := words_of(phrase if plain is None else plain):
            terms.append(Term(words, begins=last and text.endswith(words[-1][-1])))
    return Query(tuple(terms), "" if terms else text.strip('"').strip())


def words_of(text: str) -> tuple[str, ...]:
    """The words of ``text``, as the index has them but for case and accents."""
    return tuple(_WORD.findall(separated(text)))


def separated(text: str) -> str:
    """``text`` with its words apart also where its script puts nothing between them."""
    return text if text.isascii() else _UNSPACED.sub(f"{SEPARATOR}\\1{SEPARATOR}", text)


def folded(text: str) -> str:
    """``text`` with its words apart, without case and accents."""
    return _without_accents(separated(text))


def _without_accents(text: str) -> str:
    """Without case, too."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFD", text)
    return "".join(one for one in parts if not unicodedata.combining(one)).lower()
