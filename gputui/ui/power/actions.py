"""What the user does to power limits: asked for, carried out on a thread, told afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from textual.screen import Screen

from gputui.errors import GputuiError
from gputui.gpu.sample import GpuSample
from gputui.power.session import PowerSession
from gputui.text import error_words
from gputui.ui.boundary import on_daemon_thread

TOLD_SECONDS = 12.0
"""How long a limit that was changed stands on the screen."""
DRIVER_SECONDS = 10.0


class PowerActions:
    """Sets power limits for every screen that offers it. ``say`` tells the user of a problem."""

    def __init__(
        self,
        screen: Screen[None],
        session: PowerSession | None,
        say: Callable[[GputuiError], None],
    ) -> None:
        self._screen = screen
        self._session = session
        self._say = say

    def request_limit(self, sample: GpuSample) -> None:
        """Ask for the limit of a GPU and set it; refused in words where none can be set."""
        from gputui.ui.power.dialog import PowerLimitDialog

        if self._session is None:
            return
        if self._session.refusal is not None:
            self._say(self._session.refusal)
        else:
            self._screen.app.push_screen(PowerLimitDialog(sample), partial(self._chosen, sample))

    def tell_notices(self) -> None:
        """What the schedules have done since the last time, and why they could not."""
        for notice in self._session.schedule.take_notices() if self._session else ():
            if notice.failed:
                self._say(GputuiError(notice.message, notice.hint))
            else:
                self._tell(notice.message)

    def _chosen(self, sample: GpuSample, watts: float | None) -> None:
        if watts is not None:
            self._screen.run_worker(self._set(sample, watts), group="power-limit")

    async def _set(self, sample: GpuSample, watts: float) -> None:
        assert self._session is not None  # noqa: S101 - nothing is asked for without one
        call = partial(self._session.set_limit, sample.identity, watts)
        try:
            change = await asyncio.wait_for(on_daemon_thread(call), DRIVER_SECONDS)
        except TimeoutError:
            words = (
                f"GPU {sample.identity.index}: the driver does not answer; its limit is not known"
            )
            self._say(GputuiError(words, "Does nvidia-smi answer?"))
        except GputuiError as error:
            self._say(error)
        except Exception as error:  # noqa: BLE001  the worker's boundary: told, the screen goes on
            words = error_words(error)
            self._say(GputuiError(words, "Please report this."))
        else:
            self._tell(change.words)

    def _tell(self, words: str) -> None:
        self._screen.notify(words, title="Power limit set", markup=False, timeout=TOLD_SECONDS)
