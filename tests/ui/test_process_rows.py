"""Rows of the table of processes: sorting, filtering, the tree; for any processes."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.gpu.host_processes import LocalProcess
from gputui.gpu.sample import GpuProcess, ProcessType, Snapshot
from gputui.text import UNKNOWN
from gputui.ui.processes.rows import (
    COLUMNS,
    COLUMNS_BY_TITLE,
    COMMAND_LEAST,
    GAP,
    ProcessRow,
    age,
    fitting_columns,
    rows_of,
    shows,
    sort_rows,
    with_relatives,
)
from gputui.ui.processes.table import Order
from gputui.ui.processes.tree import as_tree, with_ancestors
from tests.ui.harness import GIB, gpu_sample, host_process, identity

NOW = 1e9
PIDS = st.integers(1, 12)
hosts = st.one_of(
    st.none(),
    st.builds(
        lambda user, command, born, memory, cpu: host_process(
            1, user=user, command=command, started_at=born, memory=memory, cpu_percent=cpu
        ),
        st.sampled_from(("alice", "Bob", "")),
        st.sampled_from(("llama-server -m a", "python train.py", "[kthreadd]", "")),
        st.floats(0, NOW),
        st.none() | st.integers(0, 2**40),
        st.none() | st.floats(0, 6400),
    ),
)
rows = st.builds(
    ProcessRow,
    pid=PIDS,
    name=st.sampled_from(("llama-server", "python", "")),
    gpu=st.none() | st.integers(0, 3).map(identity),
    type=st.none() | st.sampled_from(ProcessType),
    gpu_memory=st.none() | st.integers(0, 2**40),
    utilization_sm=st.none() | st.floats(0, 100),
    host=hosts,
    instance=st.sampled_from(("", "deepseek")),
)
tables = st.lists(rows, max_size=12, unique_by=lambda row: (row.node, row.key))
columns = st.sampled_from(COLUMNS)


@given(table=tables, column=columns, falling=st.booleans())
def test_sorting_keeps_all_puts_the_unknown_last_and_is_stable(
    table: list[ProcessRow], column: object, falling: bool
) -> None:
    assert isinstance(column, type(COLUMNS[0]))
    shown = sort_rows(table, column, falling)
    assert Counter(map(id, shown)) == Counter(map(id, table))
    keys = [column.key(row) for row in shown]
    known = [key.casefold() if isinstance(key, str) else key for key in keys if key is not None]
    assert keys[len(known) :] == [None] * (len(keys) - len(known))
    assert known == sorted(known, reverse=falling)  # type: ignore[type-var]
    places = {id(row): place for place, row in enumerate(table)}
    for one, other in itertools.pairwise(shown):
        if column.key(one) == column.key(other):
            assert places[id(one)] < places[id(other)]


@given(table=tables, words=st.sampled_from(("", "llama", "PYTHON", "alice train", "7", "zz", "■")))
def test_the_filter_keeps_what_holds_every_word_in_any_column(
    table: list[ProcessRow], words: str
) -> None:
    for row in table:
        texts = [column.text(row, NOW).casefold() for column in COLUMNS]
        expected = all(any(word in text for text in texts) for word in words.casefold().split())
        assert shows(row, words, NOW) == expected


parents = st.dictionaries(PIDS, st.integers(0, 12), max_size=12)


@given(table=tables, parents=parents)
def test_the_tree_holds_each_row_once_below_its_parent(
    table: list[ProcessRow], parents: dict[int, int]
) -> None:
    shown = as_tree(table, parents)
    assert Counter(replace(row, branch="") for row in shown) == Counter(table)
    depth = {row.node: len(row.branch) // 3 for row in reversed(shown)}
    nodes = list(dict.fromkeys(row.node for row in shown))
    path: list[int] = []
    for node in nodes:
        del path[depth[node] :]
        if path:
            assert parents[node] == path[-1], "a child stands below its parent"
        elif parents.get(node) in nodes:
            assert _in_ring(node, parents, nodes), "only a ring is cut open"
        path.append(node)


def _in_ring(node: int, parents: dict[int, int], nodes: list[int]) -> bool:
    above = parents.get(node, 0)
    for _ in nodes:
        if above == node:
            return True
        above = parents.get(above, 0) if above in nodes else 0
    return False


@given(table=tables, parents=parents)
def test_siblings_keep_the_order_of_the_list(
    table: list[ProcessRow], parents: dict[int, int]
) -> None:
    places: dict[int, int] = {}
    for place, row in enumerate(table):
        places.setdefault(row.node, place)
    siblings: dict[int, list[int]] = {}
    for node in dict.fromkeys(row.node for row in as_tree(table, parents)):
        if node > 0 and parents.get(node) in places and not _in_ring(node, parents, list(places)):
            siblings.setdefault(parents[node], []).append(places[node])
    for order in siblings.values():
        assert order == sorted(order)


@given(table=tables, parents=parents, kept=st.sets(PIDS))
def test_the_filter_keeps_what_stands_above(
    table: list[ProcessRow], parents: dict[int, int], kept: set[int]
) -> None:
    left = {row.node for row in with_ancestors(table, kept, parents)}
    assert left >= {row.node for row in table} & kept
    for node in left:
        above = {child for child, parent in parents.items() if parent == node}
        assert node in kept or above, "what is no match stands above something"


@given(
    table=tables,
    parents=parents,
    column=columns,
    falling=st.booleans(),
    words=st.sampled_from(("", "llama", "python")),
    tree=st.booleans(),
)
def test_any_order_of_any_processes(
    table: list[ProcessRow],
    parents: dict[int, int],
    column: object,
    falling: bool,
    words: str,
    tree: bool,
) -> None:
    assert isinstance(column, type(COLUMNS[0]))
    family = {pid: LocalProcess("p", parent, host_process(pid)) for pid, parent in parents.items()}
    order = Order(column.title, falling, words, tree)
    shown = order.arrange(table, family, {}, NOW)
    plain = {replace(row, branch="") for row in shown}
    matching = {row for row in table if shows(row, words, NOW)}
    assert matching <= plain
    if not tree:
        assert plain == matching


def test_a_chain_of_thousands_is_no_trouble() -> None:
    table = [ProcessRow(pid, "p", host=host_process(pid)) for pid in range(1, 5000)]
    shown = as_tree(table, {pid: pid - 1 for pid in range(1, 5000)})
    assert [row.pid for row in shown] == list(range(1, 5000))


def test_branches() -> None:
    table = [ProcessRow(pid, "p", host=host_process(pid)) for pid in (1, 2, 3, 4, 5)]
    table.append(ProcessRow(2, "p", identity(0), host=host_process(2)))
    table.append(ProcessRow(9, "", identity(0)))
    shown = as_tree(table, {2: 1, 3: 2, 4: 1, 9: 1})
    assert [(row.pid, row.branch) for row in shown] == [
        (1, ""),
        (2, "├─ "),
        (2, "│  "),
        (3, "│  └─ "),
        (4, "└─ "),
        (5, ""),
        (9, ""),  # foreign: no child of the pid 1 here
    ]


@given(width=st.integers(30, 250))
def test_columns_fit_and_the_least_important_go_first(width: int) -> None:
    shown = fitting_columns(width)
    titles = [column.title for column in shown]
    assert {"GPU", "PID", "GPU memory", "command"} <= set(titles)
    assert titles == [column.title for column in COLUMNS if column.title in titles]
    used = sum(column.width + GAP for column in shown) - GAP + COMMAND_LEAST
    left_out = [column for column in COLUMNS if column.title not in titles]
    assert used <= width or max(column.rank for column in shown) == 0
    if left_out:
        assert min(column.rank for column in left_out) >= max(column.rank for column in shown)
    if width >= 77:
        assert {"SM %", "CPU %"} <= set(titles), "80 columns stay useful"
    if width >= 118:
        assert len(fitting_columns(width, {"instance"})) == len(COLUMNS) - 1


def test_rows_of_all_gpus_and_of_one() -> None:
    mine = GpuProcess(7, "llama-server", 5, host=host_process(7), utilization_sm=3.0)
    large = GpuProcess(8, "python", GIB, host=host_process(8, user=""))
    foreign = GpuProcess(7, "", None)
    gpus = (gpu_sample(0, processes=(mine, large)), gpu_sample(1, processes=(foreign,)))
    shown = rows_of(Snapshot("nvml", NOW, gpus), {7: "deepseek"})
    assert [(row.pid, row.gpu and row.gpu.index, row.instance) for row in shown] == [
        (8, 0, ""),
        (7, 0, "deepseek"),
        (7, 1, ""),  # a foreign process is no instance, whatever its pid is here
    ]
    texts = {column.title: column.text(shown[2], NOW) for column in COLUMNS}
    assert texts["command"] == "not visible here: it ended, or is another container's"
    assert {texts[title] for title in ("user", "CPU %", "host memory", "age")} == {UNKNOWN}
    assert len(rows_of(Snapshot("nvml", NOW, gpus), {}, gpus[1].identity.uuid)) == 1
    recorded = rows_of(Snapshot("recorded", NOW, gpus), {7: "deepseek"})
    assert [row.instance for row in recorded] == ["", "", ""]
    assert recorded[2].command == "not in the recording"
    assert replace(recorded[2], name="python").command == "python"


def test_relatives_have_no_gpu_and_come_once() -> None:
    on_gpu = ProcessRow(7, "a", identity(0), host=host_process(7))
    foreign = ProcessRow(9, "", identity(0))
    family = {
        pid: LocalProcess(f"p{pid}", parent, host_process(pid))
        for pid, parent in ((1, 0), (2, 1), (7, 2), (8, 7), (9, 1))
    }
    shown = with_relatives((on_gpu, foreign), family, {8: "deepseek"})
    assert shown[:2] == (on_gpu, foreign)
    assert [(row.pid, row.name, row.gpu, row.instance) for row in shown[2:]] == [
        (1, "p1", None, ""),
        (2, "p2", None, ""),
        (8, "p8", None, "deepseek"),
    ]
    texts = {column.title: column.text(shown[2], NOW) for column in COLUMNS}
    assert (texts["GPU"], texts["GPU memory"], texts["SM %"], texts["type"]) == ("", "", "", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, UNKNOWN), (-3, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min")),
        *((3600, "1 h 00"), (47.9 * 3600, "47 h 54"), (48 * 3600, "2 d 00 h")),
        (9e7, "1041 d 16 h"),
    ],
)
def test_ages(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


def test_choosing_a_column_again_turns_it_round() -> None:
    order = Order()
    order.choose("CPU %")
    assert (order.column, order.falling) == ("CPU %", True), "the largest first"
    order.choose("CPU %")
    assert not order.falling
    order.choose("user")
    assert (order.column, order.falling) == ("user", False)
    assert set(COLUMNS_BY_TITLE) == {column.title for column in COLUMNS}
