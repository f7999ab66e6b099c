"""Model files found: split ones as one, links once, hostile names left out, within bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gputui.demo.parts import Parts
from gputui.models.catalogue import facts_of, find, folders_of, usual_folders


def put(path: Path, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF" + bytes(size - 4))
    return path


def test_a_split_model_is_one_and_says_what_is_missing(tmp_path: Path) -> None:
    for number in (1, 3):
        put(tmp_path / f"big-Q4_K_M-0000{number}-of-00003.gguf", 100)
    put(tmp_path / "sub" / "mmproj-F16.gguf")
    put(tmp_path / "notes.txt")
    found = {one.path.name: one for one in find([tmp_path]).files}
    assert set(found) == {"big-Q4_K_M-00001-of-00003.gguf", "mmproj-F16.gguf"}
    big = found["big-Q4_K_M-00001-of-00003.gguf"]
    assert (big.bytes, big.parts, big.missing) == (200, 3, 1)
    assert found["mmproj-F16.gguf"].is_projector


def test_links_as_the_hub_makes_them_are_found_once(tmp_path: Path) -> None:
    blob = put(tmp_path / "models--x" / "blobs" / "abc")
    for snapshot in ("one", "two"):
        link = tmp_path / "models--x" / "snapshots" / snapshot / "x.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)
    (tmp_path / "gone.gguf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [one.path.name for one in find([tmp_path]).files] == ["x.gguf"]


def test_names_that_no_configuration_can_hold_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / "good [red].gguf")
    put(tmp_path / "bad\x1b[31m.gguf")
    put(tmp_path / "line\nfeed.gguf")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf")).write_bytes(b"GGUF")
    found = find([tmp_path])
    assert [one.path.name for one in found.files] == ["good [red].gguf"]
    assert found.left_out.startswith("3 left out")


def test_it_ends_within_its_bounds(tmp_path: Path) -> None:
    for number in range(30):
        put(tmp_path / f"{number}.gguf")
    found = find([tmp_path], most_files=10)
    assert len(found.files) == 10
    assert found.left_out
    assert find([tmp_path], seconds=-1).files == ()
    assert find([tmp_path / "none"]).files == ()
    put(tmp_path / "a" / "b" / "deep.gguf")
    assert all(one.path.name != "deep.gguf" for one in find([tmp_path], depth=1).files)


def test_folders_of_configured_models_are_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert {tmp_path / "cache", tmp_path / "hf" / "hub"} <= set(usual_folders())
    models = [str(tmp_path / "mine" / "m.gguf"), str(tmp_path / "cache" / "m.gguf"), "~/x/m.gguf"]
    assert folders_of(models) == (tmp_path / "mine", Path("~/x").expanduser())


@pytest.mark.real
def test_facts_of_real_models(demo_parts: Parts) -> None:
    facts = facts_of(demo_parts.smollm2)
    assert (facts.architecture, facts.quantization, facts.problem) == ("llama", "Q4_1", "")
    assert facts.parameters is not None
    assert 130e6 < facts.parameters < 170e6
    assert facts.context


def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    assert facts_of(put(tmp_path / "x.gguf")).problem
    assert facts_of(tmp_path / "none.gguf").problem
