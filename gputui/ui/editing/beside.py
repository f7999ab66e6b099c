"""What an instance has that another has already, told of each field by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gputui.config import Config, InstanceConfig
from gputui.instances import ports
from gputui.ui.editing.draft import Draft

Words = dict[str, str]


def troubles(config: Config, draft: Draft, texts: Mapping[str, str]) -> tuple[Words, Words]:
    """Errors and doubts by key, of what is typed. Blocks shortly: it looks at the port.

    What the file does not take is an error; a stranger on the port may be gone by the start.
    """
    own = draft.name if draft.purpose == "edit" else ""
    others = [one for one in config.instances if one.name != own]
    errors, doubts = Words(), Words()
    name, port = texts.get("name", ""), texts.get("port", "")
    if words := _name_taken(config, others, name):
        errors["name"] = words
    for one in others:
        if one.key and one.key == texts.get("key"):
            errors["key"] = f"is taken by {one.name}"
    if port.isdecimal() and 0 < int(port) < 2**16:
        if words := _port_in_layouts(config, others, own, int(port)):
            errors["port"] = words
        elif all(one.port != int(port) for one in config.instances):
            doubts |= {"port": words} if (words := _listener(int(port))) else {}
    return errors, doubts


def _name_taken(config: Config, others: Sequence[InstanceConfig], name: str) -> str:
    if any(one.name.lower() == name.lower() for one in others):
        return f"{name} is taken by another instance"
    if any(one.name.lower() == name.lower() for one in config.endpoints):
        return f"{name} is taken by an endpoint"
    return ""


def _port_in_layouts(config: Config, others: Sequence[InstanceConfig], own: str, port: int) -> str:
    on_port = {one.name for one in others if one.port == port}
    for layout in config.layouts:
        if own and own in layout.instances and (both := on_port & set(layout.instances)):
            other = sorted(both)[0]
            return f"{other} and {own} are both on port {port}, and run together in {layout.name}"
    return ""


def _listener(port: int) -> str:
    """Who is on a port that no instance has; "" where nobody is."""
    if not ports.answers("127.0.0.1", port):
        return ""
    found = ports.listener(port)
    who = f"{found.name} (pid {found.pid})" if found else "another process"
    return f"in use now by {who}"
