"""The turns of a side, of which only those around what is read are widgets."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.layout import DockArrangeResult
from textual.scrollbar import ScrollBar
from textual.widget import Widget
from textual.widgets import Static

from gputui.chat.asking.notes import TurnNote
from gputui.chat.model import Turn
from gputui.ui.chat.answer import FinishedAnswer
from gputui.ui.chat.live.answer import LiveAnswer
from gputui.ui.chat.reading.turns import Turns
from gputui.ui.palette import Look

PAGE = 10
"""Turns that are mounted at a time."""
MOST = 3 * PAGE
"""Turns that are widgets at once; those farthest from what is read go first."""


class Edge(Static):
    """Says how many turns there are beyond, where they are no widgets."""

    def __init__(self, look: Look, words: str) -> None:
        super().__init__("", markup=False, classes="edge")
        self._look = look
        self._words = words
        self._count = 0
        self.display = False

    def say(self, count: int) -> None:
        """That many; nothing with 0."""
        if count != self._count:
            self._count = count
            self.display = count > 0
            words = self._words.format(f"{count:,}".replace(",", " "))
            if count == 1:
                words = words.replace("turns", "turn")
            self.update(Content(self._look.text(words)))


class TurnList(Turns):
    """The turns of a side: the newest at first, older ones by the page as one scrolls to the top.

    One widget a turn, and never more than ``MOST``. ``show`` costs what is new and what is mounted,
    however long the conversation is. Where turns come or go above what is read, it stays where it is.
    ``follows``: the end is followed as it grows; whoever scrolled back reads on in peace.
    """

    def __init__(
        self, look: Look, side: str, note_of: Callable[[Turn], TurnNote] = lambda turn: TurnNote()
    ) -> None:
        """``note_of`` gives what is said beside a turn."""
        super().__init__(classes="turns")
        self._note_of = note_of
        self.follows = True
        self._look = look
        self._side = side
        self._turns: Sequence[Turn] = ()
        self._count = 0
        self._first = 0
        self._views: list[FinishedAnswer] = []
        self._moving = asyncio.Lock()
        self._held: tuple[Widget, int] | None = None
        self._gone_to: FinishedAnswer | None = None

    def compose(self) -> ComposeResult:
        yield Edge(self._look, "… {} older turns: scroll up, home for the first")
        yield Static("", classes="empty", markup=False)
        yield Edge(self._look, "… {} newer turns: scroll down, end for the last")
        yield LiveAnswer(self._look)

    def on_mount(self) -> None:
        self.query_one(LiveAnswer).display = False

    @property
    def turns(self) -> Sequence[Turn]:
        """All of them, oldest first."""
        return self._turns

    @property
    def first(self) -> int:
        """The place in ``turns`` of the first that is a widget."""
        return self._first

    @property
    def views(self) -> Sequence[FinishedAnswer]:
        """The widgets of the turns from ``first`` on."""
        return self._views

    def asked_at(self, view: FinishedAnswer) -> float | None:
        """When the prompt of that widget was sent; None where it is none of these."""
        if view not in self._views:
            return None
        return self._turns[self._first + self._views.index(view)].created_at

    def place_of(self, asked_at: float) -> int:
        """The place in ``turns`` of the prompt that was sent then, else of the one before it; -1 for none."""
        return bisect_right(self._turns, asked_at, key=lambda turn: turn.created_at) - 1

    def view_at(self, place: int) -> FinishedAnswer | None:
        """The widget of that place; None where it is none."""
        return self._views[place - self._first] if self._first <= place < self._last else None

    @property
    def gone_to(self) -> FinishedAnswer | None:
        """The turn that one went to, its first line on top where there is enough behind it; None once one
        scrolls."""
        return self._gone_to if self._held is not None and self._gone_to in self._views else None

    @property
    def at_newest(self) -> bool:
        """Whether the newest turn is a widget, or there is none."""
        return self._last == self._count

    @property
    def _last(self) -> int:
        return self._first + len(self._views)

    def of_side(self, side: str, note_of: Callable[[Turn], TurnNote]) -> None:
        """Show the turns of another side from now on; nothing of the one before stays."""
        self._drop(self._views)
        self._side, self._note_of = side, note_of
        self._turns, self._count, self._first = (), 0, 0
        self._held, self.follows = None, True

    def show(self, turns: Sequence[Turn]) -> None:
        """These are the turns now; what is a widget already stays one."""
        at_newest, before = self.at_newest, self._count
        self._turns, self._count = turns, len(turns)
        keep = self._kept(0) or self._kept(self._count - before)
        gone = self._views[keep:]
        self._drop(gone)
        if not turns:
            self._first, self._held = 0, None
            self.follows = self.follows or bool(gone)
        elif at_newest or gone:
            self._mount_newest(anew=bool(gone) or self._count - before > 1)
        self._say_edges()

    def _kept(self, shift: int) -> int:
        """How many widgets show the turn of their place still, where that place is ``shift`` further."""
        first = self._first + shift
        if not 0 <= first < self._count:
            return 0
        kept = 0
        for view, turn in zip(self._views, self._turns[first : first + MOST], strict=False):
            if view.answer is not turn.answers[self._side]:
                break
            kept += 1
        if kept:
            self._first = first
        return kept

    def _mount_newest(self, *, anew: bool) -> None:
        """The widgets up to the newest turn; whoever reads back keeps what he has, where it is not another
        conversation."""
        if not self._views or self._count - self._last > PAGE:
            self._drop(self._views)
            self._first = max(0, self._count - PAGE)
            self.follows = self.follows or anew
        too_many = self._count - self._first - MOST
        if too_many > 0 and not self.follows:
            return
        new = self._made(self._last, self._count)
        if new:
            self.mount(*new, before=self._newer)
            self._views += new
        if too_many > 0:
            self._hold(self._views[too_many])
            self._drop(self._views[:too_many])

    def _made(self, first: int, last: int) -> list[FinishedAnswer]:
        from gputui.chat.asking.attachments import asked_words

        return [
            FinishedAnswer(
                asked_words(turn),
                turn.answers[self._side],
                self._look,
                self.search,
                self._note_of(turn),
                self._resized,
            )
            for turn in self._turns[first:last]
        ]

    def _resized(self, view: FinishedAnswer, rows: int) -> None:
        """A turn will have so many rows: what is read in it stays in sight, as far as that is the same
        share of it."""
        region, top = view.virtual_region, self.scroll_offset.y
        if not self.follows and self._held is None and region.y < top < region.bottom:
            self._held = (view, -round((top - region.y) / region.height * rows))

    def annotate(self) -> None:
        """Bring what is said beside each turn up to date."""
        for view, turn in zip(self._views, self._turns[self._first : self._last], strict=False):
            view.annotate(self._note_of(turn))

    def _drop(self, views: Iterable[FinishedAnswer]) -> None:
        """These are widgets no more."""
        for view in list(views):
            self._first += view is self._views[0]
            self._views.remove(view)
            view.remove()

    def _say_edges(self) -> None:
        self._older.say(self._first)
        self._newer.say(self._count - self._last)

    @property
    def _older(self) -> Edge:
        return self.query(Edge).first()

    @property
    def _newer(self) -> Edge:
        return self.query(Edge).last()

    # ── scrolling ────────────────────────────────────────────────────────────────────────────

    def follow(self) -> None:
        """Go to the end, where that is followed: as answers grow, and as others take room from this."""
        if self.follows:
            self.call_after_refresh(self._go_to_end)

    def _go_to_end(self) -> None:
        """Unless somebody scrolled meanwhile."""
        if self.follows and self.scroll_y != self.max_scroll_y:
            self.move_to(self.max_scroll_y)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._held = self._gone_to = None
        self.follows = self.at_newest and self.is_vertical_scroll_end
        if new_value < old_value and new_value <= 0 and self._first:
            self.call_later(self._scrolled_to, self.show_older)
        elif new_value > old_value and new_value >= self.max_scroll_y and not self.at_newest:
            self.call_later(self._scrolled_to, self.show_newer)

    async def _scrolled_to(self, show: Callable[[], Awaitable[None]]) -> None:
        """Once for each arrival at an edge: where one is held, that was seen to already, or somebody
        went elsewhere meanwhile."""
        async with self._moving:
            pass
        if self._held is None:
            await show()

    async def _fill(self) -> None:
        """A window that the mounted turns do not fill takes more of them: nothing can be scrolled there."""
        if self._first and len(self._views) < MOST:
            await self.show_older()

    def watch_virtual_size(self) -> None:
        self.follow()

    def on_resize(self) -> None:
        self.follow()

    def action_scroll_home(self) -> None:
        self.call_later(self.reveal, 0)

    def action_scroll_end(self) -> None:
        self.call_later(self.show_newest)

    async def show_older(self) -> None:
        """A page of older turns, if there are any; what is read stays where it is."""
        first = max(0, self._first - PAGE)
        await self._move(first, min(self._last, first + MOST), self._views[:1])

    async def show_newer(self) -> None:
        """A page of newer turns, if there are any; what is read stays where it is."""
        last = min(self._count, self._last + PAGE)
        await self._move(max(self._first, last - MOST), last, self._views[-1:])

    async def show_newest(self) -> None:
        """Go to the end, and follow it."""
        if not self.at_newest:
            await self._move(max(0, self._count - PAGE), self._count, ())
        self.follows = True
        self.follow()

    async def reveal(self, place: int) -> None:
        """Go to the turn of that place in ``turns``: its first line comes on top, where there is enough
        behind it."""
        place = max(0, min(self._count - 1, place))
        self.follows = False
        if not self._first <= place < self._last:
            first = max(0, min(place - PAGE // 2, self._count - PAGE))
            await self._move(first, min(self._count, first + 2 * PAGE), ())
        if self._first <= place < self._last:
            self.follows = False
            self._gone_to = self._views[place - self._first]
            self._held = (self._gone_to, 0)
            self.refresh(layout=True)

    async def _move(self, first: int, last: int, hold: Sequence[FinishedAnswer]) -> None:
        """Have these turns as widgets, and no others; the one of ``hold`` stays where it is seen."""
        async with self._moving:
            if (first, last) == (self._first, self._last) or last > self._count:
                return
            with self.app.batch_update():
                for view in hold:
                    self._hold(view)
                await self._have(first, last)

    async def _have(self, first: int, last: int) -> None:
        here, old = self._first, self._views
        stays = old[max(0, first - here) : max(0, last - here)]
        before = self._made(first, min(here, last) if stays else last)
        after = self._made(here + len(old), last) if stays else []
        self._views, self._first = [*before, *stays, *after], first
        self._say_edges()
        waits: list[Awaitable[object]] = []
        if before:
            waits.append(self.mount(*before, before=stays[0] if stays else self._newer))
        if after:
            waits.append(self.mount(*after, before=self._newer))
        waits += [view.remove() for view in old if view not in stays]
        for wait in waits:
            await wait

    def _hold(self, view: Widget) -> None:
        """Until somebody scrolls, it stays where it is seen now."""
        self._held = (view, view.virtual_region.y - round(self.scroll_y))

    def stay_at(self, view: FinishedAnswer) -> None:
        """It grows: its beginning stays in sight, or comes there, and the end is not followed."""
        self.follows = False
        self._held = (view, max(0, view.virtual_region.y - round(self.scroll_y)))

    def arrange(self, size: Size, optimal: bool = False) -> DockArrangeResult:
        """Where the parts lie. One that is held stays where it is seen, and the end that is followed is
        seen: so scrolls Textual (8.2) itself where it is anchored, and nothing is drawn at a place that it
        then leaves."""
        result = super().arrange(size, optimal)
        if self._first and result.total_region.bottom <= size.height:
            placed = {one.widget for one in result.placements if one.region.height}
            if placed.issuperset(self._views):
                self.call_later(self._fill)
        if self._moving.locked():
            return result
        if self._held is not None:
            self._keep_held(*self._held, result, size)
        elif self.follows:
            self._put_at(max(0, result.total_region.bottom - size.height))
        return result

    def _keep_held(self, view: Widget, above: int, result: DockArrangeResult, size: Size) -> None:
        most = max(0, result.total_region.bottom - size.height)
        for placement in result.placements:
            if placement.widget is view:
                y = placement.region.y - above
                self._put_at(max(0, min(most, y)))
                if y >= most and not self.at_newest:
                    self.call_after_refresh(self._fill_below)

    async def _fill_below(self) -> None:
        """Where one is held, what is below it may end too soon: it could not be scrolled further."""
        if self._held is not None and len(self._views) < MOST:
            last = min(self._count, self._last + PAGE)
            await self._move(max(self._first, last - MOST), last, ())

    def _put_at(self, y: int) -> None:
        self.set_reactive(Widget.scroll_y, float(y))
        self.set_reactive(Widget.scroll_target_y, float(y))
        self.vertical_scrollbar.set_reactive(ScrollBar.position, float(y))
