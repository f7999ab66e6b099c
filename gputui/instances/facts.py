"""From what is on disk, what lives and what answers to the status of an instance."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from gputui import processes
from gputui.config import InstanceConfig, url_of
from gputui.config.tables import Role
from gputui.errors import GputuiError
from gputui.instances import locks, ports, records
from gputui.instances.adoption import Adopter
from gputui.instances.differences import differences
from gputui.instances.lifecycle import Child
from gputui.instances.locks import TIDY, Holder, turn_of
from gputui.instances.records import Paths, Record
from gputui.instances.settling import Settler
from gputui.instances.starting.placement import Placement, affinity_of, placement_note
from gputui.instances.status import InstanceMetrics, InstanceStatus, State
from gputui.llama.diagnosis import exit_words
from gputui.llama.probe import Health, Reading
from gputui.models.files import short_name
from gputui.text import clean_line, duration

_SILENCE = 3.0  # seconds without an answer that are worth a word


@dataclass(frozen=True, slots=True)
class Facts:
    """What the machine says of one instance, before anyone asked the server.

    ``record`` is what is on disk, ``alive`` whether its process lives, ``holder`` the gputui that
    works on it now, ``resident`` the process's host memory in bytes, ``answered``
    whether anybody accepts connections on the port of one that does not run, ``trouble`` why its
    record is not known. ``cpus`` are those it may run on now, where it was bound to some.
    """

    name: str
    instance: InstanceConfig | None
    record: Record | None = None
    alive: bool = False
    holder: Holder | None = None
    resident: int | None = None
    cpus: tuple[int, ...] = ()
    answered: bool = False
    trouble: str = ""

    @property
    def running(self) -> Record | None:
        """The record of a process that lives."""
        return self.record if self.alive else None

    @property
    def host(self) -> str:
        """The host it is bound to, of the running process before the configuration's."""
        known = self.running or self.instance or self.record
        return known.host if known else "127.0.0.1"

    @property
    def port(self) -> int:
        """The port it is bound to, of the running process before the configuration's."""
        known = self.running or self.instance or self.record
        return known.port if known else 0

    @property
    def url(self) -> str:
        """Where a client on this host reaches it."""
        return url_of(self.host, self.port)

    @property
    def connect_host(self) -> str:
        """The host of ``url``, without the brackets of an IPv6 address."""
        return self.url.removeprefix("http://").rpartition(":")[0].strip("[]")

    @property
    def role(self) -> Role:
        """What it is for, of the running process before the configuration's."""
        if self.running is not None and self.running.settings:
            role = self.running.settings.get("role", "chat")
            return cast(Role, role) if role in get_args(Role) else "chat"
        return self.instance.role if self.instance else "chat"

    @property
    def model(self) -> str:
        """The model file, of the running process before the configuration's."""
        known = self.running or self.instance or self.record
        return known.model if known else ""


def gather(
    paths: Paths,
    instances: tuple[InstanceConfig, ...],
    children: dict[int, Child],
    settler: Settler,
    adopter: Adopter,
) -> tuple[Facts, ...]:
    """The facts of all configured instances, then of running ones whose configuration is gone.

    Blocks for some milliseconds. Deaths that nobody has noted yet are written down, damaged
    records of servers that live are written anew.
    """
    configured = {instance.name: instance for instance in instances}
    known = adopter.records()
    stray = [
        name
        for name, record in known.items()
        if name not in configured and processes.matches(record.identity)
    ]
    found: list[Facts] = []
    for name in (*configured, *stray):
        record, trouble = (known[name], "") if name in known else _recorded(paths, name)
        facts = Facts(name, configured.get(name), record, trouble=trouble)
        found.append(_looked_at(paths, facts, children, settler))
    return tuple(found)


