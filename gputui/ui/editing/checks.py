"""What is looked at as a form is filled: the whole file, the model, the flags, the fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.instances.fit.reckoning import Fit
from gputui.instances.proposals import name_of_model, propose_name
from gputui.llama import binary
from gputui.llama.flags import check_arguments, flags_of
from gputui.models.catalogue import ModelFacts, facts_of
from gputui.models.files import model_bytes
from gputui.text import clean_line, sentences, size
from gputui.ui.editing import beside
from gputui.ui.editing.draft import Draft, Outcome, outcome
from gputui.ui.editing.model_picker import facts_words
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
    fits: bool | None = None


class Judging:
    """Looks at what is typed, off the event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._facts: dict[str, ModelFacts] = {}

    def name_for(self, model: str) -> str:
        """A name that nobody has for an instance with that model."""
        return propose_name(self._services.config, name_of_model(model))

    async def outcome(self, draft: Draft, changes: Mapping[str, Any]) -> Outcome:
        """The file with these changes."""
        return await asyncio.to_thread(outcome, draft, changes)

    async def judge(
        self, draft: Draft, changes: Mapping[str, Any], texts: Mapping[str, str]
    ) -> AsyncIterator[Judgement]:
        """What is known, first of the file alone, then of all. ``texts`` are the fields as they are typed."""
        found = await self.outcome(draft, changes)
        config = self._services.config
        errors, busy = await asyncio.to_thread(beside.troubles, config, draft, texts)
        if found.after is None and (found.field or not errors):
            errors = {found.field: found.words} | errors
        judgement = Judgement(found, errors, busy)
        yield judgement
        if found.instance is None:
            return
        doubts, notes = await asyncio.to_thread(self._look, found.instance)
        doubts = {**busy, **doubts}
        judgement = replace(judgement, doubts=doubts, notes=notes)
        yield judgement
        if self._services.fit is not None:
            words, fits = await self._fit(found.instance)
            yield replace(judgement, fit=words, fits=fits)

    async def judge_parts(self, draft: Draft, texts: Mapping[str, str]) -> Judgement:
        """What is known of fields by themselves, where others are not right yet."""
        config = self._services.config
        errors, doubts = await asyncio.to_thread(beside.troubles, config, draft, texts)
        notes: dict[str, str] = {}
        if texts.get("model"):
            await asyncio.to_thread(self._look_at_model, texts["model"], doubts, notes)
        return Judgement(None, errors, doubts, notes)

    def _look(self, instance: InstanceConfig) -> tuple[dict[str, str], dict[str, str]]:
        """Doubts and notes by key. Blocks."""
        doubts: dict[str, str] = {}
        notes: dict[str, str] = {}
        self._look_at_model(instance.model, doubts, notes)
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

    def _look_at_model(self, model: str, doubts: dict[str, str], notes: dict[str, str]) -> None:
        path = Path(model).expanduser()
        facts = self._facts_of(path)
        if not path.exists():
            doubts["model"] = "There is no such file."
        elif facts.problem:
            doubts["model"] = clean_line(facts.problem.removeprefix(f"{path}: "))
        else:
            notes["model"] = facts_words(facts, model_bytes(path))

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

    async def _fit(self, instance: InstanceConfig) -> tuple[str, bool | None]:
        """Whether it fits now, and that in words."""
        assert self._services.fit is not None  # noqa: S101 - the caller has looked
        fit = await self._services.fit(instance)
        if fit.fits is None:
            return f"Whether it fits is not known: {clean_line(fit.reason, 200)}", None
        return fit_line(fit), fit.fits


def fit_line(fit: Fit) -> str:
    """A fit that is known, in one line: ``fits, 12.3 GiB left on GPU 1``."""
    if fit.fits:
        left = [
            f"{size(row.free - row.needed.total)} left {'on' if row.uuid else 'in'} {row.name}"
            for row in fit.rows
            if row.free is not None
        ]
        return ", ".join(["fits", *left])
    words = f"does not fit: {fit.words}"
    if fit.largest_context:
        words += f"; {fit.largest_context} tokens of context would"
    return words
