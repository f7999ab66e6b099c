"""The command line in this process: what it prints and how it ends, without the start of a program."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NamedTuple
from unittest import mock

from click.testing import CliRunner

from gputui.cli.root import gputui


class Ended(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str


def run_here(*words: str, environment: Mapping[str, str]) -> Ended:
    """``gputui WORDS`` as its entry point runs it, errors told and all; not for what signals end."""
    runner = CliRunner()
    code = 0
    with (
        runner.isolation(env=environment) as (out, err, _),
        mock.patch.object(sys, "argv", ["gputui", *words]),
    ):
        try:
            gputui()
        except SystemExit as ended:
            code = int(ended.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        return Ended(code, out.getvalue().decode(), err.getvalue().decode())