def _looked_at(paths: Paths, facts: Facts, children: dict[int, Child], settler: Settler) -> Facts:
    """The facts of one instance; those given are what is on disk."""
    name, instance, record = facts.name, facts.instance, facts.record
    holder = locks.holder(paths.lock(name))
    if holder is not None and holder.action == TIDY:
        holder = None
    if holder is None and instance is not None:
        turn = turn_of(paths, instance)
        holder = replace(turn, action="start") if turn else None
    alive = record is not None and processes.matches(record.identity)
    if record is not None and alive:
        settler.saw_alive(record)
    elif record is not None and not record.ended:
        record = settler.settle(record, instance, children.get(record.pid))
        _reap(children)
    resident = processes.resident_bytes(record.pid) if record and alive else None
    bound = record is not None and alive and bool(record.cpus)
    cpus = affinity_of(record.pid) if record and bound else None
    facts = replace(
        facts, record=record, alive=alive, holder=holder, resident=resident, cpus=cpus or ()
    )
    if alive:
        return facts
    return replace(facts, answered=ports.answers(facts.connect_host, facts.port))


def _recorded(paths: Paths, name: str) -> tuple[Record | None, str]:
    """The record of an instance, or none and why it cannot be read ("" where there is none)."""
    try:
        record = records.read(paths.record(name))
    except GputuiError as error:
        return None, f"its record could not be read: {error.message}"
    aside = records.broken(paths, name) if record is None else None
    return record, f"its record could not be read: {aside}" if aside else ""


def _reap(children: dict[int, Child]) -> None:
    for pid in [pid for pid, child in list(children.items()) if child.poll() is not None]:
        children.pop(pid, None)  # several looks at once: another was faster


def describe(facts: Facts, reading: Reading | None) -> InstanceStatus:
    """The status of an instance from its facts and what its server said (None: not asked)."""
    status = InstanceStatus(
        name=facts.name,
        state=State.STOPPED,
        port=facts.port,
        url=facts.url,
        model=clean_line(short_name(facts.model), 120),
        gpus=facts.record.gpus if facts.record else (),
        role=facts.role,
        sees=reading.props.sees if reading and reading.props else None,
        slot_context=reading.props.context if reading and reading.props else None,
    )
    if facts.running is not None:
        return _running(status, facts, facts.running, reading or Reading())
    if facts.holder is not None and facts.holder.action in ("start", "restart"):
        return replace(status, state=State.STARTING, owned=True, note=facts.holder.note)
    if reading is not None and reading.health in (Health.READY, Health.LOADING):
        status = _external(status, facts, reading)
    if status.state is not State.STOPPED:
        return status
    if facts.record is not None and facts.record.failure is not None:
        return _failed(status, facts, facts.record, facts.record.failure)
    words = _unloaded(facts.record)
    note = status.note or clean_line(facts.trouble) or words
    return replace(status, note=note, unloaded=bool(words))


def _failed(status: InstanceStatus, facts: Facts, record: Record, failure: str) -> InstanceStatus:
    allowed = facts.instance is None or facts.instance.restart == "on-failure"
    return replace(
        status,
        state=State.FAILED,
        last_error=clean_line(failure),
        hint=clean_line(record.hint),
        failures=len(record.failures),
        restart_at=record.restart_at if allowed and record.this_boot else None,
        exit_words=exit_words(record.exit_code),
        evidence=tuple(clean_line(line) for line in record.evidence[:3]),
    )


def _unloaded(record: Record | None) -> str:
    if record is None or record.unloaded_after is None or not record.this_boot:
        return ""
    return f"unloaded after {duration(record.unloaded_after)} without a request"


