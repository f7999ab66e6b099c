"""``gputui demo``: its configuration, its ports, its parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gputui import config as configuration
from gputui.cli.demo import ProgressBar
from gputui.cli.root import group
from gputui.config import state_dir
from gputui.demo.config import INSTANCES, choose_ports, demo_config_path, write_config
from gputui.demo.parts import Parts, Progress, demo_cache
from gputui.gpu.simulated import SIMULATED_GPUS
from tests.instances.conftest import end_all
from tests.support.scripted_server import make_server


def some_parts(tmp_path: Path) -> Parts:
    folder = tmp_path / 'a "quoted" folder\\ü'
    return Parts(folder / "llama-server", folder / "smollm2.gguf", folder / "gemma3.gguf")


def test_the_configuration_is_one_that_gputui_reads(tmp_path: Path) -> None:
    path, parts = tmp_path / "state" / "demo.toml", some_parts(tmp_path)
    write_config(path, parts, {}, lambda _: True)
    config = configuration.load(path)
    assert config.source == "simulated"
    assert config.llama_server == str(parts.llama_server)
    assert [instance.name for instance in config.instances] == list(INSTANCES)
    assert [instance.key for instance in config.instances] == ["1", "2"]
    assert [instance.port for instance in config.instances] == [8080, 8081]
    assert config.instances[0].model == str(parts.smollm2)
    pinned = [configuration.resolve_gpus(i, SIMULATED_GPUS) for i in config.instances]
    assert [len(gpus) for gpus in pinned] == [1, 1]
    assert pinned[0] != pinned[1]
    assert path.stat().st_mode & 0o777 == 0o600


@given(
    taken=st.sets(st.integers(8080, 8090)),
    running=st.dictionaries(st.sampled_from(INSTANCES), st.integers(8080, 8090)).filter(
        lambda ports: len(set(ports.values())) == len(ports)
    ),
)
def test_ports_are_free_or_ones_own_and_never_the_same(
    taken: set[int], running: dict[str, int]
) -> None:
    ports = choose_ports(running, lambda port: port not in taken)
    assert set(ports) == set(INSTANCES)
    assert len(set(ports.values())) == 2
    for name, port in ports.items():
        assert port == running[name] if name in running else port not in taken


def test_the_bar_of_a_terminal_fits_on_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    with ProgressBar() as bar:
        bar.show(Progress("fetching thing", 1 << 20, 4 << 20))
        bar.show(Progress("fetching thing", 4 << 20, 4 << 20))
    lines = capsys.readouterr().err.removesuffix("\n").split("\r\x1b[2K")[1:]
    assert ["25 %" in lines[0], "100 %" in lines[1]] == [True, True]
    assert all(len(line) < 40 for line in lines)


def test_without_a_terminal_each_step_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        for done in range(5):
            bar.show(Progress("fetching thing", done, 5))
        bar.show(Progress("unpacking thing", 5, 5))
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == ["fetching thing", "unpacking thing"]


@pytest.mark.parametrize("arguments", [("--prepare", "--clean"), ("--config", "x.toml")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(group, ["demo", *arguments]).exit_code == 2


def test_clean_deletes_what_was_fetched() -> None:
    demo_cache().mkdir(parents=True)
    (demo_cache() / "part").write_text("x")
    demo_config_path().parent.mkdir(parents=True)
    demo_config_path().write_text("")
    result = CliRunner().invoke(group, ["demo", "--clean"])
    assert result.exit_code == 0
    assert not demo_cache().exists()
    assert not demo_config_path().exists()
    assert "nothing to delete" in CliRunner().invoke(group, ["demo", "--clean"]).stdout


def test_what_runs_already_is_not_started_again(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, model = tmp_path / "demo.toml", tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    server = make_server(tmp_path / "server")
    file.write_text(
        f'[[instances]]\nname = "gemma3"\nmodel = "{model}"\nport = {free_port}\n'
        f'llama_server = "{server}"\n'
    )
    opened: list[tuple[str, ...]] = []
    monkeypatch.setattr("gputui.cli.demo.prepare_demo", lambda: file)
    monkeypatch.setattr(
        "gputui.cli.dashboard.run_dashboard", lambda _, start, demo: opened.append(start)
    )
    try:
        assert CliRunner().invoke(group, ["demo"]).exit_code == 0
        words = ("--config", str(file), "start", "gemma3", "--wait")
        subprocess.run([sys.executable, "-m", "gputui", *words], check=True, timeout=60)
        assert CliRunner().invoke(group, ["demo"]).exit_code == 0
    finally:
        end_all(state_dir())
    assert opened == [("smollm2", "gemma3"), ("smollm2",)]


@pytest.mark.real
def test_prepare_prints_only_the_path_of_a_configuration_that_works(
    demo_parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = demo_parts.llama_server.parents[3]
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    result = CliRunner().invoke(group, ["demo", "--prepare"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{demo_config_path()}\n"
    config = configuration.load(demo_config_path())
    assert config.llama_server == str(demo_parts.llama_server)


@pytest.mark.real
def test_the_real_parts_are_whole(demo_parts: Parts) -> None:
    assert demo_parts.smollm2.read_bytes()[:4] == b"GGUF"
    assert demo_parts.gemma3.read_bytes()[:4] == b"GGUF"
    assert os.access(demo_parts.llama_server, os.X_OK)
    said = subprocess.run(
        [demo_parts.llama_server, "--version"], capture_output=True, text=True, check=True
    )
    assert "version" in said.stderr + said.stdout
    licences = {path.name for path in demo_parts.gemma3.parent.glob("licenses/*")}
    assert "GEMMA_TERMS.html" in licences
