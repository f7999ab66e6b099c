"""What a new instance could be: a name, a port, a key that no other has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from gputui.config import Config
from gputui.errors import GputuiError
from gputui.instances import ports
from gputui.models.files import short_name

FIRST_PORT = 8080


def propose_port(config: Config, is_free: Callable[[str, int], bool] = ports.is_free) -> int | None:
    """The first port from 8080 on that no instance has and nobody listens on; None where none is."""
    taken = {instance.port for instance in config.instances}
    for port in range(FIRST_PORT, 2**16):
        if port in taken:
            continue
        try:
            if is_free("127.0.0.1", port):
                return port
        except GputuiError:
            return None
    return None


def propose_name(config: Config, wanted: str) -> str:
    """``wanted``, with a number behind it where that is taken."""
    taken = {one.name.lower() for one in config.instances}
    taken |= {one.name.lower() for one in config.endpoints}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).strip("-._")[:48].rstrip("-._") or "model"
    if name.lower() not in taken:
        return name
    return next(f"{name}-{n}" for n in range(2, 10_000) if f"{name}-{n}".lower() not in taken)


def name_of_model(model: str) -> str:
    """A short name for an instance with that model: its file's without the quantization."""
    return short_name(Path(model).name).split(" ")[0].lower()


def propose_key(config: Config) -> str | None:
    """The first free digit, None where all nine are taken."""
    taken = {instance.key for instance in config.instances}
    return next((digit for digit in "123456789" if digit not in taken), None)
