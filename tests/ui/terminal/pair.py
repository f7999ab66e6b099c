"""Two terminals: one gets all that Textual writes, the other what the picture makes of it."""

from __future__ import annotations

from textual.drivers.headless_driver import HeadlessDriver

from gputui.ui.terminal.picture import Picture
from tests.ui.terminal.emulator import Emulator, assert_same


class Pair:
    """One terminal that gets all as it is written, one that gets what the picture gives."""

    def __init__(self, columns: int, rows: int) -> None:
        self.picture = Picture(columns, rows)
        self.direct, self.through = Emulator(columns, rows), Emulator(columns, rows)
        self.written = self.sent = 0  # bytes

    def write(self, data: str, cut: int = 0) -> None:
        """Write to both, to the picture in pieces of that many characters."""
        self.direct.feed(data)
        self.written += len(data.encode())
        for start in range(0, len(data), cut or len(data) or 1):
            self.picture.write(data[start : start + (cut or len(data))])

    def take(self, most: int | None = None) -> None:
        """Send a piece."""
        assert self.picture.changed
        sent = self.picture.take(most)
        assert sent
        self.sent += len(sent.encode())
        self.through.feed(sent)

    def settle(self, most: int | None = None) -> None:
        """Send all that is to be sent; then both are the same."""
        while self.picture.changed:
            self.take(most)
        assert_same(self.direct, self.through)

    def resize(self, columns: int, rows: int) -> None:
        """Give both another size."""
        for terminal in (self.direct, self.through):
            terminal.resize(rows, columns)
        self.picture.resized(columns, rows)

    def replay(self, record: list[str | tuple[int, int]]) -> int:
        """Write what was recorded, compare after every piece of it; how many pieces there were."""
        for entry in record:
            if isinstance(entry, str):
                self.write(entry)
                self.settle()
            else:
                self.resize(*entry)
        self.direct.dirty.update(range(self.direct.lines))
        self.settle()
        return len(record)


class RecordingDriver(HeadlessDriver):
    """Keeps what is written, and where the size changed, as columns and rows."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.record: list[str | tuple[int, int]] = []

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.record.append(data)
