"""All that is known of an endpoint, and why keys of instances do nothing to it."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from gputui.chat.health import EndpointStatus
from gputui.errors import GputuiError
from gputui.text import UNKNOWN, clean_line, seconds
from gputui.ui.palette import Look

LABEL = 10
_AGAIN_SECONDS = 1.0


def refusal(name: str, *, file: bool = False) -> GputuiError:
    """Why an endpoint takes no key of an instance. ``file``: it was to be changed or removed."""
    hint = "Change it in the file." if file else "It is started and stopped where it runs."
    return GputuiError(f"{clean_line(name)} is an endpoint", hint)


def facts(one: EndpointStatus) -> list[tuple[str, str]]:
    """What is known of it, each with its label."""
    told = [("url", clean_line(one.url, 400)), ("state", str(one.state))]
    told.append(("latency", seconds(one.latency_seconds)))
    if one.model is not None:
        told.append(("model", clean_line(one.model)))
    told.append(("models", ", ".join(one.models) or UNKNOWN))
    return [*told, ("problem", one.problem)] if one.problem else told


class EndpointDialog(ModalScreen[None]):
    """One endpoint, as it is now; ``find`` gives None where it is gone."""

    BINDINGS = [Binding("escape,enter,q", "dismiss(None)", "Close", id="endpoint.close")]

    def __init__(self, look: Look, name: str, find: Callable[[], EndpointStatus | None]) -> None:
        super().__init__()
        self._look = look
        self._endpoint = name
        self._find = find
        self._shown: list[tuple[str, str]] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="endpoint") as frame:
            frame.border_title = Content(f"Endpoint {clean_line(self._endpoint, 40)}")
            frame.border_subtitle = Content("esc closes")
            yield Static("", id="endpoint-facts", markup=False)

    def on_mount(self) -> None:
        self._show()
        self.set_interval(_AGAIN_SECONDS, self._show)

    def _show(self) -> None:
        one = self._find()
        told = facts(one) if one is not None else [("state", "is configured no more")]
        if told == self._shown:
            return
        self._shown = told
        styles = {"problem": "$error"}
        lines = [
            Content.assemble(
                (label.ljust(LABEL), "$gputui-dim"), (self._look.text(words), styles.get(label, ""))
            )
            for label, words in told
        ]
        self.query_one("#endpoint-facts", Static).update(Content("\n").join(lines))
