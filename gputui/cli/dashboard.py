"""``gputui`` without a command: composes the program and opens the screen."""

from __future__ import annotations

import locale
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gputui.cli.compose import Options, make_conversation, make_source, make_supervisor
from gputui.config import Config
from gputui.errors import GputuiError

if TYPE_CHECKING:
    from gputui.ui.services import Services


def run_dashboard(options: Options, start: Sequence[str] = (), *, demo: bool = False) -> None:
    """Open the dashboard, starting the instances named in ``start``; returns when the user quits."""
    from gputui.ui.app import GputuiApp

    app = GputuiApp(make_services(options, start, demo=demo))
    last_words = app.run(mouse=not options.no_mouse)
    if app.failure is not None:
        raise app.failure
    if last_words:
        click.echo(last_words)


def make_services(options: Options, start: Sequence[str] = (), *, demo: bool = False) -> Services:
    """All rooms, composed. A configuration that cannot be used is shown on the screen instead."""
    from gputui.chat.endpoints import endpoint_of
    from gputui.gpu.sampler import Sampler
    from gputui.themes import load_themes
    from gputui.ui.services import Services

    problem: GputuiError | None = None
    try:
        config = options.load_config()
    except GputuiError as error:
        config, problem = Config(), error
    source = make_source(options, config)
    return Services(
        config=config,
        themes=load_themes(),
        sampler=lambda listener: Sampler(source, config.interval, listener),
        supervisor=make_supervisor(options, config, ()),
        conversation=make_conversation(),
        endpoint_of=lambda name: endpoint_of(config, name),
        config_error=problem,
        config_file=options.config_file,
        readonly=options.readonly,
        ascii_only=not _unicode_terminal(),
        start=tuple(start),
        demo=demo,
        host=socket.gethostname(),
    )


def _unicode_terminal() -> bool:
    """Whether the terminal's encoding holds the block characters; the Linux console's font does not."""
    encoding = locale.getpreferredencoding(do_setlocale=False).lower().replace("-", "")
    return encoding == "utf8" and os.environ.get("TERM") not in ("linux", "vt100", "dumb")
