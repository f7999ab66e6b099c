"""``gputui chat``: one prompt to one model or to several, without the screen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from gputui.chat.asking.attachments import check_number, read_attachment
from gputui.chat.conversation import PAIR, Conversation
from gputui.chat.endpoints import cannot_chat, endpoint_of, found_endpoint, running_endpoint
from gputui.chat.figures import figures_line
from gputui.chat.model import STOPPED, Answer, Attachment, Endpoint, Settings, answer_json
from gputui.chat.side import Side
from gputui.cli.chat_many import asked_names, summary
from gputui.cli.chat_settings import chosen, settings_options
from gputui.cli.compose import Options, make_conversation, make_supervisor
from gputui.cli.root import common_options, options_of, report
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.instances.status import InstanceStatus, State
from gputui.text import number

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

_DRAWS_PER_SECOND = 20
_PROGRESS_SECONDS = 0.5
_PATIENCE = 1.0


@click.command("chat")
@common_options
@click.option("--a", "side_a", metavar="NAME", help="Instance or endpoint of side A.")
@click.option("--b", "side_b", metavar="NAME", help="Instance or endpoint of side B.")
@click.option("--to", multiple=True, metavar="NAME", help="One to ask; up to eight times.")
@click.option("--all", "everyone", is_flag=True, help="Ask every configured model that is ready.")
@click.option("--at-once", type=click.IntRange(1), help="How many answer at a time; else all.")
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
@settings_options
@click.option(
    "--attach",
    "files",
    multiple=True,
    metavar="PATH",
    help="A picture or text file that goes with the prompt; repeatable.",
)
@click.argument("prompt", required=False)
@click.pass_context
def command(
    context: click.Context,
    side_a: str | None,
    side_b: str | None,
    to: Sequence[str],
    everyone: bool,
    at_once: int | None,
    as_json: bool,
    files: Sequence[str],
    prompt: str | None,
) -> None:
    """Send PROMPT ("-" or nothing: standard input) to one model, to two, or to more.

    Ctrl-C stops the answers, and what came is printed. Exit code 1 where a side failed, 130 after
    Ctrl-C.
    """
    options = options_of(context)
    config = options.load_config()
    settings, limit = chosen(context, config)
    names = asked_names(config, side_a, side_b, to, everyone=everyone)
    endpoints = {side: _endpoint(config, name) for side, name in names.items()}
    text = _prompt(prompt)
    attachments = _attachments(files)
    endpoints = asyncio.run(_as_they_run(options, config, endpoints, only_ready=everyone))
    alone = len(endpoints) == 1 and not as_json
    question = _Question(text, attachments, settings, at_once or limit)
    answers, interrupted = asyncio.run(_ask(endpoints, question, live=alone))
    if as_json:
        shape = {"prompt": text, "answers": [answer_json(answer) for answer in answers.values()]}
        click.echo(json.dumps(shape, indent=2, ensure_ascii=False))
    else:
        for answer in answers.values():
            _print(answer, whole=not alone)
        if len(answers) > len(PAIR) and sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
            click.echo("\n".join(summary(answers.values(), width)))
    if interrupted:
        context.exit(INTERRUPTED)
    context.exit(1 if any(answer.error for answer in answers.values()) else 0)


def _endpoint(config: Config, name: str) -> Endpoint:
    """The endpoint of that name; of one that is not configured, which is still to be found, the name."""
    known = {table.name for table in config.instances} | {t.name for t in config.endpoints}
    if name in known:
        return endpoint_of(config, name)
    return found_endpoint(name, "", "")


async def _as_they_run(
    options: Options, config: Config, endpoints: Mapping[str, Endpoint], *, only_ready: bool = False
) -> dict[str, Endpoint]:
    """The endpoints, those of instances as they run now. Raises GputuiError where one is not ready.

    ``only_ready``: leave out those that are not, unless that is all of them. An instance's port alone
    says nothing: an alternative to it may be the one that listens there.
    """
    far = {table.name for table in config.endpoints}
    if all(endpoint.name in far for endpoint in endpoints.values()):
        return dict(endpoints)
    supervisor = make_supervisor(options, config, ())
    try:
        statuses = {status.name: status for status in await supervisor.observe(_PATIENCE)}
    finally:
        await supervisor.close()
    running: dict[str, Endpoint] = {}
    missing: GputuiError | None = None
    for side, endpoint in endpoints.items():
        try:
            there = endpoint if endpoint.name in far else _running(config, endpoint, statuses)
        except GputuiError as error:
            if not only_ready:
                raise
            missing = missing or error
        else:
            running[side] = there
    if missing is not None and not running:
        raise missing
    return dict(zip(endpoints, running.values(), strict=False))


def _running(
    config: Config, endpoint: Endpoint, statuses: Mapping[str, InstanceStatus]
) -> Endpoint:
    status = statuses.get(endpoint.name)
    if status is None:
        return endpoint_of(config, endpoint.name)  # which says what names there are
    if status.role != "chat":
        raise GputuiError(cannot_chat(status.name, status.role), "Choose another.")
    if status.external and status.state is State.READY:
        return found_endpoint(status.name, status.url, status.model, sees=status.sees)
    return ready_endpoint(endpoint, status)


def ready_endpoint(endpoint: Endpoint, status: InstanceStatus) -> Endpoint:
    """The endpoint of an instance that is ready. Raises GputuiError where it is not."""
    name, state = status.name, status.state
    if state is State.READY:
        return running_endpoint(
            endpoint, status.url, status.model, owned=status.owned, sees=status.sees
        )
    why = status.last_error or status.note
    hints = {
        State.STOPPED: f"Start it with: gputui start {name}",
        State.FAILED: status.hint or f"Look at its log: gputui logs {name}",
        State.STOPPING: f"Start it again when it is stopped: gputui start {name}",
    }
    raise GputuiError(
        (f"{name} failed" if state is State.FAILED else f"{name} is {state}")
        + (f": {why}" if why else ""),
        hints.get(state, "Wait until it is ready: gputui status"),
    )


def _prompt(argument: str | None) -> str:
    """The prompt as it was given, "" never: that is wrong usage."""
    if argument is not None and argument != "-":
        text = argument
    elif argument is None and sys.stdin.isatty():
        raise click.UsageError('no PROMPT: give one, or "-" to read it from standard input')
    else:
        text = sys.stdin.buffer.read().decode(errors="replace").rstrip("\n")
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    return text


def _attachments(files: Sequence[str]) -> tuple[Attachment, ...]:
    """The files that go with the prompt; what was changed in one is told. Raises GputuiError."""
    read = [read_attachment(file) for file in files]
    for one in read:
        if one.note:
            click.echo(f"gputui: {one.note}", err=True)
    attachments = tuple(one.attachment for one in read)
    check_number(attachments)
    return attachments


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, how, and of how many at a time (None: of all)."""

    prompt: str
    attachments: Sequence[Attachment]
    settings: Settings
    at_once: int | None


