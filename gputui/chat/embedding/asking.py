"""What is asked: whom, and which texts."""

from __future__ import annotations

from gputui.chat.asking.reading import path_of, read_text
from gputui.chat.endpoints import endpoint_of, instance_endpoint
from gputui.chat.model import Endpoint
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.text import clean

_MOST_BYTES = 4 << 20


def embedding_endpoint(config: Config, name: str) -> Endpoint:
    """The endpoint of the embedding instance, or of the ``[[endpoints]]`` table, of that name.

    Raises GputuiError for an instance of another role, and for a name that is not configured.
    """
    for instance in config.instances:
        if instance.name == name:
            check_role(name, instance.role)
            return instance_endpoint(instance)
    return endpoint_of(config, name)


def check_role(name: str, role: str) -> None:
    """Raises GputuiError where an instance of that role makes no embeddings."""
    if role != "embedding":
        what = {"chat": "chats", "rerank": "reranks"}.get(role, role)
        raise GputuiError(
            f"{name} {what}: it makes no embeddings",
            'Choose an instance with role = "embedding".',
        )


def lines_of(text: str) -> list[str]:
    """A text a line, cleaned, blank lines left out."""
    return [line.strip() for line in clean(text).splitlines() if line.strip()]


def read_lines(path: str) -> list[str]:
    """The lines of a file; blocks. Raises GputuiError where it is no file of text, or too large."""
    return lines_of(read_text(path_of(path), _MOST_BYTES))
