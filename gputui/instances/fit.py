"""Whether an instance fits: what it will take against what its GPUs and the host have free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gputui.models.memory import Share

Source = Literal["estimate", "llama-fit-params"]


@dataclass(frozen=True, slots=True)
class FitRow:
    """One GPU, or the host (``uuid`` is None).

    ``needed`` is what the instance will take there, by its parts; ``free`` is what is free now, less what
    starting instances will still take, plus what a restart gives back, in bytes; None where not known.
    ``holders`` are the instances that have memory there.
    """

    name: str
    needed: Share
    free: float | None
    uuid: str | None = None
    holders: tuple[str, ...] = ()

    @property
    def missing(self) -> float | None:
        """How many bytes are missing; 0 where it fits, None where not known."""
        return None if self.free is None else max(0.0, self.needed.total - self.free)


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether an instance fits now. ``fits`` is None where that is not known; ``reason`` says why.

    ``lowers``: it would not fit as configured, but the server's own ``--fit`` lowers context or layers.
    ``words`` says it all to people, one line. ``context`` is what was asked for, ``largest_context``
    what would fit, in tokens; None where not known, 0 where none does.
    """

    name: str
    fits: bool | None
    rows: tuple[FitRow, ...] = ()
    source: Source = "estimate"
    reason: str = ""
    words: str = ""
    lowers: bool = False
    context: int | None = None
    largest_context: int | None = None
    warnings: tuple[str, ...] = ()
