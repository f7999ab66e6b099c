"""A log to move in: only what is near the screen is read and kept, on threads."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial

from textual.binding import Binding
from textual.events import MouseScrollDown, MouseScrollUp
from textual.message import Message

from gputui.instances.log.lines import Level, Search, Wanted
from gputui.instances.log.reader import Change, InstanceLog, LogFile, Stop
from gputui.ui.cells import CellView, Line
from gputui.ui.log.lines import GUTTER, row
from gputui.ui.log.window import MOST_LINES, LogWindow, Missed
from gputui.ui.palette import Look

TICK_SECONDS = 0.5
"""Between two looks for what is new."""
MUCH = 512 * 1024
"""Bytes that came at once from which on their end alone is read."""


class LogView(CellView, can_focus=True):
    """One log of an instance. It follows until one scrolls up; what it says of itself is in its fields."""

    BINDINGS = [
        Binding("slash", "search", "Search", key_display="/", id="log.search"),
        Binding("n", "find(1)", "Next", key_display="n N", id="log.next"),
        Binding("N", "find(-1)", "Before", show=False, id="log.before"),
        Binding("f", "level", "Level", id="log.level"),
        Binding("w", "wrap", "Wrap", id="log.wrap"),
        Binding("g,home", "top", "Top", id="log.top", key_display="g"),
        Binding("G,end", "end", "Follow", key_display="G", id="log.end"),
        Binding("left_square_bracket", "older(1)", "Older", key_display="[ ]", id="log.older"),
        Binding(
            "right_square_bracket", "older(-1)", "Newer", show=False, key_display="]", id="log.newer"
        ),
        Binding("up,k", "move(-1)", "Up", show=False, id="log.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="log.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="log.page_up"),
        Binding("pagedown,space", "page(1)", "Page down", show=False, id="log.page_down"),
        Binding("left", "sideways(-1)", "To the left", show=False, id="log.left"),
        Binding("right", "sideways(1)", "To the right", show=False, id="log.right"),
    ]  # fmt: skip

    class Changed(Message):
        """What the view says of itself changed."""

    class SearchRequested(Message):
        """The user is to be asked for words."""

    def __init__(
        self, look: Look, log: InstanceLog, *, wrap: bool = True, id: str | None = None
    ) -> None:
        super().__init__(look, id=id)
        self._log = log
        self._window = LogWindow(wrap=wrap)
        self._job = 0
        self._cancelled = False
        self._reading = (
            asyncio.Lock()
        )  # what a job reads has one size from its beginning to its end
        self._missed = Missed()
        self.file: LogFile | None = None
        self.age = 0
        self.follow = True
        self.least = Level.DEBUG
        self.search: Search | None = None
        self.hit: int | None = None
        self.place: int | None = (
            None  # how far a long look is, in bytes; None where none is under way
        )
        self.note = ""

    def on_mount(self) -> None:
        self._run(self._open(0))
        self.set_interval(TICK_SECONDS, self._tick)

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> bool:
        """Whether it reads."""
        return self.place is not None

    def cancel(self) -> None:
        """End a long look where it is."""
        self._cancelled = True

    def _run(self, job: Coroutine[None, None, None]) -> None:
        """One at a time: a new one ends the one before."""
        self._job += 1
        self._cancelled = False
        self.place = 0
        self.run_worker(self._finish(job, self._job), group="log", exclusive=True)

    async def _finish(self, job: Coroutine[None, None, None], number: int) -> None:
        try:
            async with self._reading:
                await job
        finally:
            job.close()
            if number == self._job:
                self.place = None
                self._show()

    def _stop(self) -> Stop:
        number = self._job

        def stop(place: int) -> bool:
            if number != self._job or self._cancelled:
                return True
            self.place = place
            return False

        return stop

    @property
    def _wanted(self) -> Wanted:
        return Wanted(self.least)

    @property
    def _height(self) -> int:
        return max(1, self.content_size.height or self.app.size.height)

    async def _open(self, age: int) -> None:
        self.file, self.age = await asyncio.to_thread(self._log.open, age), age
        self.hit, self._missed = None, Missed()
        await self._read_end()

    async def _read_end(self) -> None:
        file = self.file
        if file is None:
            return
        end = await asyncio.to_thread(lambda: file.whole_end)
        page = await asyncio.to_thread(
            file.lines_before, file.size, 2 * self._height, self._wanted, self._stop()
        )
        self._window.show_end(page, end)
        self.follow = True
        self._show()

    async def _read_at(self, start: int) -> None:
        """The line that begins at byte ``start`` a third below the top."""
        file, stop, height = self.file, self._stop(), self._height
        if file is None:
            return
        above = await asyncio.to_thread(file.lines_before, start, height, self._wanted, stop)
        below = await asyncio.to_thread(file.lines_from, start, 2 * height, self._wanted, stop)
        self._window.show_around(start, above, below)
        self.follow = False

    async def _read_on(self, by: int) -> None:
        """More lines in the direction of ``by``, then so many rows that way."""
        file, stop, window = self.file, self._stop(), self._window
        if file is None:
            return
        count = max(abs(by), self._height) * 2
        if by < 0:
            page = await asyncio.to_thread(file.lines_before, window.low, count, self._wanted, stop)
            window.put_above(page)
        else:
            page = await asyncio.to_thread(file.lines_from, window.high, count, self._wanted, stop)
            window.put_below(page)
        window.trim(window.top)
        window.move(by)

    # ── what is new ──────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        if self.busy:
            self.post_message(self.Changed())
        elif self.file is not None and self.age == 0 and not self._reading.locked():
            # The function, not its coroutine: one that never begins would be left unawaited.
            look = partial(self._look_again, self.file, self._job)
            self.run_worker(look, group="log-tick", exclusive=True)  # type: ignore[arg-type]

    async def _look_again(self, file: LogFile, job: int) -> None:
        async with self._reading:
            if job != self._job:
                return
            before = file.size
            self._missed.add(await asyncio.to_thread(file.refresh), file.size - before)
            if job != self._job or file is not self.file:
                return  # what was seen is gone after at the next look
            change, grown, self._missed = self._missed.change, self._missed.grown, Missed()
            if change in (Change.CUT, Change.REPLACED) and not self.follow:
                await self._read_on_in_older(file, change)
                return
        if change is Change.GREW:
            self._run(self._grown(grown))
        elif change is Change.NONE:
            return
        else:
            what = "it was too large" if change is Change.CUT else "the server started anew"
            self.note = f"{what}: [ shows what was before"
            self._run(self._open(0))

    async def _read_on_in_older(self, file: LogFile, change: Change) -> None:
        """What is on the screen is in an older one now, byte for byte."""
        if change is Change.CUT:
            self.file, self.age = await asyncio.to_thread(self._log.open, 1), 1
        else:
            age = await asyncio.to_thread(self._log.age_of, file)
            self.age = age or 1
        self.post_message(self.Changed())

    async def _grown(self, by: int) -> None:
        window, file = self._window, self.file
        if file is None:
            return
        if not self.follow and len(window.lines) > self._height:
            window.at_end = False
        elif by > MUCH:
            await self._read_end()
        else:
            page = await asyncio.to_thread(
                file.lines_from, window.high, MOST_LINES, self._wanted, self._stop()
            )
            window.put_below(page)
            window.trim(len(window.lines) if self.follow else window.top)

    # ── moving ───────────────────────────────────────────────────────────────────────────────

    def action_move(self, by: int) -> None:
        """By so many rows; up leaves the end, and at the end one follows again."""
        if by < 0:
            self.follow = False
        window = self._window
        left = window.move(by)
        if (left < 0 and not window.at_begin) or (left > 0 and not window.at_end):
            self._run(self._read_on(left))
        elif by > 0 and window.at_end and window.at_last:
            self.follow = True
        self._show()

    def action_page(self, by: int) -> None:
        """By a screen, but for one row."""
        self.action_move(by * max(1, self._height - 1))

    def action_top(self) -> None:
        """To the first line of the file."""
        self._run(self._read_at(0))

    def action_end(self) -> None:
        """To the last line, and along with what comes; from the end of an older log to the newest."""
        self.note = ""
        self._run(self._open(0) if self.age and self.follow else self._read_end())

    def action_sideways(self, by: int) -> None:
        """By half a screen, where lines are not wrapped."""
        window = self._window
        if not window.wrap:
            window.column = max(0, window.column + by * max(1, window.width // 2))
            self._show()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.action_move(-3)

    def on_resize(self) -> None:
        window, size = self._window, self.content_size
        window.width, window.height = max(1, size.width - GUTTER), max(1, size.height)
        window.clamp()
        short = window.last_place() == (0, 0)
        if not self.busy and not window.at_begin and short:
            self._run(self._read_on(-1))
        super().on_resize()

    # ── what is shown ────────────────────────────────────────────────────────────────────────

    def action_wrap(self) -> None:
        """Long lines on several rows, or cut."""
        window = self._window
        window.wrap, window.column, window.row = not window.wrap, 0, 0
        window.clamp()
        self._show()

    def action_level(self) -> None:
        """The next of all, info+, warnings+, errors."""
        self.least = Level((self.least + 1) % len(Level))
        window = self._window
        here = window.lines[window.top].start if window.lines and not self.follow else None
        self._run(self._read_end() if here is None else self._read_at(here))

    def action_older(self, by: int) -> None:
        """The log before this one, or after it."""
        self._run(self._change_file(by))

    async def _change_file(self, by: int) -> None:
        file, log = self.file, self._log
        here = await asyncio.to_thread(log.age_of, file) if file is not None else None
        ages = await asyncio.to_thread(log.ages)
        places = [age for age in ages if (age - (here or 0)) * by > 0]
        if not places:
            self.note = "there is no older log" if by > 0 else "this is the newest log"
            return
        self.note = ""
        await self._open(min(places) if by > 0 else max(places))

    # ── searching ────────────────────────────────────────────────────────────────────────────

    def action_search(self) -> None:
        """Ask for words."""
        self.post_message(self.SearchRequested())

    def find(self, words: str) -> None:
        """Go to the first line with these words from the top of the screen on; "" ends the search."""
        self.search, self.hit, self.note = (Search(words) if words else None), None, ""
        self._show()
        self.action_find(1)

    def action_find(self, by: int) -> None:
        """To the next line with the words, or the one before; round at the end."""
        lines = self._window.lines
        if self.search is None or not lines:
            return
        here = next((line for line in lines if line.start == self.hit), None)
        start = (
            lines[self._window.top].start if here is None else here.end if by > 0 else here.start
        )
        if here is None and self.hit is not None:
            start = self.hit + (by > 0)
        self.note = ""
        self._run(self._find(start, by))

    async def _find(self, start: int, by: int) -> None:
        file = self.file
        if file is None:
            return
        wanted, words = replace(self._wanted, search=self.search), ""
        for begin in (start, 0 if by > 0 else file.size):
            look = file.lines_from if by > 0 else file.lines_before
            begin = await asyncio.to_thread(file.line_start, begin)
            page = await asyncio.to_thread(look, begin, 1, wanted, self._stop())
            if page.lines:
                self.hit, self.note = page.lines[0].start, words
                await self._read_at(self.hit)
                return
            if self._cancelled:
                self.note = "search ended"
                return
            words = "from the top again" if by > 0 else "from the end again"
        self.note = "not found"

    # ── drawing ──────────────────────────────────────────────────────────────────────────────

    @property
    def cut_from(self) -> int | None:
        """From which column on lines are shown; None where they are wrapped."""
        return None if self._window.wrap else self._window.column

    @property
    def share(self) -> float:
        """How much of the file is above the bottom of the screen, 0 to 1."""
        size = self.file.size if self.file else 0
        shown = [line for line, _ in self._window.shown()]
        return min(1.0, shown[-1].end / size) if shown and size else 1.0

    def _show(self) -> None:
        self.redraw()
        self.post_message(self.Changed())

    def lines(self, width: int) -> Sequence[Line]:
        palette, window = self.look.palette, self._window
        if self.follow:
            window.top, window.row = window.last_place()
        if not window.lines:
            return [Line().add(f" {self._nothing}", palette.dim)]
        drawn = []
        for line, number in window.shown():
            start, end = window.parts(line)[number]
            mark = "▸" if line.start == self.hit and number == 0 else ""
            room = width - GUTTER
            cut = not window.wrap and end - start > room
            part = start, min(end, start + room - cut)
            drawn.append(row(line, part, mark, self.search, palette))
            if cut:
                drawn[-1].add("…", palette.dim)
        return drawn

    @property
    def _nothing(self) -> str:
        if self.file is None or self.busy:
            return "…"
        if self.file.trouble:
            return self.file.trouble
        return "No line of that level." if self.file.size else "The log is empty."
