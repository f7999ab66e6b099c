"""One instance being written: the text of the file with it, and what is wrong with that."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gputui.config import Config, InstanceConfig, edit
from gputui.config.toml_text import split_lines, tables
from gputui.errors import ConfigError, GputuiError
from gputui.text import clean_line, sentences

Purpose = Literal["new", "edit", "duplicate"]

_SHARED = re.compile(
    r"\[\[layouts\]\] (.*?): (?:instances: )?(.* are both (?:on|in) (port|group) .*)"
)
"""What two members of a layout cannot have in common; the last part is the key of the form."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is edited. ``before`` is the file's content, None where there is no file yet.

    ``name`` is the instance that is changed or copied, "" for a new one. ``raw`` is its table in the file,
    ``proposed`` what a new one or a copy begins with.
    """

    file: Path
    before: bytes | None
    purpose: Purpose
    name: str = ""
    proposed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The file before; what a new one begins with."""
        return edit.HEADER if self.before is None else self.before.decode()

    @property
    def raw(self) -> Mapping[str, Any]:
        """The table in the file, {} for a new instance. Raises GputuiError where it is gone."""
        if self.purpose == "new":
            return {}
        for table in tomllib.loads(self.text).get("instances", ()):
            if table.get("name") == self.name:
                found: Mapping[str, Any] = table
                return found
        raise GputuiError(
            f"{clean_line(self.name)} is not in {self.file}",
            "Only what the file configures can be changed.",
        )

    @property
    def lines(self) -> list[str]:
        """The lines of the table as it is, each after a blank; those of a new one are none."""
        text = self.text
        names = [table.get("name") for table in tomllib.loads(text).get("instances", ())]
        found = tables(text, "instances")
        if self.name not in names or not found:
            return []
        lines, table = split_lines(text), found[names.index(self.name)]
        return [
            f" {line.rstrip()}" for part in table.parts for line in lines[part.begin : part.end]
        ]

    @property
    def title(self) -> str:
        """What the form is headed by."""
        words = {"new": "New instance", "edit": f"Edit {self.name}"}
        return words.get(self.purpose, f"Copy of {self.name}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a draft comes to. ``after`` is the file's text, None where something is wrong: then ``field`` is
    where ("" for no field of the form), and ``words`` are what."""

    after: str | None
    instance: InstanceConfig | None = None
    field: str = ""
    words: str = ""


def outcome(draft: Draft, changes: Mapping[str, Any]) -> Outcome:
    """The file with these changes of the instance, checked as a whole. Takes some milliseconds."""
    name = str(changes.get("name", draft.name))
    try:
        after = _edited(draft, changes)
        config = edit.check(after, draft.file)
    except ConfigError as error:
        where, words = _place(error, draft.file, name)
        return Outcome(None, field=where, words=words)
    except GputuiError as error:
        return Outcome(None, words=f"{error.message}. {error.hint}")
    return Outcome(after, _instance(config, name))


def _edited(draft: Draft, changes: Mapping[str, Any]) -> str:
    if draft.purpose == "new":
        return edit.add(draft.text, changes)
    if draft.purpose == "duplicate":
        return edit.duplicate(draft.text, draft.name, changes)
    return edit.change(draft.text, draft.name, changes)


def diff(before: str, after: str, around: int = 2) -> list[str]:
    """The lines that differ, with ``+``, ``-`` or a blank before each, and some around them."""
    lines = difflib.unified_diff(
        [line.rstrip("\r\n") for line in before.split("\n")],
        [line.rstrip("\r\n") for line in after.split("\n")],
        n=around,
        lineterm="",
    )
    shown = [clean_line(line, 500) if not line[1:].strip() else line for line in lines][2:]
    shown = ["…" if line.startswith("@@") else line for line in shown][1:]
    while shown and (shown[-1].startswith(" [") or shown[-1] in ("", " ")):
        shown.pop()  # the head of the next table says nothing here
    return shown


def _instance(config: Config, name: str) -> InstanceConfig | None:
    return next((one for one in config.instances if one.name == name), None)


def _place(error: ConfigError, file: Path, name: str) -> tuple[str, str]:
    """The key that an error of the file is about, and its words without the place."""
    words = f"{error.message}. {error.hint}".strip()
    inner = error.message.removeprefix(f"{file}: ")
    shared = _SHARED.fullmatch(inner)
    if shared:
        return shared[3], sentences(f"In layout {shared[1]}, {shared[2]}", error.hint)
    start = f"[[instances]] {name}: "
    if not inner.startswith(start):
        return "", words.removeprefix(f"{file}: ")
    rest = inner.removeprefix(start)
    key = rest.split(" ")[0].rstrip(":")
    if key not in InstanceConfig.__struct_encode_fields__:
        return "", f"{rest}. {error.hint}"
    return key, f"{rest}. {error.hint}".strip()


def names_gpus(selected: Sequence[str], raw: Sequence[str], resolved: Sequence[str]) -> list[str]:
    """How the chosen GPUs (UUIDs) are written: as they were, where they are the same ones still."""
    return list(raw) if list(selected) == list(resolved) else list(selected)
