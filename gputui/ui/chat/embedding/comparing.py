"""Comparing texts on the screen: by whom, which texts, and the matrix of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gputui.chat.conversation import open_client
from gputui.chat.embedding.asking import check_role, embedding_endpoint, read_lines
from gputui.chat.endpoints import found_endpoint, running_endpoint
from gputui.chat.model import Endpoint
from gputui.errors import GputuiError
from gputui.instances.status import State
from gputui.text import clean_line
from gputui.ui.chat.embedding.dialog import Texts, TextsDialog
from gputui.ui.chat.embedding.screen import MatrixScreen
from gputui.ui.chat.prompting.attaching import patiently
from gputui.ui.dialogs import Choice, ChoiceDialog

if TYPE_CHECKING:
    from gputui.chat.embedding.client import Embedded
    from gputui.ui.chat.chatting import Chatting


async def compare(chatting: Chatting, name: str) -> None:
    """Ask what is open, and show the matrix. ``name``: by whom, "" to choose. Raises GputuiError."""
    name = name or await _chosen(chatting)
    if not name:
        return
    endpoint = _endpoint(chatting, name)
    texts = await chatting.screen.app.push_screen_wait(TextsDialog(name))
    if texts is None:
        return
    embedded, matrix = await _embedded(endpoint, await _lines(texts))
    chatting.screen.app.push_screen(MatrixScreen(chatting.look, name, embedded, matrix))


async def _chosen(chatting: Chatting) -> str:
    """Whom the user takes; without a question where there is one. "" for nobody."""
    statuses = [one for one in chatting.caretaker.statuses if one.role == "embedding"]
    far = chatting.services.config.endpoints
    if not statuses and not far:
        raise GputuiError(
            "No instance makes embeddings", 'One needs role = "embedding" in the configuration.'
        )
    if len(statuses) == 1:
        return statuses[0].name
    choices = [Choice(one.name, one.name, one.state_word) for one in statuses]
    choices += [Choice(one.name, one.name, one.url) for one in far]
    dialog = ChoiceDialog("By which embedding model?", choices)
    return await chatting.screen.app.push_screen_wait(dialog) or ""


def _endpoint(chatting: Chatting, name: str) -> Endpoint:
    """The instance as it runs now. Raises GputuiError where it is of another role, or not ready."""
    status, config = chatting.caretaker.status(name), chatting.services.config
    if status is None:
        return embedding_endpoint(config, name)
    check_role(name, status.role)
    if status.state is not State.READY:
        raise GputuiError(f"{name} is {status.state_word}", status.note or "Start it first.")
    if status.external:
        return found_endpoint(name, status.url, status.model)
    known = embedding_endpoint(config, name)
    return running_endpoint(known, status.url, status.model, owned=status.owned)


async def _lines(texts: Texts) -> Sequence[str]:
    if texts.file:
        return await patiently(lambda: read_lines(texts.file), clean_line(texts.file, 200))
    return [texts.first, texts.second]


async def _embedded(endpoint: Endpoint, texts: Sequence[str]) -> tuple[Embedded, list[list[float]]]:
    """The vectors, and how near they are: httpx is loaded, and the cosines reckoned, on a thread."""
    client = await asyncio.to_thread(open_client)
    from gputui.chat.embedding.client import embed
    from gputui.chat.embedding.similarity import similarity

    async with client:
        embedded = await embed(client, endpoint, texts)
    return embedded, await asyncio.to_thread(similarity, embedded.vectors)
