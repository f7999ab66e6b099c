"""Words in all that is kept."""

from __future__ import annotations

import sqlite3
from typing import Literal

from gputui.chat.keeping.found import Match


def search(
    connection: sqlite3.Connection, query: str, limit: int, order: Literal["newest", "best"]
) -> tuple[Match, ...]:
    """See ``Store.search``."""
    raise NotImplementedError
