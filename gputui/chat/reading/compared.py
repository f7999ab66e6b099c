"""What a comparison of two texts comes to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line; ``same``: the other line has it too."""

    text: str
    same: bool


Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of each side, beside each other; None where only the other side has one."""

    left: Parts | None
    right: Parts | None

    @property
    def differs(self) -> bool:
        """Whether one has words that the other has not; white space alone is none."""
        return any(
            not part.same and part.text.strip()
            for parts in (self.left, self.right)
            for part in parts or ()
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows in order, and the words: those that both have, and those of one side alone.

    ``whole``: False where the texts were too long to be compared by words throughout.
    """

    rows: tuple[Row, ...]
    both: int
    only_left: int
    only_right: int
    whole: bool = True

    @property
    def share(self) -> float | None:
        """The words that both have, of all words of both, 0 to 1; None where there are none."""
        words = 2 * self.both + self.only_left + self.only_right
        return 2 * self.both / words if words else None


def whole(text: str | None, *, same: bool) -> Parts | None:
    """A line that is all alike, or all of one side; None where there is none."""
    if text is None:
        return None
    return (Part(text, same),) if text else ()
