"""``gputui status``: which instances run, and how."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence

import click

from gputui.chat.health import EndpointStatus, endpoints_json
from gputui.cli.acting import read_gpus, supervising
from gputui.cli.compose import Options, make_endpoint_watch, pinned_pids
from gputui.cli.root import common_options, options_of
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceStatus, State, retry_words, status_json
from gputui.text import UNKNOWN, clean_line, number, seconds, size, uptime

_PATIENCE = 1.0
_BETWEEN = 0.3
_HEADINGS = (
    "name",
    "model",
    "GPU",
    "port",
    "state",
    "tok/s",
    "slots",
    "queue",
    "memory",
    "uptime",
    "30 days",
)
_RIGHT = frozenset({"port", "tok/s", "slots", "queue", "memory", "uptime", "30 days"})


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@common_options
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show the configured instances, and what runs of them."""
    options = options_of(context)
    config = options.load_config()
    gpus = _known_gpus(options, config)

    async def look() -> tuple[InstanceStatus, ...]:
        async with supervising(options, config, gpus) as supervisor:
            first = await supervisor.observe(_PATIENCE)
            if not any(status.metrics.slots_busy for status in first):
                return first
            await asyncio.sleep(_BETWEEN)  # a speed needs two looks
            return await supervisor.observe(_PATIENCE)

    async def run() -> tuple[tuple[InstanceStatus, ...], tuple[EndpointStatus, ...]]:
        return await asyncio.gather(look(), make_endpoint_watch(config).ask_once())

    statuses, endpoints = asyncio.run(run())
    if as_json:
        shape = status_json(statuses) | {"endpoints": endpoints_json(endpoints)}
        click.echo(json.dumps(shape, indent=2, ensure_ascii=False))
        return
    if statuses:
        click.echo("\n".join(table(statuses, config, gpus)))
    if endpoints:
        click.echo(
            "\n".join(["", *endpoint_lines(endpoints)] if statuses else endpoint_lines(endpoints))
        )
    if not endpoints and all(status.external for status in statuses):
        raise GputuiError("no instance is configured", "Write a configuration: gputui init")


def _known_gpus(options: Options, config: Config) -> tuple[GpuIdentity, ...]:
    """The GPUs, where anything is pinned; () also where no driver names them, after a word of it."""
    if not any(instance.gpus for instance in config.instances) and not pinned_pids():
        return ()
    try:
        return read_gpus(options, config)
    except GputuiError as error:  # what runs can be told without a driver
        click.echo(f"gputui: {error.message}", err=True)
        return ()


def table(
    statuses: Sequence[InstanceStatus], config: Config, gpus: Sequence[GpuIdentity]
) -> list[str]:
    """The lines of the table; what is wrong with an instance stands under it."""
    selectors = {instance.name: instance.gpus for instance in config.instances}
    names = {gpu.uuid: f"{gpu.index} {gpu.name.removeprefix('NVIDIA ')}" for gpu in gpus}
    places = [_place(status, selectors.get(status.name, ()), names) for status in statuses]
    rows = [_HEADINGS, *map(_row, statuses, places)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_aligned(row, widths) for row in rows]
    shown = lines[:1]
    for status, line in zip(statuses, lines[1:], strict=True):
        shown.append(line)
        shown += [f"    {clean_line(extra)}" for extra in _extras(status)]
    return shown


def endpoint_lines(endpoints: Sequence[EndpointStatus]) -> list[str]:
    """The table of endpoints; what is wrong with one stands under it."""
    rows = [("endpoint", "model", "state", "latency", "url")]
    for one in endpoints:
        latency = seconds(one.latency_seconds)
        rows.append((one.name, one.served or UNKNOWN, str(one.state), latency, one.url))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    shown = lines[:1]
    for one, line in zip(endpoints, lines[1:], strict=True):
        shown += [line, f"    {one.problem}"] if one.problem else [line]
    return shown


def _place(status: InstanceStatus, selectors: Sequence[str], names: Mapping[str, str]) -> str:
    """Where it runs, or would: GPUs by name, else by UUID, else as configured; "?" not known."""
    if status.pinned is None:
        return "?"
    if not status.pinned:
        return "CPU"
    words = [names.get(uuid, uuid) for uuid in status.gpus] or selectors
    return ", ".join(clean_line(word, 30) for word in words) or "?"


def _row(status: InstanceStatus, place: str) -> tuple[str, ...]:
    metrics = status.metrics
    slots = UNKNOWN
    if metrics.slots_total is not None:
        slots = f"{number(metrics.slots_busy)}/{metrics.slots_total}"
    age = None if status.started_at is None else time.time() - status.started_at
    return (
        status.name,
        status.model,
        place,
        str(status.port),
        _state(status),
        number(metrics.generation_tokens_per_second, 1),
        slots,
        number(metrics.requests_deferred),
        size(metrics.memory_bytes),
        uptime(age),
        UNKNOWN if status.availability is None else f"{status.availability:.2%}",
    )


def _state(status: InstanceStatus) -> str:
    if status.load_progress is not None:
        return f"{status.state} ~{status.load_progress * 100:.0f} %"
    if status.prompt_progress is not None:
        return f"{status.state}, prompt {status.prompt_progress * 100:.0f} %"
    if status.stop_seconds_left is not None:
        return f"{status.state} {status.stop_seconds_left:.0f} s"
    if status.unloaded:
        return "unloaded"
    if status.restart_at is not None:
        return f"{status.state}, {retry_words(status, time.time())}"
    return f"{status.state} (external)" if not status.owned and _runs(status) else status.state


def _runs(status: InstanceStatus) -> bool:
    return status.state in (State.READY, State.LOADING)


def _extras(status: InstanceStatus) -> list[str]:
    error = ". ".join(part for part in (status.last_error or "", status.hint) if part)
    told = (error if status.last_error else "", status.note, status.lowered)
    return [text for text in told if text]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, _HEADINGS, strict=True)
    return "  ".join(
        cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
        for cell, width, heading in cells
    ).rstrip()
