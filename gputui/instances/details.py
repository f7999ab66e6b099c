"""The details of one instance: how it was started, with which settings, what its server says of itself."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gputui import processes
from gputui.config import InstanceConfig, url_of
from gputui.config.toml_text import written
from gputui.errors import GputuiError
from gputui.instances import records
from gputui.instances.differences import differences
from gputui.instances.records import Paths, Record, as_written
from gputui.llama.binary import VISIBILITY, clean_environment
from gputui.llama.command import Launch
from gputui.llama.given import may_wake
from gputui.llama.inspection import Inspection, Inspector
from gputui.llama.probe import Client
from gputui.redaction import redact_arguments, redact_variable
from gputui.text import clean, clean_line, sentences

PATIENCE = 0.25
"""Seconds in which what is asked for is waited for; later it is there the next time."""

Variables = tuple[tuple[str, str | None], ...]
"""Names with values; None is a variable that is taken out."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of an instance's table, as TOML. ``configured`` is None where the key is left out, or the
    instance is configured no more, ``running`` is None where it was left out at its start. ``differs``: the
    running server goes by another value."""

    key: str
    configured: str | None
    running: str | None
    differs: bool


@dataclass(frozen=True, slots=True)
class InstanceDetails:
    """One instance at one moment; secrets are hidden, text is cleaned.

    ``argv`` and ``variables`` are what it was started with, or where ``planned`` what it would be; () while
    that is not known, and ``trouble`` says why. ``variables`` are those that hold it to its GPUs, and those
    of this shell that it does not get. ``scope`` is the systemd scope that it runs in, "" for none.
    """

    name: str
    planned: bool = True
    argv: tuple[str, ...] = ()
    variables: Variables = ()
    trouble: str = ""
    scope: str = ""
    settings: tuple[Setting, ...] = ()
    inspection: Inspection = field(default_factory=Inspection)

    @property
    def shell_line(self) -> str:
        """The command for a shell, with its environment; "" while it is not known."""
        if not self.argv:
            return ""
        unset = [word for name, value in self.variables if value is None for word in ("-u", name)]
        given = [f"{name}={value}" for name, value in self.variables if value is not None]
        words = ["env", *unset, *given] if self.variables else []
        return shlex.join([*words, *self.argv])


Prepare = Callable[[InstanceConfig], Coroutine[Any, Any, Launch]]
"""What would be started; raises GputuiError."""


class DetailsReader:
    """Reads the details of instances in a state directory. Used by one event loop."""

    def __init__(self, paths: Paths, prepare: Prepare) -> None:
        self._paths = paths
        self._prepare = prepare
        self._plans: dict[str, asyncio.Task[Launch]] = {}
        self._known: dict[str, InstanceDetails] = {}
        self._inspectors: dict[tuple[str, int, int], Inspector] = {}
        self._client = Client()

    async def read(self, name: str, instance: InstanceConfig | None, url: str) -> InstanceDetails:
        """What is known of an instance, after a quarter of a second at the most.

        ``instance`` is its configuration, None where there is none; ``url`` where a server that gputui
        did not start answers, "" where none does. Never raises for what is only not known.
        """
        record, alive, variables = await asyncio.to_thread(self._recorded, name)
        running = record if alive else None
        details = InstanceDetails(
            name,
            settings=settings_of(instance, running),
        )
        if running is not None:
            details = _with_command(details, running.argv, variables, planned=False)
            details = replace(details, scope=clean_line(running.scope, 100))
            own = url_of(running.host, running.port)
            return await self._inspected(details, own, running)
        if instance is not None:
            details = await self._with_plan(details, instance)
        return await self._inspected(details, url, None) if url else details

    async def close(self) -> None:
        """Let go of connections and of what is still asked."""
        for inspector in self._inspectors.values():
            inspector.cancel()
        for plan in self._plans.values():
            plan.cancel()
        self._inspectors.clear()
        self._plans.clear()
        await self._client.close()

    def _recorded(self, name: str) -> tuple[Record | None, bool, Variables]:
        try:
            record = records.read(self._paths.record(name))
        except GputuiError:
            return None, False, ()
        if record is None or not processes.matches(record.identity):
            return record, False, ()
        return record, True, variables_of(processes.environment(record.pid))

    async def _with_plan(
        self, details: InstanceDetails, instance: InstanceConfig
    ) -> InstanceDetails:
        """The command that would be started. Asking a binary for its devices can take long: until that is
        done, what was known before stands."""
        plan = self._plans.get(instance.name)
        if plan is None:
            plan = self._plans[instance.name] = asyncio.create_task(self._prepare(instance))
        await asyncio.wait({plan}, timeout=PATIENCE)
        if not plan.done():
            before = self._known.get(instance.name)
            trouble = "llama-server is being asked for its devices"
            return _or_before(details, before, before.trouble if before else trouble)
        del self._plans[instance.name]
        try:
            launch = plan.result()
        except GputuiError as error:
            found = InstanceDetails(details.name, trouble=sentences(error.message, error.hint))
        else:
            found = _with_command(
                details, launch.argv, variables_of(launch.environment), planned=True
            )
        self._known[instance.name] = found
        return _or_before(details, found, found.trouble)

    async def _inspected(
        self, details: InstanceDetails, url: str, record: Record | None
    ) -> InstanceDetails:
        key = (url, record.pid if record else 0, record.start_ticks if record else 0)
        client = await self._client.get()
        inspector = self._inspectors.get(key)
        if inspector is None:
            for old in [old for old in self._inspectors if old[0] == url]:
                self._inspectors.pop(old).cancel()
            known = record is not None and may_wake(record.argv)
            inspector = self._inspectors[key] = Inspector(url, known)
        inspection = await inspector.look(client, PATIENCE)
        return replace(details, inspection=inspection)


def _or_before(
    details: InstanceDetails, known: InstanceDetails | None, trouble: str
) -> InstanceDetails:
    """``details`` with the command that is known."""
    if known is None:
        return replace(details, trouble=trouble)
    return replace(details, argv=known.argv, variables=known.variables, trouble=trouble)


def _with_command(
    details: InstanceDetails, argv: tuple[str, ...], variables: Variables, *, planned: bool
) -> InstanceDetails:
    shown = tuple(clean(argument) for argument in redact_arguments(argv))
    return replace(details, argv=shown, variables=variables, planned=planned)


def variables_of(environment: Mapping[str, str] | None) -> Variables:
    """The variables that make a difference to a server with this environment: those that hold it to its
    GPUs, and those of gputui's own environment that it does not get. () where it is not known."""
    if environment is None:
        return ()
    silent = set(os.environ) - set(clean_environment(os.environ))
    removed = sorted(name for name in silent if name not in environment)
    given = [name for name in VISIBILITY if name in environment]
    return (
        *((clean_line(name), None) for name in removed),
        *((name, clean_line(redact_variable(name, environment[name]))) for name in given),
    )


