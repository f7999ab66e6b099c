"""What is known of an instance at one moment, and its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum

from gputui.config.tables import Role


class State(StrEnum):
    """The states of an instance."""

    STOPPED = "stopped"
    STARTING = "starting"  # the process lives, its port is not bound yet
    LOADING = "loading"  # bound, and answers 503
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


RUNNING = frozenset({State.STARTING, State.LOADING, State.READY, State.STOPPING})


HUNG_SECONDS = 120.0
"""Busy for so long without a token is hung."""
_OVERDUE = 10.0


@dataclass(frozen=True, slots=True)
class InstanceMetrics:
    """Readings of a running server; None is not known.

    Rates are means over the time between two probes, from the server's own counters, and None
    while nothing was generated or processed in between. ``memory_bytes`` is the process's resident
    host memory. ``requests_deferred`` is the queue. ``requests_total`` and ``requests_failed`` (answered
    with a status of 500 or more) count from the server's start, as far as its log says
    (llama/requests.py); only of owned servers. ``requests_processing`` and ``tokens_generated`` are of
    one moment; the latter counts since the server's start, and moves when a request ends. Both are None
    while the server takes its time to answer.
    """

    generation_tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None
    slots_busy: int | None = None
    slots_total: int | None = None
    requests_deferred: int | None = None
    memory_bytes: int | None = None
    requests_total: int | None = None
    requests_failed: int | None = None
    requests_processing: int | None = None
    tokens_generated: int | None = None


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """One instance at one moment.

    ``owned``: started by gputui (any session of this user); a server that is only seen on the port
    is not owned and never signalled. ``gpus`` are the UUIDs it is pinned to. ``pinned`` is False
    where it runs, or would run, on the CPU alone, None where that is not known. ``model`` is a short
    cleaned name for people. ``started_at`` is Unix time. ``load_progress`` is an estimate, 0 to 1,
    None where nothing is known; ``load_seconds_left`` is one from the last load of the same file, 0 where
    this one takes longer, None where there was none.
    ``stop_seconds_left`` counts down to SIGKILL while stopping. ``last_error`` says in words why it
    failed or cannot start, ``hint`` what to do; ``note`` is anything else worth a line (the port is
    used by another instance, for one). ``role`` is what it is for; ``sees`` whether it takes pictures.
    ``context`` is the whole context of all slots in tokens, as the server says it; ``slot_context`` what one
    conversation may have of it (all, where the slots share one pool). ``lowered`` says in words what
    ``--fit`` took from what was asked for ("" for nothing). ``differs`` are the keys whose configured
    value is another than the running one's. ``failures`` counts its crashes since the user started it,
    ``restart_at`` is the Unix time of the next try; ``exit_words`` says how it ended ("exit code 1"),
    ``evidence`` are the lines of its log that say why. ``availability`` is the share, 0 to 1, of the last 30
    days in which it was ready while it was wanted. ``cpus`` are those it is bound to, () for all.
    ``prompt_progress`` is the share, 0 to 1, that is read of the prompt that is furthest behind, None where
    none is in work or that is not told (of short ones it never is). ``stalled_seconds`` is for how long it
    has been busy, or has said nothing, without a token; None where it is not busy.
    ``idle_seconds``: for how long it has been seen without a request; None where that cannot be seen now.
    ``unloaded``: it was stopped since nobody asked it anything, see ``note``.
    ``external`` is a server that no instance is configured for. ``offloads`` is False where it was started
    to put no layer on its GPUs: it may hold nothing there.
    """

    name: str
    state: State
    port: int
    url: str
    model: str
    owned: bool = False
    pid: int | None = None
    gpus: tuple[str, ...] = ()
    pinned: bool | None = None
    started_at: float | None = None
    load_progress: float | None = None
    load_seconds_left: float | None = None
    stop_seconds_left: float | None = None
    metrics: InstanceMetrics = field(default_factory=InstanceMetrics)
    last_error: str | None = None
    hint: str = ""
    note: str = ""
    role: Role = "chat"
    sees: bool | None = None
    context: int | None = None
    slot_context: int | None = None
    lowered: str = ""
    differs: tuple[str, ...] = ()
    failures: int = 0
    restart_at: float | None = None
    exit_words: str = ""
    evidence: tuple[str, ...] = ()
    availability: float | None = None
    cpus: tuple[int, ...] = ()
    numa_node: int | None = None
    prompt_progress: float | None = None
    stalled_seconds: float | None = None
    idle_seconds: float | None = None
    unloaded: bool = False
    external: bool = False
    offloads: bool = True

    @property
    def state_word(self) -> str:
        """The state as people are told it: one that was unloaded is that, and stopped to programs."""
        return "unloaded" if self.unloaded else str(self.state)


_MORE = (
    *("load_progress", "load_seconds_left", "prompt_progress"),
    *("hint", "note", "failures", "restart_at", "exit_words", "evidence"),
    *("availability", "stalled_seconds", "idle_seconds", "role", "external"),
    *("sees", "context", "lowered", "differs", "unloaded", "cpus", "numa_node"),
)


def retry_words(status: InstanceStatus, now: float) -> str:
    """When a failed instance is tried again, at ``now`` in Unix time; "" where it is not.

    ``next try in 7 s``; ``next try due`` where nobody is there to try.
    """
    if status.restart_at is None:
        return ""
    left = status.restart_at - now
    if left < -_OVERDUE:
        return "next try due"
    return f"next try in {left:.0f} s" if left > 0.5 else "next try now"


def status_json(statuses: tuple[InstanceStatus, ...]) -> dict[str, list[dict[str, object]]]:
    """The shape of ``gputui status --json``; ``gpus`` is null where not known, [] for the CPU."""
    keys = ("name", "state", "owned", "pid", "port", "url", "gpus", "model", "started_at")
    return {
        "instances": [
            {key: getattr(status, key) for key in keys}
            | ({} if status.gpus or status.pinned is False else {"gpus": None})
            | {"metrics": asdict(status.metrics), "last_error": status.last_error}
            | {key: getattr(status, key) for key in _MORE}
            for status in statuses
        ]
    }
