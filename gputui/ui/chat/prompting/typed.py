"""What a text in the prompt is: a command, or a prompt, which can begin with a slash too."""

from __future__ import annotations

import re

_COMMAND = re.compile(r"/([A-Za-z][A-Za-z0-9_-]*)(?:\s+(.*))?\s*", re.DOTALL)


def command_in(text: str) -> tuple[str, str] | None:
    """Name and argument where the text is a command; None where it is a prompt, as a path is."""
    found = _COMMAND.fullmatch(text)
    return (found[1].lower(), (found[2] or "").strip()) if found else None


def as_sent(text: str) -> str:
    """A prompt as it is sent: ``//name`` and a blank before ``/name`` are ways to write ``/name``."""
    if text.startswith(" ") and text.lstrip(" ").startswith("/"):
        return text[1:]
    return text[1:] if text.startswith("//") and command_in(text[1:]) else text


def as_typed(prompt: str) -> str:
    """A prompt as it must be typed to be sent as it is: the way back from ``as_sent``."""
    return f" {prompt}" if command_in(prompt) or as_sent(prompt) != prompt else prompt
