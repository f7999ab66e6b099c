"""What the dashboard does to instances: asks the user, asks the supervisor, tells what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.screen import Screen
from textual.worker import Worker, WorkerError

from gputui.errors import GputuiError, Told
from gputui.instances.status import RUNNING, InstanceStatus, State
from gputui.text import error_words
from gputui.ui.instances.columns import is_others
from gputui.ui.messages import InstancesObserved
from gputui.ui.pace import Pace
from gputui.ui.services import Services

if TYPE_CHECKING:
    from gputui.instances.fit.reckoning import Fit
    from gputui.instances.switching.words import AnsweringError
    from gputui.ui.dialogs import ConfirmDialog


OBSERVE_SECONDS = 1.0
SOON = 0.2
"""Seconds after an action was asked for at which its first effect can be seen."""
LOOKING = 0.7
"""Seconds after which it is said that a start looks whether it fits: llama.cpp itself may be asked."""

_DONE = {"start": "started", "stop": "stopped", "restart": "restarted"}


class Caretaker:
    """Knows the newest states, and carries out one request after the other.

    ``screen`` gets an InstancesObserved for each look; ``say`` tells the user of a problem,
    ``pace`` says how often to look.
    """

    def __init__(
        self,
        screen: Screen[None],
        services: Services,
        say: Callable[[GputuiError], None],
        pace: Pace,
    ) -> None:
        self._screen = screen
        self._pace = pace
        self._hurried = asyncio.Event()
        self._services = services
        self._say = say
        self._acts: set[Worker[None]] = set()
        self._awaited: set[str] = set()
        self._told: str | None = None
        self._warned = False
        self._kept_from = Told()
        self._looking: set[str] = set()
        self.statuses: tuple[InstanceStatus, ...] = ()
        self.observed = False
        self.ending = False
        self.last_words: list[str] = []

    def status(self, name: str) -> InstanceStatus | None:
        """The newest state of an instance, None where there is none of that name."""
        return next((status for status in self.statuses if status.name == name), None)

    def owned_and_running(self) -> list[str]:
        """The names of what goes on running when the program ends."""
        return [s.name for s in self.statuses if s.owned and s.state in RUNNING]

    def take(self, statuses: Sequence[InstanceStatus]) -> None:
        """Adopt new states; a failure is told once, when it happens; of crashes in a row the first."""
        before = {status.name: status for status in self.statuses}
        self.statuses, self.observed = tuple(statuses), True
        for status in statuses:
            old = before.get(status.name)
            if status.state is not State.FAILED or _told_already(status):
                continue
            if status.name in self._awaited or (old is not None and old.state is not State.FAILED):
                self._awaited.discard(status.name)
                self._say(
                    GputuiError(f"{status.name}: {status.last_error or 'failed'}", status.hint)
                )

    async def observe_forever(self) -> None:
        """Look at all instances once a second, or as the pace has it; whatever goes wrong is told, and the
        next look comes."""
        while True:
            self._hurried.clear()
            await self.observe()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(OBSERVE_SECONDS, self._pace.slowed)):
                    await self._hurried.wait()

    def hurry(self) -> None:
        """The next look is due now."""
        self._hurried.set()

    async def observe(self) -> None:
        """One look at all instances."""
        try:
            statuses = await self._services.supervisor.observe()
        except Exception as error:  # noqa: BLE001  the worker's boundary: told, and tried again
            self._tell_once(error)
        else:
            self._told = None
            self._screen.post_message(InstancesObserved(statuses))
            self._tend(statuses)

    def _tend(self, statuses: Sequence[InstanceStatus]) -> None:
        """Let the keeper do what is due; what cannot be done is told, but not at each new try."""
        if self._services.keeper is None:
            return
        for problem in self._services.keeper.tend(statuses):
            if self._kept_from.is_new(problem):
                self._say(problem)

    def request(self, action: str, name: str) -> None:
        """``start``, ``stop`` or ``restart``: the last two ask first; read-only refuses all."""
        from gputui.ui.dialogs import ConfirmDialog

        if self._services.readonly:
            self._say(GputuiError(f"{name} is not {_DONE[action]}", "gputui runs with --readonly."))
        elif action == "start" and not self._is_others(name):
            self.ask_fit(action, name)
        elif self._waits(name) or self._is_others(name):
            self.act(action, name)  # nothing ends by it: no question
        else:
            question = f"{action.capitalize()} {name}? Its open answers end."
            self._screen.app.push_screen(
                ConfirmDialog(question, yes=action.capitalize(), no="Leave it running"),
                partial(self._confirmed, action, name),
            )

    def _is_others(self, name: str) -> bool:
        """Whether it is a server that others started, or an endpoint: the supervisor refuses it."""
        status = self.status(name)
        if status is not None:
            return status.external or is_others(status)
        return any(endpoint.name == name for endpoint in self._services.config.endpoints)

    def ask_fit(self, action: str, name: str) -> None:
        """Start or restart it; asked first where it will not fit."""
        if name not in self._looking:
            self.undertake(self._ask_fit(action, name), f"{action} {name}")

    def act(self, action: str, name: str, *, force: bool = False) -> None:
        """Carry it out, in the background. ``force``: answers that are in its way are broken off."""
        self.undertake(self._act(action, name, force=force), f"{action} {name}")

    def undertake(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Work on instances in the background, which is waited for before the program ends."""
        done = {worker for worker in self._acts if worker.is_finished}
        self._acts -= done
        worker = self._screen.run_worker(work, group="act", name=name, exit_on_error=False)
        self._acts.add(worker)
        self._screen.set_timer(SOON, self.look)

    def wind_up(self) -> None:
        """The program is about to end: nothing new is waited for any more."""
        self._services.supervisor.give_up_waits()
        if self._services.layouts is not None:
            self._services.layouts.break_off()
        self.ending = True

    def start_all(self, names: Sequence[str]) -> None:
        """Start those of them that do not run; asked first where one will not fit."""
        for name in names:
            status = self.status(name)
            if status is None or status.state not in RUNNING:
                self.ask_fit("start", name)

    @property
    def busy(self) -> bool:
        """Whether anything that was asked for, or fell due, is not done yet."""
        kept = self._services.keeper is not None and self._services.keeper.busy
        return kept or any(not worker.is_finished for worker in self._acts)

    async def settle(self) -> None:
        """Return when everything that was asked for is done, one way or the other."""
        for worker in list(self._acts):
            try:
                await worker.wait()
            except WorkerError as error:
                self._tell_once(error)
        if self._services.keeper is not None:
            await self._services.keeper.settle()

    def _waits(self, name: str) -> bool:
        """Whether it has no process yet, as one that waits for its turn: there is nothing to lose."""
        status = self.status(name)
        return status is not None and status.state is State.STARTING and status.pid is None

    def _confirmed(self, action: str, name: str, answer: str | None) -> None:
        if answer != "yes":
            return
        if action == "restart":
            self.ask_fit(action, name)
        else:
            self.act(action, name)

    async def _ask_fit(self, action: str, name: str) -> None:
        from gputui.ui.instances.fit_question import asks, fit_dialog

        with self._as_looking(name):
            fit: Fit | None = None
            with contextlib.suppress(GputuiError):  # what is wrong with it, the start itself says
                fit = await self._services.supervisor.fit(name)
        if fit is None or not asks(fit):
            await self._act(action, name)
        elif self.ending:
            self.last_words.append(f"{name} was not {_DONE[action]}: it will not fit.")
        else:
            self._ask(fit_dialog(fit), partial(self.act, action, name))

    @contextlib.contextmanager
    def _as_looking(self, name: str) -> Iterator[None]:
        """For the length of the block it is looked whether it fits; said where that takes its time."""
        words = f"Looking whether {name} fits …"
        timer = self._screen.set_timer(
            LOOKING, lambda: self._screen.notify(words, markup=False, timeout=3)
        )
        self._looking.add(name)
        try:
            yield
        finally:
            self._looking.discard(name)
            timer.stop()

    def _ask(self, dialog: ConfirmDialog, act: Callable[[], None]) -> None:
        def answered(answer: str | None) -> None:
            if answer == "yes":
                act()

        self._screen.app.push_screen(dialog, answered)

    def look(self) -> None:
        """Look at all instances now, beside whatever else goes on."""
        # The function, not its coroutine: one that never begins would be left unawaited.
        self._screen.run_worker(self.observe, group="look", exclusive=True)  # type: ignore[arg-type]

    async def _act(self, action: str, name: str, *, force: bool = False) -> None:
        from gputui.instances.switching.swap import GaveUpError
        from gputui.instances.switching.words import AnsweringError

        supervisor = self._services.supervisor
        methods: dict[str, Callable[[str], Awaitable[None]]] = {
            "start": partial(supervisor.start, force=force),
            "stop": supervisor.stop,
            "restart": partial(supervisor.restart, force=force),
        }
        if action != "stop":
            self._awaited.add(name)
        for one in (*([name] if action != "start" else []), *(self._mates(name) if force else ())):
            self.end_streams_to(one)
        try:
            await methods[action](name)
        except GaveUpError:
            self._awaited.discard(name)  # as the user wanted
        except AnsweringError as error:
            self._awaited.discard(name)
            self._offer_force(action, name, error)
        except GputuiError as error:
            self._awaited.discard(name)
            self._say(error)
        except Exception as error:  # noqa: BLE001  the worker's boundary: told, the screen goes on
            self._tell_once(error)
        else:
            await self._warn_of_logouts(action)
        await self.observe()

    def _mates(self, name: str) -> list[str]:
        """The other instances of its group."""
        groups = {one.name: one.group for one in self._services.config.instances}
        own = groups.get(name)
        return [one for one, group in groups.items() if group == own and own and one != name]

    def _offer_force(self, action: str, name: str, error: AnsweringError) -> None:
        """Another one of its group answers, and the group refuses: the user may break that off."""
        from gputui.ui.dialogs import ConfirmDialog

        if self.ending:
            self.last_words.append(str(error))
            return
        busy = error.message.removeprefix(f"{name} is not started: ")
        question = f"{busy}: break it off?"
        dialog = ConfirmDialog(question, yes=f"Break it off and {action}", no="Leave it")
        self._ask(dialog, partial(self.act, action, name, force=True))

    async def _warn_of_logouts(self, action: str) -> None:
        """Once a session, after the first start: what was started may end with the login."""
        if action != "stop" and not self._warned:
            self._warned = True
            warning = await self._services.supervisor.login_warning()
            if warning is not None:
                self._say(warning)

    def end_streams_to(self, name: str) -> None:
        """A server waits for its open streams when told to stop: ours are closed first."""
        status = self.status(name)
        if status is not None:
            self._services.conversation.stop_endpoint(f"{status.url}/v1")

    def _tell_once(self, error: Exception) -> None:
        """Tell a problem, but not the same one at every look."""
        if not isinstance(error, GputuiError):
            error = GputuiError(error_words(error), "It is tried again.")
        if str(error) != self._told:
            self._told = str(error)
            self._say(error)


def _told_already(status: InstanceStatus) -> bool:
    """Whether it is the same trouble again, and the next try is on its way."""
    return status.failures > 1 and status.restart_at is not None
