"""What is asked: whom, and which texts."""

from __future__ import annotations

from pathlib import Path

from gputui.chat.endpoints import endpoint_of, instance_endpoint
from gputui.chat.model import Endpoint
from gputui.config import Config
from gputui.errors import GputuiError
from gputui.text import clean, error_words

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


def read_lines(path: Path) -> list[str]:
    """The lines of a file. Raises GputuiError where it cannot be read, is no text, or too large."""
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise GputuiError(f"{path}: {error_words(error, 200)}") from error
    if len(content) > _MOST_BYTES:
        raise GputuiError(f"{path}: larger than {_MOST_BYTES >> 20} MiB", "Take fewer lines.")
    try:
        return lines_of(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise GputuiError(f"{path}: no text in UTF-8") from error
