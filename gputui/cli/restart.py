"""``gputui restart``: stop and start instances."""

from gputui.cli.start import restart as command

__all__ = ["command"]
