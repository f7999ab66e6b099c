"""``llama-fit-params``: what llama.cpp itself says that a model will take, where it is installed.

``llama-fit-params --fit-print on`` (tools/fit-params, common/fit.cpp: common_fit_print) sets a server up
without memory and prints a line a device, ``CUDA0 MODEL CONTEXT COMPUTE`` in MiB, and one for ``Host``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gputui.models.memory import Share
from gputui.text import clean_line

PROGRAM = "llama-fit-params"
_SECONDS = 20.0
_MEBI = float(1 << 20)

_LINE = re.compile(r"^(\S+) (\d{1,9}) (\d{1,9}) (\d{1,9}) ?$")

_VALUES = re.compile(
    r"-(m|c|b|ub|ctk|ctv|fa|ngl|sm|ts|mg|dev|ncmoe|ot)"
    r"|--(model|ctx-size|batch-size|ubatch-size|cache-type-[kv]|flash-attn|(n-)?gpu-layers|split-mode"
    r"|tensor-split|main-gpu|device|n-cpu-moe|override-tensor)"
)
_SWITCHES = re.compile(r"-nkvo|-cmoe|-kvu|--(no-kv-offload|swa-full|no-mmap|cpu-moe|kv-unified)")


@dataclass(frozen=True, slots=True)
class Measured:
    """What it said: a share a device in its order, by the device's name, and the host's."""

    devices: tuple[tuple[str, Share], ...]
    host: Share


def beside(server: Path) -> Path | None:
    """The program beside a llama-server, also where that is a link; None where there is none."""
    for folder in (server.parent, server.resolve().parent):
        if (program := folder / PROGRAM).is_file():
            return program
    return None


def ask(program: Path, argv: Sequence[str], environment: Mapping[str, str]) -> Measured | str:
    """What a server started with ``argv`` would take, or in words why that was not to be had.

    ``environment`` pins it to GPUs as it does the server. Blocks up to 20 s.
    """
    command = [str(program), *_known(argv), "--fit-print", "on"]
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{PROGRAM} gave no answer in {_SECONDS:.0f} s"
    except OSError as error:
        return f"{PROGRAM} cannot be run: {error.strerror or error}"
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return f"{PROGRAM} failed: {clean_line(said[-1], 120) if said else done.returncode}"
    return parse(done.stdout.decode(errors="replace")) or f"{PROGRAM} answered something else"


def parse(text: str) -> Measured | None:
    """Its answer as values, None where it is something else."""
    shares: dict[str, Share] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        model, context, compute = (int(number) * _MEBI for number in match.groups()[1:])
        shares[match[1]] = Share(weights=model, cache=context, compute=compute)
    host = shares.pop("Host", None)
    return None if host is None else Measured(tuple(shares.items()), host)


def _known(argv: Sequence[str]) -> list[str]:
    """The arguments that it takes as well; those of the server alone would be an error."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        flag, joined, _ = word.partition("=")
        if _VALUES.fullmatch(flag):
            kept += [word] if joined else [word, next(words, "")]
        elif _SWITCHES.fullmatch(word):
            kept.append(word)
    return kept
