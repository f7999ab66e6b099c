"""``gputui fit``, and what ``gputui start`` does with what does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instances.conftest import end_all
from tests.support.command_line import run_here
from tests.support.gguf_files import llama, write_gguf
from tests.support.ports import new_port
from tests.support.scripted_server import make_server


class Place:
    """A model of 32.8 billion parameters, two simulated GPUs, and the command line on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = write_gguf(folder / "qwen-32b.Q4_K_M.gguf", *llama())
        self.config = folder / "config.toml"
        self.config.write_text('source = "simulated"\n')

    def run(self, *words: str, code: int = 0, width: int = 120) -> str:
        variables = {"GPUTUI_STATE": str(self.folder / "state"), "COLUMNS": str(width)}
        ended = run_here("--config", str(self.config), *words, environment=variables)
        assert "Traceback" not in ended.err
        assert ended.code == code, ended
        return ended.out + ended.err


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)
    end_all(tmp_path / "state")


def test_every_gpu_and_all_together(place: Place) -> None:
    text = place.run("fit", str(place.model), "--ctx", "32768")
    assert "A model of a test  Q4_K_M" in text
    assert "32.8 B parameters" in text
    assert len(re.findall(r"GPU \d RTX .*fits", text)) == 4, "each alone, and both as one"
    assert re.search(r"GPU 0 \+ 1 +131072 \(all it was trained for\) +all 65", text)
    assert re.search(r"Q8_0 +8\.50 .*GPU 0, GPU 0 \+ 1", text)
    assert "An estimate" in text
    assert "simulated" in text


def test_one_gpu_with_a_context_that_is_too_long(place: Place) -> None:
    text = place.run("fit", str(place.model), "--gpu", "5090", width=80)
    assert re.search(r"GPU 1 RTX 5090 .* ✗ 1\d\.\d\d GiB too much", text)
    assert re.search(r"GPU 1 +5\d{4} +\d\d of 65", text)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"Q4_K_M .* 5\d{4} +✗", text), "the context that each leaves room for"


def test_json_has_units_in_its_names(place: Place) -> None:
    words = (
        "--gpu",
        "5090",
        "--ctx",
        "8192",
        "--cache-type-k",
        "q8_0",
        "--parallel",
        "2",
        "-ngl",
        "10",
    )
    answer = json.loads(place.run("fit", str(place.model), *words, "--json"))
    assert answer["model"]["parameters"] > 32e9
    (one,) = answer["places"]
    assert (one["fits"], one["reason"], one["source"]) == (True, None, "estimate")
    assert (one["gpu_layers"], one["layers"], one["context_tokens"]) == (10, 65, 8192)
    gpu, host = one["memory"]
    assert host["uuid"] is None
    assert gpu["needed_bytes"] == sum(
        gpu[f"{part}_bytes"]
        for part in ("weights", "cache", "recurrent", "compute", "projector", "overhead")
    )
    assert one["largest_context_tokens"] % 256 == 0
    assert {q["name"] for q in one["quantizations"]} >= {"Q8_0", "Q4_K_M", "IQ2_XXS"}


def test_a_configured_instance_by_its_name(place: Place) -> None:
    with place.config.open("a") as file:
        file.write(
            f'[[instances]]\nname = "coder"\nmodel = "{place.model}"\nport = {new_port()}\n'
            'gpus = ["PRO"]\nctx_size = 4096\n'
        )
    text = place.run("fit", "coder")
    assert "context 4096" in text
    assert "GPU 0 RTX PRO 6000" in text
    assert "GPU 1" not in text
    assert 'Did you mean "coder"?' in place.run("fit", "codr", code=1)


def test_what_no_split_can_hold_is_said(place: Place) -> None:
    text = place.run("fit", str(place.model), "--gpu", "5090", "--ctx", "99999999")
    assert "not even 0" in text
    assert re.search(r"weights GiB +total", text)


def test_a_file_that_is_not_there_is_no_instance(place: Place) -> None:
    text = place.run("fit", "/nonexistent", code=1)
    assert "/nonexistent: no such file" in text
    assert "[[instances]]" not in text


def test_what_is_wrong_is_said(place: Place) -> None:
    assert "no such file" in place.run("fit", str(place.folder / "none.gguf"), code=1)
    (place.folder / "text.gguf").write_text("hello")
    assert "is not a GGUF" in place.run("fit", str(place.folder / "text.gguf"), code=1)
    assert "names no GPU" in place.run("fit", str(place.model), "--gpu", "4090", code=1)
    assert "neither a number" in place.run("fit", str(place.model), "-ngl", "x", code=2)


def test_a_start_that_will_fail_is_refused_unless_forced(place: Place) -> None:
    """Simulated GPUs hold nothing, so it is the host's memory that does not do."""
    server = make_server(place.folder / "bin")
    with place.config.open("a") as file:
        file.write(
            f'[[instances]]\nname = "huge"\nmodel = "{place.model}"\nport = {new_port()}\n'
            f'llama_server = "{server}"\nctx_size = 10000000\n'
        )
    text = place.run("start", "huge", code=1)
    assert "huge will not fit" in text
    assert "add --force" in text
    text = place.run("start", "--force", "--wait", "huge")
    assert "does not fit as configured" in text
    assert "huge: ready" in text
