"""The command line: composes the program and starts one command."""

from __future__ import annotations


def main() -> None:
    """The entry point ``gputui``."""
    from gputui.cli.root import gputui

    gputui()
