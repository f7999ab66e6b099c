"""The user's prompt library: files in the configuration directory, those of a folder with its tag."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gputui.chat.asking.reading import read_text, shown
from gputui.errors import GputuiError
from gputui.text import clean, clean_line

MOST_BYTES = 256 << 10
MOST_PROMPTS = 1000
_SUFFIXES = (".md", ".txt")
_PLACEHOLDER = re.compile(r"\{\{[^{}\n]*\}\}")


@dataclass(frozen=True, slots=True)
class LibraryPrompt:
    """One file of the library. ``name``: cleaned, ``review`` or ``code/review``; ``tag``: its folder's
    name, "" for none. No two of a library have the same name."""

    name: str
    tag: str
    path: Path


@dataclass(frozen=True, slots=True)
class Library:
    """What there is, in the order of the names; ``problems`` says in words what could not be looked at."""

    folder: Path
    prompts: tuple[LibraryPrompt, ...] = ()
    problems: tuple[str, ...] = ()

    def find(self, name: str) -> LibraryPrompt | None:
        """The prompt of that name, else the only one whose name begins so or ends so behind its folder."""
        for prompt in self.prompts:
            if prompt.name == name:
                return prompt
        alike = [one for one in self.prompts if one.name.rpartition("/")[2] == name]
        alike = alike or [one for one in self.prompts if name and one.name.startswith(name)]
        return alike[0] if len(alike) == 1 else None

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of its folders that hold prompts."""
        return tuple(dict.fromkeys(one.tag for one in self.prompts if one.tag))


def look(folder: Path) -> Library:
    """The library in ``folder``, which need not be there; blocks. Links are followed, hidden files not."""
    problems: list[str] = []
    files = [(entry, "") for entry in _entries(folder, problems) if _is_prompt(entry)]
    for entry in _entries(folder, []):
        if _is_folder(entry):
            tag = clean_line(entry.name, 40)
            inner = _entries(Path(entry.path), problems)
            files += [(one, tag) for one in inner if tag and _is_prompt(one)]
    if len(files) > MOST_PROMPTS:
        problems.append(f"more than {MOST_PROMPTS} prompts: the others are left out")
    named: dict[str, LibraryPrompt] = {}
    for entry, tag in files[:MOST_PROMPTS]:
        name = _free_name(entry.name, tag, named)
        if name:
            named[name] = LibraryPrompt(name, tag, Path(entry.path))
    return Library(folder, tuple(sorted(named.values(), key=_order)), tuple(problems))


def read_prompt(prompt: LibraryPrompt) -> str:
    """Its text, cleaned, without the end of its last line; blocks. Raises GputuiError."""
    text = clean(read_text(prompt.path, MOST_BYTES)).rstrip("\n")
    if not text.strip():
        raise GputuiError(f"{shown(prompt.path)} is empty", "Write a prompt into it.")
    return text


def placeholder(text: str) -> tuple[int, int] | None:
    """Where the first ``{{name}}`` begins and ends, in characters; None where there is none."""
    found = _PLACEHOLDER.search(text)
    return found.span() if found else None


def _order(prompt: LibraryPrompt) -> tuple[str, str]:
    return prompt.tag.casefold(), prompt.name.casefold()


def _entries(folder: Path, problems: list[str]) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda one: one.name)
    except FileNotFoundError:
        return
    except OSError as error:
        problems.append(f"{shown(folder)}: {error.strerror}")


def _is_prompt(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or not entry.name.lower().endswith(_SUFFIXES):
        return False
    try:
        return not entry.is_dir()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() and not entry.name.startswith(".")
    except OSError:
        return False


def _free_name(file: str, tag: str, taken: dict[str, LibraryPrompt]) -> str:
    """A name for people that no other has: with its ending where another file has it without."""
    folder = f"{tag}/" if tag else ""
    for name in (clean_line(Path(file).stem, 80), clean_line(file, 80)):
        if name and f"{folder}{name}" not in taken:
            return f"{folder}{name}"
    return ""
