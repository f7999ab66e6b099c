"""What is looked at as a form is filled: the whole file, the model, the flags, the fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.llama import binary
from gputui.llama.flags import check_arguments, flags_of
from gputui.models.catalogue import ModelFacts, facts_of
from gputui.models.files import model_bytes
from gputui.text import clean_line, sentences
from gputui.ui.instance_draft import Draft, Outcome, outcome
from gputui.ui.model_picker import facts_words
from gputui.ui.services import Services


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a form. By key: ``errors`` ("" for no field), which keep it from being saved,
    ``doubts``, which do not, and ``notes``. ``fit`` says in words whether it fits now."""

    outcome: Outcome | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    fit: str = ""


class Judging:
    """Looks at what is typed, off the event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._facts: dict[str, ModelFacts] = {}

    @property
    def knows_fit(self) -> bool:
        """Whether anybody can say if it fits."""
        return self._services.fit is not None

    async def outcome(self, draft: Draft, changes: Mapping[str, Any]) -> Outcome:
        """The file with these changes."""
        return await asyncio.to_thread(outcome, draft, changes)

    async def judge(self, draft: Draft, changes: Mapping[str, Any]) -> AsyncIterator[Judgement]:
        """What is known, first of the file alone, then of all."""
        found = await self.outcome(draft, changes)
        errors = {found.field: found.words} if found.after is None else {}
        judgement = Judgement(found, errors)
        yield judgement
        if found.instance is None:
            return
        doubts, notes = await asyncio.to_thread(self._look, found.instance)
        judgement = replace(judgement, doubts=doubts, notes=notes)
        yield judgement
        if self._services.fit is not None:
            yield replace(judgement, fit=await self._fit(found.instance))

    def _look(self, instance: InstanceConfig) -> tuple[dict[str, str], dict[str, str]]:
        """Doubts and notes by key. Blocks."""
        doubts: dict[str, str] = {}
        notes: dict[str, str] = {}
        path = Path(instance.model).expanduser()
        facts = self._facts_of(path)
        if facts.problem:
            doubts["model"] = facts.problem
        else:
            notes["model"] = facts_words(facts, model_bytes(path))
        if instance.mmproj and not Path(instance.mmproj).expanduser().is_file():
            doubts["mmproj"] = "There is no such file."
        if words := self._arguments(instance):
            doubts["args"] = words
        others = [
            one.name
            for one in self._services.config.instances
            if one.port == instance.port and one.name != instance.name
        ]
        if others:
            notes["port"] = f"shared with {', '.join(others)}: one of them runs at a time"
        return doubts, notes

    def _facts_of(self, path: Path) -> ModelFacts:
        key = str(path)
        if key not in self._facts:
            facts = facts_of(path)
            if facts.problem:
                return facts  # a download may end meanwhile
            self._facts[key] = facts
        return self._facts[key]

    def _arguments(self, instance: InstanceConfig) -> str:
        program = instance.llama_server or self._services.config.llama_server
        try:
            flags = flags_of(binary.find(program))
        except GputuiError as error:
            return f"They cannot be checked: {error.message}" if instance.args else ""
        doubts = check_arguments(flags, instance.args)
        return " ".join(sentences(doubt.message, doubt.hint) for doubt in doubts)

    async def _fit(self, instance: InstanceConfig) -> str:
        assert self._services.fit is not None  # noqa: S101 - the caller has looked
        try:
            fit = await self._services.fit(instance)
        except GputuiError as error:
            return f"Whether it fits is not known: {clean_line(error.message, 200)}"
        return fit.words or f"Whether it fits is not known: {clean_line(fit.reason, 200)}"
