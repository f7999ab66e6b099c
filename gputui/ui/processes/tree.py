"""The tree of processes: parents above their children, in the order of a sorted list."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from gputui.ui.processes.rows import ProcessRow

_CHILD, _LAST, _PASSING, _NOTHING = "├─ ", "└─ ", "│  ", "   "


def as_tree(rows: Sequence[ProcessRow], parents: Mapping[int, int]) -> list[ProcessRow]:
    """``rows``, each once, below its parent, with its branch; siblings in the order of ``rows``.

    ``parents`` gives the parent by pid. A process whose parent is not among ``rows`` is a root; so is
    a foreign one. Pids that are their own ancestors (read while they changed) make no endless tree.
    """
    contexts: dict[int, list[ProcessRow]] = {}
    for row in rows:
        contexts.setdefault(row.node, []).append(row)
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    for node in contexts:
        parent = parents.get(node, 0)
        if parent in contexts and parent != node:
            children.setdefault(parent, []).append(node)
        else:
            roots.append(node)
    shown: list[ProcessRow] = []
    met: set[int] = set()
    for root in [*roots, *contexts]:  # those that only hang in a ring come last, as roots
        if root not in met:
            _descend(root, contexts, children, met, shown)
    return shown


def _descend(
    root: int,
    contexts: Mapping[int, Sequence[ProcessRow]],
    children: Mapping[int, Sequence[int]],
    met: set[int],
    shown: list[ProcessRow],
) -> None:
    """Append ``root`` and all below it. Not recursive: a tree can be deeper than Python's stack."""
    waiting = [(root, "", "")]  # a node, its own branch, and what stands before its children
    met.add(root)
    while waiting:
        node, branch, below = waiting.pop()
        first, *more = contexts[node]
        shown.append(replace(first, branch=branch))
        shown += [replace(row, branch=below) for row in more]  # its contexts on further GPUs
        mine = [child for child in children.get(node, ()) if child not in met]
        met.update(mine)
        for place, child in enumerate(reversed(mine)):
            own, passing = (_LAST, _NOTHING) if place == 0 else (_CHILD, _PASSING)
            waiting.append((child, below + own, below + passing))


def with_ancestors(
    rows: Sequence[ProcessRow], kept: Collection[int], parents: Mapping[int, int]
) -> list[ProcessRow]:
    """Of ``rows`` those whose node is in ``kept``, and all above them."""
    wanted: set[int] = set()
    for node in kept:
        while node not in wanted:
            wanted.add(node)
            node = parents.get(node, 0)
    return [row for row in rows if row.node in wanted]
