"""Who answers on which side of the chat: chosen, checked before each prompt, framed in its GPU's hue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.style import Style
from textual.screen import Screen

from gputui.chat.asking.settings import own_words
from gputui.chat.conversation import PAIR
from gputui.chat.model import Endpoint
from gputui.chat.side import Side
from gputui.chat.voting.blind import NOBODY
from gputui.errors import GputuiError
from gputui.identity import GpuIdentity
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.text import UNKNOWN
from gputui.ui.chat.panel import ChatPanel
from gputui.ui.chat.settings.notice import ChatNotice, notice
from gputui.ui.instances.caretaker import Caretaker
from gputui.ui.palette import Look
from gputui.ui.services import Services

if TYPE_CHECKING:
    from gputui.ui.dialogs import Choice


class Seating:
    """Seats instances and endpoints on the two sides. ``say`` tells the user of a problem."""

    def __init__(
        self,
        screen: Screen[None],
        services: Services,
        caretaker: Caretaker,
        look: Look,
        say: Callable[[GputuiError], None],
    ) -> None:
        self._screen = screen
        self._services = services
        self._caretaker = caretaker
        self._look = look
        self._say = say
        self._behind: set[str] = set()
        self.gpus: Sequence[GpuIdentity] = ()

    def prepare(self, side: str) -> GputuiError | None:
        """Point a side at its instance as it runs now; why it cannot be asked, None where it can.

        An instance must be ready: where it is not, another one may answer on its port, under its name.
        """
        from gputui.chat.endpoints import cannot_chat, running_endpoint

        self._catch_up()
        talker = self._services.conversation.sides[side]
        self._screen.call_later(self.frame)  # a blind draw begins with a prompt
        endpoint = talker.seated
        status = self._caretaker.status(endpoint.name) if endpoint else None
        if endpoint is None or status is None:
            return None
        if talker.veiled and (status.role != "chat" or status.state is not State.READY):
            return GputuiError("Not both models are ready", "/blind off tells which one is not.")
        if status.role != "chat":
            return GputuiError(cannot_chat(status.name, status.role), "Choose another.")
        if status.state is not State.READY:
            hint = status.note or "Start it, or choose another."
            return GputuiError(f"{status.name} is {status.state_word}", hint)
        if not talker.busy:
            talker.choose(
                running_endpoint(
                    endpoint, status.url, status.model, owned=status.owned, sees=status.sees
                )
            )
        return None

    def choices(self) -> list[Choice]:
        """Who can be chosen, and who is there that cannot."""
        watch = self._services.endpoints
        states = {one.name: str(one.state) for one in (watch.statuses if watch else ())}
        endpoints = self._services.config.endpoints
        return _choices(
            [
                *map(_row, self._caretaker.statuses),
                *((one.name, states.get(one.name, UNKNOWN), one.url, True) for one in endpoints),
            ]
        )

    def choose(self, side: str) -> None:
        """Ask who answers on a side."""
        from gputui.ui.dialogs import ChoiceDialog

        choices = self.choices()
        if not choices:
            self._say(
                GputuiError("There is nothing to choose", "Configure instances or endpoints.")
            )
            return
        self._screen.app.push_screen(
            ChoiceDialog(f"Who answers on side {side}?", choices), partial(self._chosen, side)
        )

    def _chosen(self, side: str, name: str | None) -> None:
        if name is not None:
            self.seat(side, name)

    def seat(self, side: str, name: str) -> None:
        """Have that one answer on that side from now on; a draw ends with that."""
        self._services.conversation.blind.end()
        self._services.conversation.sides[side].choose(self._endpoint(name))
        self.frame()
        self._screen.query_one(ChatPanel).refresh_sides()

    def knows(self, name: str) -> bool:
        """Whether there is an instance that chats, or an endpoint, of that name."""
        status, config = self._caretaker.status(name), self._services.config
        if status is not None:
            return status.role == "chat"
        chats = {one.name for one in config.instances if one.role == "chat"}
        return name in chats or name in {one.name for one in config.endpoints}

    def _endpoint(self, name: str) -> Endpoint | None:
        from gputui.chat.endpoints import found_endpoint

        status = self._caretaker.status(name)
        if status is not None and status.external:
            return found_endpoint(name, status.url, status.model, sees=status.sees)
        try:
            return self._services.endpoint_of(name)
        except GputuiError as error:
            self._say(error)
            return None

    def choose_first(self) -> None:
        """The first two that are configured, until the user chooses."""
        config = self._services.config
        names = [instance.name for instance in config.instances if instance.role == "chat"]
        names += [endpoint.name for endpoint in config.endpoints]
        for side, name in zip(PAIR, names, strict=False):
            if self._services.conversation.sides[side].seated is None:
                self._services.conversation.sides[side].choose(self._endpoint(name))

    def reconfigured(self) -> None:
        """The configuration is another: a side whose name is still in it answers as that says; one whose
        name is gone, and does not run on, is free again. A side that answers does so first."""
        self._behind = set(self._services.conversation.sides)
        self.frame()
        self._screen.query_one(ChatPanel).refresh_sides()

    def _catch_up(self) -> None:
        """Have the configuration of now on each side that was not told of it, and answers no more."""
        sides = self._services.conversation.sides
        self._behind &= set(sides)
        ready = [sides[name] for name in self._behind if not sides[name].busy]
        for side in ready:
            self._behind.discard(side.name)
            self._seat_anew(side)
        if ready:
            self.choose_first()

    def _seat_anew(self, side: Side) -> None:
        config, seated = self._services.config, side.seated
        if seated is None:
            return
        names = {one.name for one in config.instances} | {one.name for one in config.endpoints}
        status = self._caretaker.status(seated.name)
        if seated.name in names:
            side.choose(self._endpoint(seated.name) or seated)
        elif status is None or status.state not in RUNNING:
            side.choose(None)

    def frame(self) -> None:
        """A side wears the hue of the GPU that answers on it, and says in what it is asked otherwise than
        both; a narrow one names the other."""
        chat, palette = self._screen.query_one(ChatPanel), self._look.palette
        conversation = self._services.conversation
        self._catch_up()
        self._learn()
        own = {name: side.settings for name, side in conversation.sides.items()}
        endpoints = {name: side.endpoint for name, side in conversation.sides.items()}
        names = list(conversation.sides)
        shown = [pane.side.name for pane in chat.panes]
        for pane, other in zip(chat.panes, reversed(shown), strict=True):
            name, endpoint = pane.side.name, pane.side.endpoint
            status = self._caretaker.status(endpoint.name) if endpoint else None
            gpu = self._gpu_of(endpoint.name) if endpoint else None
            colors = palette.theme.colors
            neutral = colors.dim if endpoint is NOBODY else colors.border
            hue = palette.hue_color(gpu.index) if gpu else neutral
            ink = hue if gpu else colors.foreground if endpoint else colors.dim
            title = f"{name}  {endpoint.name}".rstrip() if endpoint else name
            if endpoint is NOBODY:
                title = f"{name}  ·  blind"
            if len(names) > len(PAIR) and name in names:
                title += f"  ({names.index(name) + 1}/{len(names)})"
            words = own_words(name, own, endpoints, conversation.settings)
            title = self._look.text("  ·  ".join([title, *words]))
            pane.frame(hue, title, f"ctrl+o: side {other}" if chat.narrow else "", ink)
            pane.say_model(status.model if status else "")
            pane.say_when_empty(_first_words(endpoint, status))
        chat.query_one(ChatNotice).say(notice(conversation, self._caretaker.status, self.gpus))

    def _learn(self) -> None:
        """What statuses say of those who sit here: the context that a conversation may have, and whether a
        draw is a riddle still."""
        watch = self._services.endpoints
        far = {one.name: one for one in (watch.statuses if watch else ())}
        for side in self._services.conversation.sides.values():
            if (endpoint := side.seated) is None:
                continue
            status, distant = self._caretaker.status(endpoint.name), far.get(endpoint.name)
            if status is not None and status.state is not State.READY:
                self._services.conversation.blind.not_ready()
            if status is not None and status.slot_context:
                side.learn(replace(endpoint, context=status.slot_context))
            elif distant is not None and distant.url == endpoint.url:
                side.learn(
                    replace(
                        endpoint,
                        context=distant.context or endpoint.context,
                        sees=endpoint.sees if distant.sees is None else distant.sees,
                        llama=distant.llama or endpoint.llama,
                    )
                )

    def style_of(self, name: str) -> Style:
        """The hue of the GPU that an instance of that name is on."""
        gpu, palette = self._gpu_of(name), self._look.palette
        return palette.hue(gpu.index) if gpu else palette.value

    def _gpu_of(self, name: str) -> GpuIdentity | None:
        status = self._caretaker.status(name)
        return self._gpu(status.gpus[0]) if status and status.gpus else None

    def _gpu(self, uuid: str) -> GpuIdentity | None:
        return next((gpu for gpu in self.gpus if gpu.uuid == uuid), None)


_Row = tuple[str, str, str, bool]
"""A name, its state, where it is, whether it can be chosen."""


def _row(status: InstanceStatus) -> _Row:
    """An instance in the list; one that does not chat is there, and cannot be chosen."""
    if status.role != "chat":
        return status.name, status.state_word, f"{status.role}: does not chat", False
    return status.name, status.state_word, status.url, True


def _choices(rows: Sequence[_Row]) -> list[Choice]:
    """In columns."""
    from gputui.ui.dialogs import Choice

    names = max((len(row[0]) for row in rows), default=0)
    states = max((len(row[1]) for row in rows), default=0)
    return [
        Choice(name, name.ljust(names), f"{state.ljust(states)}  {where}", disabled=not chats)
        for name, state, where, chats in rows
    ]


def _first_words(endpoint: Endpoint | None, status: InstanceStatus | None) -> str:
    if endpoint is None:
        return "No model here yet. Press a or b to choose who answers on this side."
    if endpoint is NOBODY:
        return "One of the two models, drawn by lot. Press c, ask both, then /vote."
    if status is not None and status.state is State.FAILED:
        return f"{endpoint.name} failed; the reason is under the table."
    if status is not None and status.state is not State.READY:
        return f"{endpoint.name} is {status.state_word}."
    return "Press c, type a prompt, enter sends it."
