"""The model files of this machine: found in the usual folders, within bounds of number and time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gputui.errors import GputuiError
from gputui.models.files import files_of
from gputui.models.gguf import read_header

DEPTH = 6
"""Folders below a usual one that are looked into: the hub's cache has files five deep."""

_USUAL = ("~/models", "/models", "~/.cache/llama.cpp", "~/.cache/huggingface/hub")
_MOST_FILES = 50_000
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model, or projector of pictures. ``path`` is its first file, ``bytes`` the size of all its
    ``parts`` that are there; ``missing`` counts those that are not. ``modified`` is Unix time."""

    path: Path
    bytes: int
    modified: float
    parts: int = 1
    missing: int = 0

    @property
    def is_projector(self) -> bool:
        """Whether it is what lets a model see, by its name: nothing to be served by itself."""
        return "mmproj" in self.path.name.lower()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What was found, the newest first. ``left_out`` says in words what was not looked at, "" for nothing."""

    files: tuple[ModelFile, ...]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a header says, cleaned; None or "" where it does not. ``problem``: why it cannot be used."""

    architecture: str = ""
    parameters: int | None = None
    quantization: str = ""
    context: int | None = None
    problem: str = ""


def usual_folders() -> tuple[Path, ...]:
    """Where models lie on most machines, and where the variables of llama.cpp and the hub say."""
    hub = os.environ.get("HF_HUB_CACHE") or _below(os.environ.get("HF_HOME"), "hub")
    named = (os.environ.get("LLAMA_CACHE"), hub)
    return _distinct(Path(folder).expanduser() for folder in (*_USUAL, *named) if folder)


def folders_of(models: Iterable[str]) -> tuple[Path, ...]:
    """The folders of configured models that lie outside the usual ones."""
    usual = usual_folders()
    found = (Path(os.path.abspath(os.path.expanduser(model))).parent for model in models)  # noqa: PTH100, PTH111
    return _distinct(f for f in found if not any(f.is_relative_to(folder) for folder in usual))


def find(
    folders: Sequence[Path],
    depth: int = DEPTH,
    *,
    most_files: int = _MOST_FILES,
    seconds: float = _SECONDS,
) -> Catalogue:
    """The models in and below ``folders``; a split one is one. Blocks, for ``seconds`` at most.

    Files whose name no configuration can hold (control characters, no UTF-8) are left out. A file that
    several links lead to is there once.
    """
    end = time.monotonic() + seconds
    found: dict[tuple[int, int], ModelFile] = {}
    seen = unusable = 0
    for folder in folders:
        for path in _walk(folder, depth):
            seen += 1
            if seen > most_files or time.monotonic() > end:
                return Catalogue(_newest(found), "not all folders were looked through")
            if not path.name.endswith(".gguf"):
                continue
            if not str(path).isprintable():
                unusable += 1
            elif one := _model_file(path):
                found.setdefault(one[0], one[1])
    words = f"{unusable} left out: no configuration can hold their names" if unusable else ""
    return Catalogue(_newest(found), words)


def facts_of(path: Path) -> ModelFacts:
    """What a model's header says. Blocks for some milliseconds a part; never raises."""
    try:
        header = read_header(path)
    except GputuiError as error:
        return ModelFacts(problem=error.message)
    return ModelFacts(
        header.architecture, header.parameters, header.quantization, header.context_length
    )


def _walk(root: Path, depth: int) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        if len(Path(folder).relative_to(root).parts) >= depth:
            folders.clear()
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _model_file(path: Path) -> tuple[tuple[int, int], ModelFile] | None:
    """The file at ``path`` with what makes it the same as another; None for a later part, or none at all."""
    parts = files_of(path)
    if parts[0] != path:
        return None
    sizes: list[int] = []
    try:
        facts = path.stat()
        if not path.is_file():
            return None
    except OSError:
        return None
    for part in parts:
        try:
            sizes.append(part.stat().st_size)
        except OSError:
            continue
    one = ModelFile(path, sum(sizes), facts.st_mtime, len(parts), len(parts) - len(sizes))
    return (facts.st_dev, facts.st_ino), one


def _newest(found: dict[tuple[int, int], ModelFile]) -> tuple[ModelFile, ...]:
    return tuple(sorted(found.values(), key=lambda one: (-one.modified, one.path)))


def _distinct(folders: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(folders))


def _below(folder: str | None, name: str) -> str | None:
    return str(Path(folder, name)) if folder else None
