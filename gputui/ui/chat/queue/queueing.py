"""More than two sides: who is in the queue, and which two of them are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gputui.chat.conversation import PAIR, SIDE_NAMES
from gputui.errors import GputuiError
from gputui.text import clean_line

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting

AT_ONCE = 2
"""How many of a queue answer at a time."""


class Queueing:
    """A queue is on while the conversation has more sides than the screen shows."""

    def __init__(self, chatting: Chatting) -> None:
        self._chatting = chatting
        self._at_once_before: int | None = None
        self._at_once_here: int | None = None

    @property
    def on(self) -> bool:
        """Whether there are more than two."""
        return len(self._chatting.conversation.sides) > len(PAIR)

    def ask(self) -> None:
        """Have the user mark who answers. Raises GputuiError where that cannot be changed now."""
        from gputui.ui.chat.queue.picker import ModelPicker

        self._check()
        chatting = self._chatting
        choices = chatting.seating.choices()
        seated = [side.seated.name for side in chatting.conversation.sides.values() if side.seated]
        chatting.screen.app.push_screen(ModelPicker(choices, seated), self._picked)

    def _picked(self, names: tuple[str, ...] | None) -> None:
        if names is not None:
            try:
                self.begin(names)
            except GputuiError as error:
                self._chatting.say(error)

    def begin(self, names: Sequence[str]) -> None:
        """Ask these from now on; who sits somewhere already stays there. Raises GputuiError."""
        from gputui.ui.chat.queue.picker import LEAST, MOST

        self._check()
        names = list(dict.fromkeys(names))
        if not LEAST <= len(names) <= MOST:
            raise GputuiError(f"{len(names)} models are named", f"A queue is of {LEAST} to {MOST}.")
        seating, conversation = self._chatting.seating, self._chatting.conversation
        for name in names:
            if not seating.knows(name):
                raise GputuiError(
                    f'"{clean_line(name, 80)}" does not chat here', "/queue lists who does."
                )
        conversation.blind.end()
        names = self._in_their_seats(names)
        was_on = self.on
        conversation.seat(SIDE_NAMES[: len(names)])
        for side, name in zip(SIDE_NAMES, names, strict=False):
            seating.seat(side, name)
        self.seated(was_on=was_on)
        self.show(PAIR)

    def seated(self, *, was_on: bool) -> None:
        """There are more sides now, or fewer: a queue answers by so many at a time while it is on."""
        conversation = self._chatting.conversation
        if self.on and not was_on:
            self._at_once_before = conversation.at_once
            conversation.at_once = min(conversation.at_once or AT_ONCE, AT_ONCE)
            self._at_once_here = conversation.at_once
        elif was_on and not self.on:
            self._order_as_before()

    def _in_their_seats(self, names: Sequence[str]) -> list[str]:
        """The names in the order of the sides: who sits on one of them keeps it, with what was said
        there, and the others fill the gaps."""
        sides = self._chatting.conversation.sides
        seats = SIDE_NAMES[: len(names)]
        taken: dict[str, str] = {}
        for seat in seats:
            seated = sides[seat].seated if seat in sides else None
            if seated is not None and seated.name in names and seated.name not in taken.values():
                taken[seat] = seated.name
        others = iter([name for name in names if name not in taken.values()])
        return [taken.get(seat) or next(others) for seat in seats]

    def end(self) -> None:
        """Back to A and B; the others' answers are kept where conversations are. Raises GputuiError."""
        if not self.on:
            raise GputuiError("There is no queue", "/queue begins one.")
        self._check()
        conversation = self._chatting.conversation
        conversation.seat(PAIR)
        self._order_as_before()
        self.show(PAIR)

    def _order_as_before(self) -> None:
        """The order from before the queue, unless another was chosen meanwhile."""
        conversation = self._chatting.conversation
        if conversation.at_once == self._at_once_here:
            conversation.at_once = self._at_once_before

    def _check(self) -> None:
        if self._chatting.conversation.busy:
            raise GputuiError("An answer is being written", "Wait, or stop it first.")

    # ── which two are shown ──────────────────────────────────────────────────────────────────

    def show(self, names: Sequence[str]) -> None:
        """Show these sides: one in the pane that is read, two in both. Raises GputuiError."""
        sides, panel = self._chatting.conversation.sides, self._chatting.panel
        for name in names:
            if name not in sides:
                raise GputuiError(
                    f"There is no side {clean_line(name, 20)}", f"Sides: {', '.join(sides)}."
                )
        panes = list(panel.panes)
        if len(names) == 1:
            read = panel.pane(panel.side)
            other = next(pane for pane in panes if pane is not read)
            if other.side.name == names[0]:
                other.show(read.side)
            read.show(sides[names[0]])
        elif len(names) == len(panes) and len(set(names)) == len(names):
            for pane, name in zip(panes, names, strict=True):
                pane.show(sides[name])
        else:
            raise GputuiError("Two sides are shown at a time", "/show A C shows A and C.")
        panel.shown_anew()
        self._chatting.seating.frame()
        panel.refresh_sides()

    def page(self, by: int) -> None:
        """In the pane that is read, the next side that the other pane does not show."""
        panel, names = self._chatting.panel, list(self._chatting.conversation.sides)
        if not self.on:
            raise GputuiError("Both sides are shown", "/queue asks more models.")
        here = panel.side
        elsewhere = {pane.side.name for pane in panel.panes} - {here}
        turn = [name for name in names if name == here or name not in elsewhere]
        self.show([turn[(turn.index(here) + by) % len(turn)]])
