"""What of a screen is sent when a part of it changed: that part, and nothing else.

Textual (8.2) renders every widget of a screen for each frame, also those in which nothing changed, and
sends each changed region from the left edge of its widget on. A dashboard has thirty widgets, of which
a tick changes a few cells in three or four: rendering the others was half of what a tick cost.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip

Span = tuple[int, int, int]
"""A part of a row: y, first x, the x behind the last."""


class SpansUpdate(ChopsUpdate):
    """Pieces of rows, each where it belongs: x, y, cells."""

    def __init__(self, pieces: list[tuple[int, int, Strip]], spans: list[Span]) -> None:
        ends: list[list[int]] = [[] for _ in range(spans[-1][0] + 1)]
        chops: list[dict[int, Strip | None]] = [{} for _ in ends]
        for x, y, strip in sorted(pieces, key=lambda piece: piece[:2]):
            chops[y][x] = strip
            ends[y].append(x + strip.cell_length)
        super().__init__(chops, spans, ends)
        self.pieces = pieces

    def render_segments(self, console: Console) -> str:
        """The pieces for the terminal."""
        return "".join(
            Control.move_to(x, y).segment.text + strip.render(console)
            for x, y, strip in self.pieces
        )


class SparingCompositor(Compositor):
    """Renders for a change only the widgets that are seen in it, and of those only the rows."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """The changed regions as they are now; None where there are none."""
        screen = self.size.region
        regions = [region.intersection(screen) for region in self._dirty_regions]
        self._dirty_regions.clear()
        spans = list(self._regions_to_spans(region for region in regions if region))
        return SpansUpdate(list(self._pieces(spans)), spans) if spans else None

    def _pieces(self, spans: list[Span]) -> Iterator[tuple[int, int, Strip]]:
        """What covers ``spans``: widgets from front to back, until nothing is open any more."""
        left = spans
        for widget, (region, clip) in self.visible_widgets.items():
            shown = region.intersection(clip)
            hits, left = _divide(left, shown)
            if not hits:
                continue
            top, bottom = hits[0][0], hits[-1][0]
            crop = Region(shown.x - region.x, top - region.y, shown.width, bottom + 1 - top)
            strips = widget.render_lines(crop)
            for y, x1, x2 in hits:
                yield x1, y, strips[y - top].crop(x1 - shown.x, x2 - shown.x)
            if not left:
                return


def _divide(spans: list[Span], region: Region) -> tuple[list[Span], list[Span]]:
    """The parts of ``spans`` in the region and those outside of it, both by rows."""
    left, top, right, bottom = region.corners
    hits: list[Span] = []
    others: list[Span] = []
    for span in spans:
        y, x1, x2 = span
        if not top <= y < bottom or x2 <= left or x1 >= right:
            others.append(span)
            continue
        hits.append((y, max(x1, left), min(x2, right)))
        if x1 < left:
            others.append((y, x1, left))
        if x2 > right:
            others.append((y, right, x2))
    return hits, others
