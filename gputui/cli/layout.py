"""``gputui layout``: what has to stop and start for a set of instances, shown and done."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from gputui.cli.acting import read_gpus, refuse_readonly, report_broken_off, supervising
from gputui.cli.asking import confirm
from gputui.cli.compose import Options, make_layouts, pinned_pids
from gputui.cli.root import common_options, options_of, report
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity, gpu_label
from gputui.text import clean_line

if TYPE_CHECKING:
    from gputui.instances.switching.layouts import LayoutPlan
    from gputui.instances.switching.switch import Layouts, Step

_Answer = TypeVar("_Answer")


@click.command("layout")
@click.argument("name", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would stop and start.")
@click.option("--force", is_flag=True, help="Break off answers that are in the way.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with NAME: the plan alone.")
@common_options
@click.pass_context
def command(
    context: click.Context, name: str | None, yes: bool, dry_run: bool, force: bool, as_json: bool
) -> None:
    """Switch to a layout: exactly these instances on their GPUs and ports.

    Without NAME: list the layouts. Shows what stops, what starts and what will not fit, and asks. Exit
    code 1 where it ends half-way; then it says where things stand, and how to go back.
    """
    options = options_of(context)
    config = options.load_config()
    if not config.layouts:
        raise GputuiError("no layout is configured", "Write a [[layouts]] table: see the README.")
    looking = name is None or dry_run or as_json
    if not looking:
        refuse_readonly(options, "switched")
    gpus = _known_gpus(options, config, looking=looking)
    asked = _Asked(options, config, gpus)
    if name is None:
        _list(asked.run(lambda layouts: layouts.all()), as_json=as_json)
        return
    plan = asked.run(lambda layouts: layouts.plan(name))
    if as_json:
        _echo_json(plan)
    else:
        click.echo("\n".join(plan_lines(plan, gpus)))
    if looking or plan.active:
        context.exit(1 if plan.cannot else 0)
    if plan.cannot:
        raise GputuiError(f"layout {plan.name} cannot be had as things are")
    if not yes:
        confirm(f"Switch to layout {plan.name}?")
    _switch(asked, plan, yes=yes, force=force)


@dataclass(frozen=True)
class _Asked:
    """The layouts, asked one thing at a time: between two of them the user may be asked, which blocks."""

    options: Options
    config: Config
    gpus: tuple[GpuIdentity, ...]

    def run(self, act: Callable[[Layouts], Awaitable[_Answer]]) -> _Answer:
        """What ``act`` gives; what it is broken off in is said."""

        async def acting() -> _Answer:
            async with supervising(self.options, self.config, self.gpus) as supervisor:
                try:
                    return await act(make_layouts(supervisor))
                except asyncio.CancelledError as error:
                    report_broken_off(error)
                    raise

        return asyncio.run(acting())


def plan_lines(plan: LayoutPlan, gpus: Sequence[GpuIdentity]) -> Iterator[str]:
    """The plan in words, one instance a line."""
    if plan.active:
        yield f"layout {plan.name} runs already: {', '.join(plan.members)}"
        return
    yield f"layout {plan.name}:"
    for stopping in plan.stops:
        yield f"  stops   {stopping.name} ({', '.join(stopping.reasons)})"
    for staying in plan.stays:
        yield f"  stays   {staying.name}{_on(staying.gpus, gpus)}"
    for arriving in plan.starts:
        again = f", again: {clean_line(arriving.restarts)}" if arriving.restarts else ""
        yield f"  starts  {arriving.name}{_on(arriving.gpus, gpus)}{again}"
        if arriving.fit_words:
            yield f"          {clean_line(arriving.fit_told)}"
    for blocked in plan.cannot:
        yield f"  cannot  {blocked.name}: {clean_line(blocked.reason)}"
        if blocked.hint:
            yield f"          {clean_line(blocked.hint)}"


def _known_gpus(options: Options, config: Config, *, looking: bool) -> tuple[GpuIdentity, ...]:
    """The GPUs, where anything is pinned; who only looks is told what can be told without a driver."""
    if not any(instance.gpus for instance in config.instances) and not pinned_pids():
        return ()
    try:
        return read_gpus(options, config)
    except GputuiError as error:
        if not looking:
            raise
        report(error)
        return ()


def _list(plans: Sequence[LayoutPlan], *, as_json: bool) -> None:
    if as_json:
        layouts = [
            {"name": plan.name, "active": plan.active, "instances": list(plan.members)}
            for plan in plans
        ]
        click.echo(json.dumps({"layouts": layouts}, indent=2, ensure_ascii=False))
        return
    width = max(len(plan.name) for plan in plans)
    for plan in plans:
        mark = "active" if plan.active else "      "
        click.echo(f"{plan.name.ljust(width)}  {mark}  {', '.join(plan.members)}")


def _echo_json(plan: LayoutPlan) -> None:
    from gputui.instances.switching.layouts import plan_json

    click.echo(json.dumps(plan_json(plan), indent=2, ensure_ascii=False))


def _switch(asked: _Asked, plan: LayoutPlan, *, yes: bool, force: bool) -> None:
    from gputui.instances.switching.words import AnsweringError

    try:
        asked.run(lambda layouts: layouts.switch(plan, _tell, force=force))
    except AnsweringError as error:
        if yes or not sys.stdin.isatty():
            raise
        report(GputuiError(error.message))
        confirm("Break the answers off?")
        _switch(asked, plan, yes=yes, force=True)
    else:
        click.echo(f"layout {plan.name} runs")


def _tell(step: Step) -> None:
    click.echo(f"{step.name}: {step.words if step.kind == 'waiting' else _step_words(step)}")


def _step_words(step: Step) -> str:
    return f"{step.kind} on {step.words}" if step.words else str(step.kind)


def _on(uuids: Sequence[str], gpus: Sequence[GpuIdentity]) -> str:
    named = ", ".join(gpu_label(uuid, gpus) for uuid in uuids)
    return f" on {named or 'the CPU'}"
