"""What the user does to a process: asked for twice, refused in words, done on a thread."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.screen import Screen

from gputui.errors import GputuiError
from gputui.gpu.sample import HostProcess
from gputui.text import clean_line, error_words, size
from gputui.ui.instances.caretaker import Caretaker

if TYPE_CHECKING:
    from gputui.ui.processes.rows import ProcessRow


_WORDS = {
    signal.SIGINT: ("Interrupt", "as ctrl+c does"),
    signal.SIGTERM: ("Terminate", "asks it to end in order"),
    signal.SIGKILL: ("Kill", "ends it at once, nothing is saved"),
}
_QUESTION = 300
"""Characters of a command in the question."""

RECORDED = GputuiError(
    "this is a recording", "Its processes are those of another time, maybe of another machine."
)


class ProcessActions:
    """Signals and environments, for every table of processes.

    ``screen`` does the work; ``say`` tells the user of a problem. An instance of ours is stopped by
    the caretaker, never signalled from here.
    """

    def __init__(
        self,
        screen: Screen[None],
        caretaker: Caretaker,
        say: Callable[[GputuiError], None],
        *,
        readonly: bool,
    ) -> None:
        self._screen = screen
        self._caretaker = caretaker
        self._say = say
        self._readonly = readonly

    def request_signal(
        self, row: ProcessRow, contexts: Sequence[ProcessRow], *, live: bool
    ) -> None:
        """Ask which signal the process of ``row`` gets; ``contexts`` are its rows on all GPUs.

        ``live`` is False for a recording.
        """
        if row.instance:
            self._caretaker.request("stop", row.instance)
        elif self._readonly:
            hint = "gputui runs with --readonly."
            self._say(GputuiError(f"process {row.pid} is not signalled", hint))
        elif not live:
            self._say(RECORDED)
        else:
            self._screen.run_worker(self._ask(row, contexts), group="signal")

    async def _ask(self, row: ProcessRow, contexts: Sequence[ProcessRow]) -> None:
        from gputui.gpu import own_processes
        from gputui.ui.dialogs import Choice, ChoiceDialog

        host = row.host
        if host is None or not host.own:
            self._say(own_processes.not_own(row.pid, host))
            return
        refused = await asyncio.to_thread(own_processes.refusal, host)
        if refused is not None:
            self._say(refused)
            return
        choices = [Choice("", "Leave it")]
        for number in own_processes.SIGNALS:
            word, note = _WORDS[number]
            choices.append(Choice(number.name, f"{word} ({number.name})", note))
        self._screen.app.push_screen(
            ChoiceDialog(_question(row, contexts), choices),
            partial(self._chosen, host, f"{row.pid} {row.name}".strip()),
        )

    def show_environment(self, row: ProcessRow, *, live: bool) -> None:
        """The environment of an own process, secrets hidden; others are refused in words."""
        from gputui.gpu import own_processes
        from gputui.ui.dialogs import TextScreen

        host = row.host
        if not live:
            self._say(RECORDED)
        elif host is None or not host.own:
            self._say(own_processes.not_own(row.pid, host))
        else:
            title = f"environment of {row.pid} {row.name}, as it was started"
            self._screen.app.push_screen(TextScreen(title, partial(_environment_text, host)))

    def tell(self, error: Exception) -> None:
        """Tell of what nobody had thought of."""
        self._say(GputuiError(error_words(error)))

    def _chosen(self, host: HostProcess, who: str, name: str | None) -> None:
        from gputui.ui.dialogs import ConfirmDialog

        if not name:
            return
        number = signal.Signals[name]
        word, note = _WORDS[number]
        self._screen.app.push_screen(
            ConfirmDialog(
                f"Send {number.name} to {who}?\n{number.name}: {note}.",
                yes=f"{word} it",
                no="Leave it",
            ),
            partial(self._confirmed, host, who, number),
        )

    def _confirmed(
        self, host: HostProcess, who: str, number: signal.Signals, answer: str | None
    ) -> None:
        if answer == "yes":
            self._screen.run_worker(self._send(host, who, number), group="signal")

    async def _send(self, host: HostProcess, who: str, number: signal.Signals) -> None:
        from gputui.gpu import own_processes

        try:
            await asyncio.to_thread(own_processes.send, host, number)
        except GputuiError as error:
            self._say(error)
        except Exception as error:  # noqa: BLE001  the worker's boundary: told, the screen goes on
            self.tell(error)
        else:
            self._screen.notify(f"{number.name} was sent to {who}.", markup=False)


def _question(row: ProcessRow, contexts: Sequence[ProcessRow]) -> str:
    memory = ", ".join(
        f"{size(one.gpu_memory)} on GPU {one.gpu.index}" for one in contexts if one.gpu
    )
    user = row.host.user if row.host else ""
    facts = " · ".join(part for part in (f"user {user}", memory or "on no GPU") if part)
    return f"Signal process {row.pid} {row.name}?\n{facts}\n{clean_line(row.command, _QUESTION)}"


async def _environment_text(host: HostProcess) -> str:
    from gputui.gpu import own_processes

    try:
        pairs = await asyncio.to_thread(own_processes.environment, host)
    except GputuiError as error:
        return f"{error.message}. {error.hint}".strip()
    return "\n".join(f"{name}={value}" for name, value in pairs)