def settings_of(instance: InstanceConfig | None, running: Record | None) -> tuple[Setting, ...]:
    """The keys that are set in the configuration, or were at the start of what runs, in their order."""
    configured = set_keys(instance)
    started = running.settings if running is not None else {}
    differing = differences(started, instance)
    known = {key: value for key, value in started.items() if value != _DEFAULTS.get(key)}
    order = [*_DEFAULTS, *sorted(known.keys() - _DEFAULTS.keys())]
    return tuple(
        Setting(
            key=clean_line(key),
            configured=_toml(configured[key]) if key in configured else None,
            running=_toml(known[key]) if key in known else None,
            differs=key in differing,
        )
        for key in order
        if key in configured or key in known
    )


def set_keys(instance: InstanceConfig | None) -> Mapping[str, Any]:
    """The keys of an instance's table that are not at their defaults, as TOML's values."""
    if instance is None:
        return {}
    values = as_written(instance)
    return {key: value for key, value in values.items() if value != _DEFAULTS[key]}


_DEFAULTS: Mapping[str, Any] = as_written(InstanceConfig(name="x", model="", port=1)) | {
    "name": None,
    "model": None,
    "port": None,
}


def _toml(value: object) -> str:
    """A value as TOML writes it; secrets hidden, on one line."""
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        value = [clean_line(one, 2000) for one in redact_arguments(value)]
    return written(clean_line(value, 2000) if isinstance(value, str) else value)
