"""Adding, changing, copying and removing instances: asked for on the dashboard, written to the file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from gputui.config import InstanceConfig, default_path, resolve_gpus, user_file
from gputui.errors import ConfigError, GputuiError
from gputui.identity import GpuIdentity
from gputui.instances.status import RUNNING
from gputui.text import clean_line
from gputui.ui.boundary import told
from gputui.ui.configuring import Configuring
from gputui.ui.instances.caretaker import Caretaker
from gputui.ui.palette import Look
from gputui.ui.services import Services

if TYPE_CHECKING:
    from gputui.ui.editing.draft import Draft, Purpose


_NOT_DONE = {
    "new": "No instance was added",
    "edit": "was not changed",
    "duplicate": "was not copied",
}


class Editing:
    """Opens the form and writes what comes of it. ``say`` tells the user of a problem, ``gpus`` gives the
    GPUs of the machine."""

    def __init__(
        self,
        screen: Screen[None],
        services: Services,
        caretaker: Caretaker,
        configuring: Configuring,
        look: Look,
        say: Callable[[GputuiError], None],
        gpus: Callable[[], Sequence[GpuIdentity]],
    ) -> None:
        self._screen = screen
        self._services = services
        self._caretaker = caretaker
        self._configuring = configuring
        self._look = look
        self._say = say
        self._gpus = gpus

    @property
    def _file(self) -> Path:
        return self._services.config_file or default_path()

    def request(self, purpose: Purpose, name: str = "") -> None:
        """Open the form; ``name`` is the instance to change or to copy."""
        if self._services.readonly:
            self._refuse(f"{name} {_NOT_DONE[purpose]}".strip() if name else _NOT_DONE["new"])
        else:
            self._work(self._open(purpose, name))

    def request_removal(self, name: str) -> None:
        """Ask whether an instance is to be taken out of the file."""
        from gputui.config import edit
        from gputui.ui.dialogs import Choice, ChoiceDialog

        if self._services.readonly:
            self._refuse(f"{name} was not removed")
            return
        if all(one.name != name for one in self._services.config.instances):
            words = f"{clean_line(name)} is not in {self._file}"
            self._say(GputuiError(words, "Only what the file configures can be removed."))
            return
        named = edit.references(self._services.config, name)
        also = f"\nIt is taken out of {', '.join(named)}, too." if named else ""
        choices = [Choice("keep", "Keep it"), Choice("remove", "Remove it from the file")]
        if self._runs(name):
            choices[1:] = [
                Choice("stop", "Stop it, and remove it from the file"),
                Choice("remove", "Remove it from the file; it runs on until it is stopped"),
            ]
        question = self._look.text(f"Remove {name} from {self._file.name}?{also}")
        self._screen.app.push_screen(
            ChoiceDialog(question, choices), partial(self._removal_chosen, name)
        )

    # ── the form ─────────────────────────────────────────────────────────────────────────────────

    async def _open(self, purpose: Purpose, name: str) -> None:
        from gputui.ui.editing.checks import Judging
        from gputui.ui.editing.draft import Draft
        from gputui.ui.editing.form import FormParts, InstanceForm

        draft = await self._reread(Draft(self._file, None, purpose, name))
        raw = draft.raw
        proposed = await asyncio.to_thread(self._propose, purpose, name)
        draft = replace(draft, proposed=proposed)
        instances = self._services.config.instances
        parts = FormParts(
            look=self._look,
            gpus=self._gpus(),
            chosen=self._chosen({**raw, **proposed}),
            judging=Judging(self._services),
            save=self._save,
            reread=self._reread,
            models=[one.model for one in instances],
            running=purpose == "edit" and self._runs(name),
        )
        self._screen.app.push_screen(InstanceForm(draft, parts), self._saved)

    async def _reread(self, draft: Draft) -> Draft:
        """The draft on the file as it is now. Raises GputuiError where that is not valid."""
        from gputui.config import edit

        content = await asyncio.to_thread(user_file.read, draft.file)
        read = replace(draft, before=content)
        try:
            await asyncio.to_thread(edit.check, read.text, draft.file)
        except UnicodeDecodeError as error:
            raise ConfigError(f"{draft.file}: is not UTF-8", "Save it as UTF-8.") from error
        return read

    def _propose(self, purpose: Purpose, name: str) -> dict[str, Any]:
        """What a new one, or a copy, begins with. Blocks while a port is looked for."""
        from gputui.instances.proposals import propose_key, propose_name, propose_port

        config = self._services.config
        if purpose == "edit":
            return {}
        proposed = {"key": propose_key(config), "port": propose_port(config)}
        if purpose == "duplicate":
            return proposed | {"name": propose_name(config, f"{name}-copy")}
        used = {uuid for status in self._caretaker.statuses for uuid in status.gpus}
        gpus = [gpu.uuid for gpu in self._gpus()]
        free = [uuid for uuid in gpus if uuid not in used] or gpus
        return proposed | {"gpus": free[:1]}

    def _chosen(self, table: dict[str, Any]) -> list[str]:
        """The UUIDs of the GPUs that a table names, as far as they are known here."""
        named = tuple(one for one in table.get("gpus") or () if isinstance(one, str))
        try:
            found = resolve_gpus(
                InstanceConfig(name="a", model="m", port=1, gpus=named), self._gpus()
            )
        except ConfigError:
            return []
        return [gpu.uuid for gpu in found]

    async def _save(self, draft: Draft, after: str) -> None:
        await asyncio.to_thread(user_file.write, draft.file, draft.before, after.encode())
        await self._configuring.look(settled=True)

    def _saved(self, name: str | None) -> None:
        if name is None:
            return
        words = f"{clean_line(name)} is in {self._file}"
        if self._runs(name):
            words += "; what runs goes on as it was started: a restart applies what differs"
        self._screen.notify(words, title="Saved", markup=False, timeout=6)

    # ── removal ──────────────────────────────────────────────────────────────────────────────────

    def _removal_chosen(self, name: str, choice: str | None) -> None:
        if choice in ("remove", "stop"):
            self._work(self._remove(name, stop=choice == "stop"))

    async def _remove(self, name: str, *, stop: bool) -> None:
        from gputui.config import edit
        from gputui.ui.editing.draft import Draft

        if stop:
            self._caretaker.act("stop", name)
            await self._caretaker.settle()
            now = await self._services.supervisor.observe()
            if any(one.name == name and one.owned and one.state in RUNNING for one in now):
                return  # why it could not be stopped has been told
        draft = await self._reread(Draft(self._file, None, "edit", name))
        after = await asyncio.to_thread(edit.remove, draft.text, name)
        await asyncio.to_thread(edit.check, after, self._file)
        await self._save(draft, after)
        self._screen.notify(f"{name} is removed from {self._file}", title="Removed", markup=False)

    def _work(self, work: Awaitable[None]) -> None:
        self._screen.run_worker(told(work, self._tell), group="edit", exclusive=True)

    def _runs(self, name: str) -> bool:
        status = self._caretaker.status(name)
        return status is not None and status.owned and status.state in RUNNING

    def _tell(self, error: GputuiError) -> None:
        """A toast alone: what is wrong with the file stands in the banner already, by whoever watches it."""
        self._say(GputuiError(error.message, error.hint))

    def _refuse(self, what: str) -> None:
        self._say(GputuiError(what, "gputui runs with --readonly."))
