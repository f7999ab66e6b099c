"""An answer as plain text on the terminal, for its own selection and scrolling."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.driver import Driver
from textual.screen import ModalScreen
from textual.widgets import Static

from gputui.text import clean
from gputui.ui.palette import Look

if TYPE_CHECKING:
    from gputui.ui.chat.chatting import Chatting

BACK = "enter goes back"


class PlainScreen(ModalScreen[None]):
    """The text without frames, over the whole screen, where the program cannot leave the terminal."""

    BINDINGS = [Binding("enter,escape,q", "dismiss(None)", "Back", id="plain.back")]

    def __init__(self, look: Look, text: str) -> None:
        super().__init__()
        self._look = look
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="plain-screen"):
            yield Static(Content(self._look.text(self._text)), markup=False)
            yield Static(Content(self._look.text(f"\n— {BACK} —")), classes="edge", markup=False)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(VerticalScroll))


async def show_plain(chatting: Chatting, side: str, text: str) -> None:
    """Show an answer of ``side`` on the terminal's normal screen until enter is pressed.

    All goes on meanwhile, and nothing is drawn. Where the terminal cannot be left, it is shown on a
    screen of ours, with the mouse let go.
    """
    app, text = chatting.screen.app, clean(text)
    app.clear_notifications()  # they would lie over what is to be selected
    driver = app._driver  # Textual (8.2) has no other way to know whether it can be suspended
    if driver is None or not driver.can_suspend:
        with _mouse_let_go(driver):
            await app.push_screen_wait(PlainScreen(chatting.look, text))
        return
    with app.batch_update(), app.suspend():
        head, end = f"── answer of {side} ──", f"── {BACK} ──"
        words = chatting.look.text(f"\n{head}\n\n{text}\n\n{end}\n")
        await _until_enter(app, words)


async def _until_enter(app: App[object], words: str) -> None:
    """Write that, and wait for a line of the user's; an interrupt ends it as well."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    source = sys.__stdin__.fileno() if sys.__stdin__ else 0

    def come() -> None:
        os.read(source, 4096)
        done.set()

    with _on_interrupt(loop, done.set):
        await asyncio.to_thread(_write, words)
        loop.add_reader(source, come)
        try:
            await done.wait()
        finally:
            loop.remove_reader(source)


def _write(words: str) -> None:
    """To where Textual draws: standard error is the terminal."""
    stream = sys.__stderr__
    if stream is not None:
        stream.buffer.write(words.encode(stream.encoding or "utf-8", errors="replace"))
        stream.flush()


@contextmanager
def _on_interrupt(loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> Iterator[None]:
    """Without Textual ctrl+c is a signal again, which would end the program."""
    before = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, then)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


@contextmanager
def _mouse_let_go(driver: Driver | None) -> Iterator[None]:
    """The terminal selects by the mouse itself meanwhile."""
    let_go = getattr(driver, "_disable_mouse_support", None)
    take = getattr(driver, "_enable_mouse_support", None)
    if let_go is None or take is None:
        yield
        return
    let_go()
    try:
        yield
    finally:
        take()
