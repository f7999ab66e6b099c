"""Instances changed in the user's file: what is meant happens, and nothing else does."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.config import edit
from gputui.config.toml_text import Kind, Span, kinds, split_lines, tables, written
from gputui.errors import ConfigError, GputuiError

FILE = '''\
# My rig.
interval = 1.0   # as usual

[power]
psu_watts = 2000

# The big one, on the PRO 6000.
[[instances]]
name = 'deepseek'          # single quotes are mine
model = "/models/deepseek.gguf"
port = 8080
args = [
    "--flash-attn", "on",  # faster
    "--chat-template", """
[[instances]]
# not a comment
""",
]
# ctx_size = 8192
[instances.targets]
ttft_seconds = 2  # at most

[[instances]]
  name = "coder"
  model = "/models/coder.gguf"
  port = 8081
  targets.generation_tokens_per_second = 30

[[layouts]]
name = "pair"
instances = ["deepseek", "coder"]  # both

# The end.
'''


def lines_kept(before: str, after: str) -> list[str]:
    """The lines of ``before`` that are not in ``after``, taken in order."""
    rest = iter(split_lines(after))
    return [line for line in split_lines(before) if not any(line == other for other in rest)]


def only_changed(before: str, after: str, *changed: str) -> None:
    """All lines of ``before`` but those that contain one of ``changed`` survive, in order."""
    gone = [line for line in split_lines(before) if not any(word in line for word in changed)]
    rest = split_lines(after)
    at = 0
    for line in gone:
        assert line in rest[at:], f"{line!r} is gone"
        at = rest.index(line, at) + 1


def test_lines_within_strings_and_arrays_are_no_headers() -> None:
    of_line = dict(zip(split_lines(FILE), kinds(FILE), strict=True))
    assert of_line["# not a comment\n"] is Kind.MORE
    assert of_line['    "--flash-attn", "on",  # faster\n'] is Kind.MORE
    assert [table.names for table in tables(FILE, "instances")] == [("", "targets"), ("",)]


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), inner)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_a_value_is_read_as_it_was_written(value: object) -> None:
    text = written(value)
    assert "\n" not in text
    assert tomllib.loads(f"key = {text}")["key"] == value


def test_what_tomlkit_cannot_change_is_refused_in_words() -> None:
    scattered = (
        "[[instances]]\nname = 'a'\nmodel = 'm'\ntargets.ttft_seconds = 2\n"
        "port = 1\ntargets.generation_tokens_per_second = 2\n"
    )
    with pytest.raises(edit.CannotEditError, match="cannot change without touching more"):
        edit.change(scattered, "a", {"targets": {"ttft_seconds": 3}})


def test_a_value_is_changed_in_its_place_and_its_comment_stays() -> None:
    after = edit.change(FILE, "deepseek", {"port": 9000, "ctx_size": 4096})
    only_changed(FILE, after, "port = 8080")
    assert "port = 9000\n" in after
    added = after.index("ctx_size = 4096")
    assert after.index("# ctx_size = 8192") < added < after.index("[instances.targets]")
    assert edit.change(FILE, "deepseek", {"port": 8080}) == FILE, "what is so already is left alone"


def test_targets_are_changed_where_they_stand() -> None:
    after = edit.change(FILE, "deepseek", {"targets": {"ttft_seconds": 3.0}})
    assert "ttft_seconds = 3.0  # at most\n" in after
    only_changed(FILE, after, "ttft_seconds")
    after = edit.change(FILE, "coder", {"targets": {"ttft_seconds": 3.0}})
    assert tomllib.loads(after)["instances"][1]["targets"] == {"ttft_seconds": 3.0}


def test_a_new_instance_stands_behind_the_last_one() -> None:
    values = {"name": "new", "model": "/m.gguf", "port": 8082, "targets": {"ttft_seconds": 1.0}}
    after = edit.add(FILE, values)
    only_changed(FILE, after)
    assert after.index('"coder"') < after.index('name = "new"') < after.index("[[layouts]]")
    assert '\n\n[[instances]]\nname = "new"' in after
    assert edit.add("", {"name": "a", "model": "m", "port": 1}).startswith("[[instances]]\n")


def test_a_copy_stands_behind_its_original_with_all_its_parts() -> None:
    after = edit.duplicate(FILE, "deepseek", {"name": "again", "port": 8090, "key": None})
    only_changed(FILE, after)
    one, two, _ = tomllib.loads(after)["instances"]
    assert two == {**one, "name": "again", "port": 8090}
    assert after.count("# faster") == 2


def test_what_is_removed_takes_its_comment_along_and_no_other() -> None:
    after = edit.remove(FILE, "deepseek")
    assert "The big one" not in after
    assert "# The end." in after
    assert "# My rig." in after
    assert tomllib.loads(after)["layouts"] == [{"name": "pair", "instances": ["coder"]}]
    assert '["coder"]  # both' in after
    last = edit.remove(after, "coder")
    assert "layouts" not in last, "a layout of nothing is no layout"
    assert "# The end." in last


def test_comments_behind_the_last_instance_are_not_its_own() -> None:
    text = '[[instances]]\nname = "a"\nmodel = "m"\nport = 1\n# mine\n\n# Not mine.\n# Nor this.\n'
    assert edit.remove(text, "a").strip() == "# Not mine.\n# Nor this."


def test_a_new_name_is_used_wherever_the_old_one_was() -> None:
    text = FILE + '\n[[alerts]]\nname = "slow"\ninstances = ["coder"]\n'
    after = edit.change(text, "coder", {"name": "qwen"})
    data = tomllib.loads(after)
    assert data["layouts"][0]["instances"] == ["deepseek", "qwen"]
    assert data["alerts"][0]["instances"] == ["qwen"]
    only_changed(text, after, '"coder"')


def test_sub_tables_that_stand_elsewhere_stay_with_their_instance() -> None:
    text = (
        '[[instances]]\nname = "a"\nmodel = "m"\nport = 1\n\n[power]\npsu_watts = 1\n\n'
        "[instances.targets]\nttft_seconds = 1\n"
    )
    after = edit.add(text, {"name": "b", "model": "m", "port": 2})
    first, second = tomllib.loads(after)["instances"]
    assert "targets" in first
    assert "targets" not in second
    assert edit.remove(text, "a").split() == ["[power]", "psu_watts", "=", "1"]


def test_inline_tables_are_changed_where_they_stand() -> None:
    text = (
        '# top\ninstances = [\n  {name = "a", model = "m", port = 1},  # first\n'
        '  {name = "b", model = "m", port = 2},\n]\n\n[power]  # mine\npsu_watts = 1\n'
    )
    after = edit.change(text, "a", {"port": 7})
    assert '{name = "a", model = "m", port = 7},  # first\n' in after
    only_changed(text, after, "port = 1")
    after = edit.add(after, {"name": "c", "model": "m", "port": 3, "targets": {"ttft_seconds": 1}})
    after = edit.remove(after, "a")
    assert [one["name"] for one in tomllib.loads(after)["instances"]] == ["b", "c"]
    assert "[power]  # mine\npsu_watts = 1\n" in after


def test_line_ends_of_windows_stay() -> None:
    text = FILE.replace("\n", "\r\n")
    for after in (
        edit.change(text, "deepseek", {"port": 9000, "ctx_size": 1}),
        edit.add(text, {"name": "n", "model": "m", "port": 1}),
        edit.duplicate(text, "coder", {"name": "n"}),
        edit.remove(text, "coder"),
    ):
        assert "\n" not in after.replace("\r\n", "")


def test_nothing_that_is_not_valid_comes_out() -> None:
    with pytest.raises(ConfigError, match="port"):
        edit.check(edit.change(FILE, "coder", {"port": 99999}), Path("config.toml"))
    with pytest.raises(GputuiError, match="no instance is named"):
        edit.change(FILE, "nobody", {"port": 1})
    with pytest.raises(ConfigError, match="not valid TOML"):
        edit.add("[[instances]\n", {"name": "a", "model": "m", "port": 1})


# ── any file, any edits ──────────────────────────────────────────────────────────────────────────

names = st.sampled_from(["a", "b", "c", "d", "e"])
comments = st.sampled_from(
    ["# one\n", "#\n", "\n", "# [[instances]]\n", "\n# apart\n\n", "  # indented\n", "\n\n", ""]
)
paths = st.sampled_from(['"/m.gguf"', "'/m.gguf'", '"""/m\n[x]"""', "'''\n#m'''", '"/ü \\" # m"'])
targets = st.sampled_from(
    [
        "",
        "targets.ttft_seconds = 1.0\n",
        "targets = {ttft_seconds = 1.0} # t\n",
        "\n# of targets\n[instances.targets]\nttft_seconds = 1.0 # t\n",
        '[ instances . "targets" ]\n\n',
    ]
)
values = st.fixed_dictionaries(
    {},
    optional={
        "port": st.integers(1, 9),
        "ctx_size": st.one_of(st.none(), st.integers(0, 9)),
        "n_gpu_layers": st.sampled_from([None, "all", 3]),
        "args": st.sampled_from([None, ["--x"], ["a b", 'c"\n[d]'], []]),
        "gpus": st.lists(st.sampled_from(["0", "RTX 5090"]), max_size=2),
        "group": st.sampled_from([None, "g", "h"]),
        "targets": st.sampled_from([{"ttft_seconds": 2.0}, {}]),
    },
)


@st.composite
def instance(draw: st.DrawFn, name: str) -> str:
    parts = [
        f'name = "{name}" # n\n',
        f"model = {draw(paths)}\n",
        "port = 1\n",
        draw(st.sampled_from(["", 'group = "g"\n'])),
        draw(st.sampled_from(["", "args = []\n", 'args = [ # x\n  "--a",\n  # y\n  "]",\n]\n'])),
    ]
    indent = draw(st.sampled_from(["", "  "]))
    body = "".join(indent + part + draw(st.sampled_from(["", "# mid\n", "\n"])) for part in parts)
    header = draw(st.sampled_from(["[[instances]]\n", '[[ "instances" ]] # h\n']))
    return header + body + draw(targets)


@st.composite
def files(draw: st.DrawFn) -> str:
    used = draw(st.lists(names, unique=True, max_size=4))
    tables = [draw(instance(name)) for name in used]
    if used:
        tables.append(f'[[layouts]]\nname = "l"\ninstances = {draw(subset(used))} # them\n')
        tables.append(f'[[alerts]]\nname = "x"\ninstances = {draw(subset(used))}\n')
    tables += draw(st.sampled_from([[], ["[power]\npsu_watts = 1 # w\n"]]))
    text = "interval = 1 # top\n" + "".join(
        part for table in draw(st.permutations(tables)) for part in (draw(comments), table)
    )
    text += draw(comments)
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def subset(used: list[str]) -> st.SearchStrategy[str]:
    chosen = st.lists(st.sampled_from(used), unique=True, min_size=1)
    return chosen.map(lambda some: "[" + ", ".join(f'"{name}"' for name in some) + "]")


edits = st.lists(
    st.tuples(st.sampled_from(["add", "change", "duplicate", "remove", "rename"]), names, values),
    max_size=4,
)


@settings(deadline=None, max_examples=120)
@given(files(), edits)
def test_any_edits_do_what_they_say_and_leave_all_else(
    text: str, todo: list[tuple[str, str, dict[str, Any]]]
) -> None:
    for number, (action, name, changes) in enumerate(todo):
        before, data = text, tomllib.loads(text)
        present = [one["name"] for one in data.get("instances", ())]
        new = f"new{number}"
        if action == "add":
            text = edit.add(text, {"name": new, "model": "m", "port": 1, **changes})
            touched: set[str] = set()
        elif name not in present:
            continue
        elif action == "change":
            text = edit.change(text, name, changes)
            touched = {name}
        elif action == "rename":
            text = edit.change(text, name, {"name": new})
            touched = {name, "layouts", "alerts"}
        elif action == "duplicate":
            text = edit.duplicate(text, name, {"name": new, **changes})
            touched = set()
        else:
            text = edit.remove(text, name)
            touched = {name, "layouts", "alerts"}
        expect = MODEL[action](copy.deepcopy(data), name, new, changes)
        assert tidy(tomllib.loads(text)) == tidy(expect)
        untouched = lines_outside(before, touched)
        rest = split_lines(text)
        at = 0
        for line in untouched:
            whole = [one for one in rest[at:] if one.rstrip("\r\n") == line.rstrip("\r\n")]
            assert whole, f"{line!r} is gone from {text!r}"
            at = next(n for n in range(at, len(rest)) if rest[n] == whole[0]) + 1


def lines_outside(text: str, touched: set[str]) -> list[str]:
    """The lines with words on them that are of none of the touched tables."""
    lines = split_lines(text)
    for kind in ("instances", "layouts", "alerts"):
        data = tomllib.loads(text).get(kind, ())
        for table, found in zip(data, tables(text, kind), strict=True):
            if kind in touched or (kind == "instances" and table["name"] in touched):
                spans = [found.lead, *found.parts]
                if kind == "instances" and "layouts" in touched:  # it may be removed
                    spans = [*spans, *(_between(found.parts))]
                for begin, end in [(span.begin, span.end) for span in spans]:
                    lines[begin:end] = [""] * (end - begin)
    return [line for line in lines if line.strip()]


def _between(parts: tuple[Any, ...]) -> list[Any]:
    """What stands between a table and its sub-table goes with them, if it is comments alone."""
    return [Span(one.end, two.begin) for one, two in pairwise(parts)]


def tidy(data: dict[str, Any]) -> dict[str, Any]:
    instances = [
        {key: value for key, value in one.items() if (key, value) != ("targets", {})}
        for one in data.get("instances", ())
    ]
    return {key: value for key, value in {**data, "instances": instances}.items() if value != []}


def _found(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in data["instances"] if one["name"] == name)


def _put(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in {**table, **changes}.items() if v is not None}


def _model_add(data: Any, name: str, new: str, changes: Any) -> Any:
    table = _put({"name": new, "model": "m", "port": 1}, changes)
    return {**data, "instances": [*data.get("instances", ()), table]}


def _model_change(data: Any, name: str, new: str, changes: Any) -> Any:
    some = [_put(one, changes) if one["name"] == name else one for one in data["instances"]]
    return {**data, "instances": some}


def _model_duplicate(data: Any, name: str, new: str, changes: Any) -> Any:
    at = data["instances"].index(_found(data, name))
    copied = _put(data["instances"][at], {"name": new, **changes})
    data["instances"].insert(at + 1, copied)
    return data


def _model_rename(data: Any, name: str, new: str, changes: Any) -> Any:
    _found(data, name)["name"] = new
    for kind in ("layouts", "alerts"):
        for table in data.get(kind, ()):
            table["instances"] = [new if one == name else one for one in table["instances"]]
    return data


def _model_remove(data: Any, name: str, new: str, changes: Any) -> Any:
    data["instances"].remove(_found(data, name))
    for kind in ("layouts", "alerts"):
        for table in data.get(kind, ()):
            table["instances"] = [one for one in table["instances"] if one != name]
        data[kind] = [table for table in data.get(kind, ()) if table["instances"]]
    return data


MODEL: dict[str, Callable[[Any, str, str, Any], Any]] = {
    "add": _model_add,
    "change": _model_change,
    "duplicate": _model_duplicate,
    "rename": _model_rename,
    "remove": _model_remove,
}
