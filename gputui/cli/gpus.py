"""``gputui gpus``: what each GPU does now, once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from queue import SimpleQueue

import click

from gputui import config as configuration
from gputui.cli.compose import make_source
from gputui.cli.root import common_options, options_of
from gputui.errors import GputuiError
from gputui.gpu.metrics import throttle_words
from gputui.gpu.sample import NOT_READ, GpuProcess, GpuSample, Snapshot, snapshot_json
from gputui.gpu.sampler import Sampler
from gputui.gpu.source import Source
from gputui.identity import short_bus_id
from gputui.text import UNKNOWN, gibibytes, number, size

_INTERVAL = 0.25  # seconds between the samples that a rate needs
_SAMPLES = 6  # at most
_PATIENCE = 10.0  # seconds: without nvidia-persistenced the driver may need several to wake up

_HEADINGS = (
    *("GPU", "name", "bus", "util", "memory GiB", "power W", "temp", "fan"),
    *("SM MHz", "mem MHz", "PCIe", "limited by"),
)
_LEFT = frozenset({"name", "bus", "limited by"})


@click.command("gpus")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@common_options
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show what each GPU does now."""
    options = options_of(context)
    snapshot = one_shot(make_source(options, options.load_config()))
    instances = _instances()
    if as_json:
        click.echo(json.dumps(snapshot_json(snapshot, instances), indent=2, ensure_ascii=False))
        context.exit(1 if snapshot.problem and not snapshot.gpus else 0)
    problem = snapshot.problem
    if problem and not snapshot.gpus:
        raise GputuiError(problem.message, problem.hint)
    click.echo("\n".join(table(snapshot, instances)))
    if problem:
        click.echo(f"gputui: {problem.message}\n  {problem.hint}", err=True)


def one_shot(source: Source) -> Snapshot:
    """A snapshot of ``source`` in which rates are measured too: they need a second sample.

    Returns with a Problem, soon, where the driver does not answer.
    """
    arrived: SimpleQueue[Snapshot] = SimpleQueue()
    sampler = Sampler(source, _INTERVAL, arrived.put, patience=_PATIENCE, capacity=1)
    sampler.start()
    try:
        snapshot = arrived.get()
        for _ in range(_SAMPLES - 1):
            if snapshot.problem:
                break
            snapshot = arrived.get()
            if not any(NOT_READ in gpu.unavailable.values() for gpu in snapshot.gpus):
                break
    finally:
        sampler.stop(wait=0.5)
    return snapshot


def table(snapshot: Snapshot, instances: Mapping[int, str]) -> list[str]:
    """The lines of the table; under each GPU its problem and its processes."""
    rows = [_row(gpu) for gpu in snapshot.gpus]
    lines = _aligned([_HEADINGS, *rows])
    shown = [lines[0]]
    for gpu, line in zip(snapshot.gpus, lines[1:], strict=True):
        shown.append(line)
        if gpu.problem:
            shown.append(f"     {gpu.problem.message}. {gpu.problem.hint}".rstrip())
        shown += [_process(process, instances) for process in gpu.processes]
    return shown


def _row(gpu: GpuSample) -> tuple[str, ...]:
    memory = f"{gibibytes(gpu.get('memory_used'))}/{gibibytes(gpu.get('memory_total'))}"
    used_by_all = f"{gibibytes(gpu.get('memory_used'))} shared"
    return (
        str(gpu.identity.index),
        gpu.identity.name.removeprefix("NVIDIA ")
        + (" (SIMULATED)" if gpu.identity.simulated else ""),
        short_bus_id(gpu.identity),
        _with_unit(gpu, "utilization_gpu", "%"),
        used_by_all if gpu.shared_memory else memory,
        f"{number(gpu.get('power_draw'))}/{number(gpu.get('power_limit'))}",
        _with_unit(gpu, "temperature_gpu", "°C"),
        _with_unit(gpu, "fan_speed", "%"),
        _clock(gpu, "clocks_sm"),
        _clock(gpu, "clocks_mem"),
        _pcie(gpu),
        ", ".join(throttle_words(gpu.get("throttle_reasons"))),
    )


def _with_unit(gpu: GpuSample, metric: str, unit: str) -> str:
    value = gpu.get(metric)
    return UNKNOWN if value is None else f"{value:.0f} {unit}"


def _clock(gpu: GpuSample, metric: str) -> str:
    now, most = gpu.get(metric), gpu.get(f"{metric}_max")
    mhz = [number(None if hertz is None else hertz / 1e6) for hertz in (now, most)]
    return "/".join(mhz)


def _pcie(gpu: GpuSample) -> str:
    """Generation and lanes now, and what the slot and the GPU could do."""
    now, most = (
        "×".join(number(gpu.get(metric + end)) for metric in ("pcie_link_gen", "pcie_link_width"))
        for end in ("", "_max")
    )
    return f"{now} of {most}"


def _process(process: GpuProcess, instances: Mapping[int, str]) -> str:
    name = process.name or "(not visible here)"
    instance = instances.get(process.pid)
    label = f" = {instance}" if instance else ""
    return f"     {process.pid:>8}  {size(process.used_gpu_memory):>10}  {name}{label}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if heading in _LEFT else cell.rjust(width)
            for cell, width, heading in zip(row, widths, _HEADINGS, strict=True)
        ).rstrip()
        for row in rows
    ]


def _instances() -> Mapping[int, str]:
    """Instance names by pid, of the instances that run now."""
    from gputui.instances.records import names_by_pid

    return names_by_pid(configuration.state_dir())