def _running(
    status: InstanceStatus, facts: Facts, record: Record, reading: Reading
) -> InstanceStatus:
    status = replace(
        status,
        owned=True,
        pid=record.pid,
        pinned=bool(record.gpus),
        offloads=record.settings.get("n_gpu_layers") != 0,
        started_at=record.started_at,
        cpus=facts.cpus or record.cpus,
        numa_node=record.numa_node,
        failures=len(record.failures),
        metrics=metrics_of(reading, facts.resident),
        differs=differences(record.settings, facts.instance),
    )
    if record.stop_deadline is not None:
        left = max(0.0, record.stop_deadline - time.monotonic())
        note = facts.holder.note if facts.holder else "its stop was interrupted: stop it again"
        return replace(status, state=State.STOPPING, stop_seconds_left=left, note=note)
    state = {Health.READY: State.READY, Health.LOADING: State.LOADING}.get(
        reading.health or Health.REFUSED, State.STARTING
    )
    if record.ready_at is not None or reading.props is not None:
        state = State.READY  # a hung server is not a loading one; its silence is a note
    if state is not State.READY:
        return replace(status, state=state, note=_note(reading))
    gone = "" if facts.instance else "is not in this configuration: it runs on until it is stopped"
    note = _note(reading) or gone or _crashes(record) or _placement_note(record, facts.cpus)
    return replace(status, state=state, note=note, stalled_seconds=reading.stalled_seconds)


def _placement_note(record: Record, now: Sequence[int]) -> str:
    asked = record.settings.get("numa_node")
    node = asked if isinstance(asked, int) else None
    return placement_note(Placement(record.cpus, record.numa_node), node, now)


def _crashes(record: Record) -> str:
    count = len(record.failures)
    return f"crashed {'once' if count == 1 else f'{count} times'} and was started again" * bool(
        count
    )


def _note(reading: Reading) -> str:
    if reading.trouble:
        return f"its answers cannot be read: {reading.trouble}"
    if reading.props is not None and reading.props.is_sleeping is True:
        return "sleeping: the next request loads the model"
    if reading.answered_at is not None and _waits(reading):
        return f"gives no answer for {time.monotonic() - reading.answered_at:.0f} s"
    if reading.health is Health.ODD:
        return "answers, but not as llama-server does"
    if reading.health is Health.SILENT:
        return "gives no answer"
    return "" if reading.health else "gives no answer yet"


def _waits(reading: Reading) -> bool:
    """Whether a question is open, and the last answer older than one of a server in good health."""
    answered_at = reading.answered_at
    if answered_at is None or answered_at >= reading.asked_at:
        return False
    return time.monotonic() - answered_at > _SILENCE


def metrics_of(reading: Reading, resident: int | None) -> InstanceMetrics:
    """What the server said of itself, as long as it answers: the last numbers of one that does not
    say nothing of now. Its memory the host tells."""
    if reading.health is not Health.READY or _waits(reading):
        return InstanceMetrics(memory_bytes=resident)
    counted = reading.counted_at == reading.asked_at  # an unfinished round says nothing of now
    return InstanceMetrics(
        generation_tokens_per_second=reading.generation_rate,
        prompt_tokens_per_second=reading.prompt_rate,
        slots_busy=reading.slots_busy,
        slots_total=reading.props.slots if reading.props else None,
        requests_deferred=reading.requests_deferred,
        memory_bytes=resident,
        requests_processing=reading.requests_processing if counted else None,
        tokens_generated=reading.tokens_generated if counted else None,
    )


def _external(status: InstanceStatus, facts: Facts, reading: Reading) -> InstanceStatus:
    """What a server that gputui did not start makes of the status of the instance on its port.

    Which GPUs such a one is on is not known.
    """
    status = replace(status, gpus=())
    if reading.health is Health.LOADING:
        return replace(status, state=State.LOADING, note="not started by gputui")
    props = reading.props
    if props is None or not props.is_llama_server:
        return replace(status, note=f"port {facts.port} is used by another program")
    served = props.model_path if isinstance(props.model_path, str) else None
    if served and Path(served).name != Path(facts.model).name and props.model_alias != facts.name:
        other = clean_line(short_name(served), 80)
        return replace(status, note=f"port {facts.port} is used by a llama-server with {other}")
    return replace(
        status,
        state=State.READY,
        metrics=metrics_of(reading, facts.resident),
        note="not started by gputui",
    )