async def _ask(
    endpoints: Mapping[str, Endpoint], question: _Question, *, live: bool
) -> tuple[dict[str, Answer], bool]:
    """The answers by side, and whether Ctrl-C ended them.

    ``live``: side A's text goes to stdout as it comes. Otherwise a terminal on stderr shows how far
    the answers are.
    """
    conversation = make_conversation()
    interrupted = asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        conversation.stop()

    conversation.settings, conversation.at_once = question.settings, question.at_once
    conversation.seat(tuple(endpoints))
    for name, endpoint in endpoints.items():
        conversation.sides[name].choose(endpoint)
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends the command there
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    try:
        conversation.send(question.prompt, tuple(endpoints), question.attachments)
        if live:
            await _print_as_it_comes(conversation)
        elif sys.stderr.isatty():
            await _show_progress(conversation, tuple(endpoints))
        await conversation.wait()
    finally:
        await conversation.close()
    if conversation.store_problem:
        click.echo(f"gputui: {conversation.store_problem}", err=True)
    answers = {name: conversation.sides[name].finished[-1].answers[name] for name in endpoints}
    return answers, interrupted.is_set()


async def _print_as_it_comes(conversation: Conversation) -> None:
    side = conversation.sides["A"]
    printed = 0
    while (answer := side.live) is not None:
        click.echo(answer.text[printed:], nl=False)
        printed = len(answer.text)
        await asyncio.sleep(1 / _DRAWS_PER_SECOND)
    text = side.finished[-1].answers["A"].text
    click.echo(text[printed:])


async def _show_progress(conversation: Conversation, names: Sequence[str]) -> None:
    """One line on stderr, drawn anew until all have ended, then gone."""
    waiting = asyncio.ensure_future(conversation.wait())
    while not waiting.done():
        line = " · ".join(_progress(conversation.sides[name]) for name in names)
        _redraw(line[: shutil.get_terminal_size().columns - 1])
        await asyncio.wait({waiting}, timeout=_PROGRESS_SECONDS)
    _redraw("")


def _redraw(line: str) -> None:
    click.echo(f"\r\x1b[2K{line}", err=True, nl=False)


def _progress(side: Side) -> str:
    """How far a side is: ``A 14.2 tok/s 120 tok``."""
    answer = side.live
    if answer is None:
        last = side.finished[-1].answers[side.name]
        ended = STOPPED if last.finish_reason == STOPPED else "done"
        return f"{side.name} {'failed' if last.error else ended}"
    numbers = answer.measurement
    speed, tokens = numbers.generation_tokens_per_second, numbers.completion_tokens
    if tokens is None:
        prompt = numbers.prompt_progress
        done = "waiting" if prompt is None else f"prompt {prompt * 100:.0f} %"
        return f"{side.name} {done}"
    rate = f"{number(speed.value, 1)} tok/s " if speed else ""
    return f"{side.name} {rate}{number(tokens.value)} tok"


def _print(answer: Answer, *, whole: bool) -> None:
    """An answer as a block; not ``whole``: its text stands there already."""
    if whole:
        click.echo(f"── {answer.side}  {answer.name}  {answer.model}")
        click.echo(answer.text)
    if answer.error:
        report(GputuiError(answer.error, answer.hint))
    if answer.left_out:
        refused = ", ".join(answer.left_out)
        click.echo(f"asked without {refused}, which the server refused", err=not whole)
    click.echo(figures_line(answer), err=not whole)
    if whole:
        click.echo()
