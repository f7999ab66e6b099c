"""``gputui power-limit``: how much each GPU may draw, shown and set."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import click

from gputui.cli.acting import driver_answer, refuse_readonly, sample
from gputui.cli.asking import confirm
from gputui.cli.compose import Options, make_source
from gputui.cli.root import common_options, options_of
from gputui.cli.tables import Column, grid, painted
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.gpu.metrics import METRICS_BY_NAME
from gputui.gpu.power_limit import limit_setter, power_range, watts_of
from gputui.gpu.sample import NOT_READ, GpuSample, Snapshot
from gputui.identity import GpuSelectionError, select_gpu
from gputui.text import number

_METRICS = tuple(
    METRICS_BY_NAME[name]
    for name in ("power_limit", "power_default_limit", "power_min_limit", "power_max_limit")
)


def _watts(metric: str) -> Callable[[GpuSample], str]:
    return lambda gpu: number(gpu.get(metric))


_COLUMNS: tuple[Column[GpuSample], ...] = (
    Column("GPU", 0, lambda gpu: str(gpu.identity.index)),
    Column(
        "name",
        0,
        lambda gpu: gpu.identity.name + (" (SIMULATED)" if gpu.identity.simulated else ""),
        left=True,
    ),
    Column("limit W", 0, _watts("power_limit")),
    Column("default W", 0, _watts("power_default_limit")),
    Column("lowest W", 0, _watts("power_min_limit")),
    Column("highest W", 0, _watts("power_max_limit")),
)


@click.command("power-limit")
@click.argument("gpu", required=False)
@click.argument("watts", required=False, metavar="[WATTS|default]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options
@click.pass_context
def command(
    context: click.Context, gpu: str | None, watts: str | None, as_json: bool, yes: bool
) -> None:
    """Show how much each GPU may draw, or set it for one.

    GPU is an index, UUID, PCI bus id or a part of its name. A limit holds until the driver is unloaded
    or the machine is booted; setting one needs root.
    """
    options = options_of(context)
    if watts is not None:
        if as_json:
            raise click.UsageError("--json shows limits; it does not go with WATTS")
        refuse_readonly(options, "set")
    config = options.load_config()
    snapshot = sample(options, config)
    problem = snapshot.problem
    if problem and not snapshot.gpus and not as_json:
        raise GputuiError(problem.message, problem.hint)
    chosen = snapshot.gpus if gpu is None else (_choose(gpu, snapshot),)
    if watts is not None:
        _set(options, config, chosen[0], watts, ask=not yes)
    elif as_json:
        click.echo(json.dumps(_json(snapshot, chosen), indent=2, ensure_ascii=False))
        context.exit(1 if problem and not snapshot.gpus else 0)
    else:
        click.echo("\n".join(_table(chosen)))


def _choose(selector: str, snapshot: Snapshot) -> GpuSample:
    try:
        chosen = select_gpu(selector, snapshot.identities)
    except GpuSelectionError as error:
        raise click.UsageError(str(error)) from error
    return next(gpu for gpu in snapshot.gpus if gpu.identity == chosen)


def _set(options: Options, config: Config, gpu: GpuSample, word: str, *, ask: bool) -> None:
    limits, names = power_range(gpu), gpu.identity
    label = f"GPU {names.index} ({names.name})"
    try:
        watts = watts_of(word, limits)
    except GputuiError as error:
        raise click.UsageError(f"{label}: {error}") from error
    if ask:
        question = f"Set the power limit of {label} from {number(limits.limit)} to {watts:g} W?"
        confirm(question, "nothing was set")
    setter = limit_setter(make_source(options, config))
    change = driver_answer(lambda: setter(names, watts))
    click.echo(change.words + (" (simulated: it ends with this command)" * names.simulated))


def _json(snapshot: Snapshot, gpus: Sequence[GpuSample]) -> dict[str, object]:
    problem = snapshot.problem
    return {
        "source": snapshot.source,
        "problem": problem and {"message": problem.message, "hint": problem.hint},
        "gpus": [
            {
                "index": gpu.identity.index,
                "uuid": gpu.identity.uuid,
                "name": gpu.identity.name,
                "pci_bus_id": gpu.identity.pci_bus_id,
                **{metric.key: gpu.get(metric.name) for metric in _METRICS},
                "unavailable": {
                    metric.key: gpu.unavailable.get(metric.name, NOT_READ)
                    for metric in _METRICS
                    if gpu.get(metric.name) is None
                },
            }
            for gpu in gpus
        ],
    }


def _table(gpus: Sequence[GpuSample]) -> list[str]:
    found = grid(_COLUMNS, gpus, None)
    return [painted(line) for line in (found.heading, *found.lines)]
