"""What the commands that change something ask before they do."""

from __future__ import annotations

import sys

import click

from gputui.errors import GputuiError


def confirm(question: str, refused: str = "nothing was changed") -> None:
    """Ask on the terminal. Raises GputuiError(``refused``) after a no, click.UsageError where there is
    nobody to ask."""
    if not sys.stdin.isatty():
        raise click.UsageError("there is nobody to ask: give --yes")
    if not click.confirm(question):
        raise GputuiError(refused)
