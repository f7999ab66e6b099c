"""Leaving the program: models go on running, and what was begun is finished first."""

from __future__ import annotations

from textual.screen import Screen

from gputui.ui.instances.caretaker import Caretaker
from gputui.ui.services import Services


class Leaving:
    """The way out of ``screen``'s program."""

    def __init__(self, screen: Screen[None], services: Services, caretaker: Caretaker) -> None:
        self._screen = screen
        self._services = services
        self._caretaker = caretaker
        self._leaving = False

    def request(self) -> None:
        """Quit. Models go on running; only the demo asks, since its servers are for the demo alone."""
        from gputui.ui.dialogs import Choice, ChoiceDialog

        running = self._caretaker.owned_and_running()
        if self._leaving:
            return
        if self._services.demo and running:
            question = f"Stop the demo's servers ({', '.join(running)})?"
            choices = (
                Choice("stop", "Stop them and quit"),
                Choice("keep", "Quit, leave them running"),
                Choice("stay", "Stay here"),
            )
            self._screen.app.push_screen(ChoiceDialog(question, choices), self._leave)
        else:
            self._leave("keep")

    def _leave(self, choice: str | None) -> None:
        if choice in ("stop", "keep"):
            self._leaving = True
            self._screen.run_worker(self._finish(stop=choice == "stop"), group="leave")

    async def _finish(self, *, stop: bool) -> None:
        """Quit once all that was asked for is done: a stop that is left half-way is no stop."""
        from gputui.ui.dialogs import WaitScreen

        if stop:
            for name in self._caretaker.owned_and_running():
                self._caretaker.act("stop", name)
        self._caretaker.wind_up()
        if self._caretaker.busy:
            self._screen.app.push_screen(
                WaitScreen("Stopping, then quitting …" if stop else "Finishing …")
            )
        await self._caretaker.settle()
        words = [*self._caretaker.last_words, *_last_words(self._caretaker.owned_and_running())]
        self._screen.app.exit("\n".join(words) or None)


def _last_words(running: list[str]) -> list[str]:
    if not running:
        return []
    names = ", ".join(running)
    return [f"Still running: {names}. See them with gputui status, end them with gputui stop NAME."]
