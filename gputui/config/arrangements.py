"""Which instances go together: ``[[groups]]`` and ``[[layouts]]``, held against the instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

from gputui.config.tables import Config, InstanceConfig, LayoutConfig
from gputui.errors import ConfigError
from gputui.text import clean_line, nearest


def check_arrangements(config: Config, file: Path) -> None:
    """Raise ConfigError where a group has no member, or a layout cannot run as it stands."""
    _check_once("groups", (group.name for group in config.groups), file)
    _check_once("layouts", (layout.name for layout in config.layouts), file)
    groups = {instance.group for instance in config.instances if instance.group}
    for group in config.groups:
        if group.name not in groups:
            near = nearest(group.name, groups)
            raise ConfigError(
                f"{file}: [[groups]] {group.name}: no instance is in this group",
                f'Did you mean "{near}"?'
                if near
                else f'Write group = "{group.name}" in its members.',
            )
    for layout in config.layouts:
        _check_layout(layout, config, file)


def when_busy(config: Config, group: str) -> str:
    """What a group does where a member is to start while another one answers, see GroupConfig."""
    return next((table.when_busy for table in config.groups if table.name == group), "refuse")


def _check_once(kind: str, names: Iterable[str], file: Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise ConfigError(
                f'{file}: [[{kind}]] {name}: name = "{name}" stands there twice',
                f"Every one of the {kind} needs a name of its own.",
            )
        seen.add(name.lower())


def _check_layout(layout: LayoutConfig, config: Config, file: Path) -> None:
    where = f"{file}: [[layouts]] {layout.name}: instances"
    known = {instance.name: instance for instance in config.instances}
    for name in layout.instances:
        if name not in known:
            near = nearest(name, known)
            raise ConfigError(
                f'{where}: no instance is named "{clean_line(name, 80)}"',
                f'Did you mean "{near}"?' if near else f"Configured: {', '.join(known) or 'none'}.",
            )
    if len(set(layout.instances)) < len(layout.instances):
        raise ConfigError(f"{where}: one stands there twice", "Every instance runs once.")
    for one, other in combinations((known[name] for name in layout.instances), 2):
        for what, of in _EXCLUSIVE:
            if of(one) is not None and of(one) == of(other):
                raise ConfigError(
                    f"{where}: {one.name} and {other.name} {what} {of(one)}",
                    "They cannot run together.",
                )


_EXCLUSIVE: tuple[tuple[str, Callable[[InstanceConfig], object]], ...] = (
    ("are both on port", lambda instance: instance.port),
    ("are both in group", lambda instance: instance.group),
)
"""What two instances of one layout cannot have in common."""
