"""What ``gputui fit`` prints: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gputui.cli.tables import Column, Line, grid
from gputui.identity import GpuIdentity
from gputui.instances.fit.reckoning import Fit, FitRow
from gputui.models.gguf import Header
from gputui.models.memory import Share
from gputui.models.options import ServerOptions
from gputui.models.search import Quantization
from gputui.text import UNKNOWN, gibibytes, size

_PARTS: tuple[tuple[str, str], ...] = (
    ("weights", "weights"),
    ("cache", "KV cache"),
    ("recurrent", "state"),
    ("compute", "compute"),
    ("projector", "projector"),
    ("overhead", "driver"),
)
"""The parts of a share, and their headings."""

_RANKS = {"weights": 2, "cache": 2, "overhead": 4}
"""What goes last where the terminal is narrow."""


@dataclass(frozen=True, slots=True)
class Place:
    """The GPUs that were asked about (() for the CPU), and what came of it. None: not known.

    ``nothing_fits``: not even with all layers on the CPU.
    """

    gpus: tuple[GpuIdentity, ...]
    fit: Fit
    options: ServerOptions
    largest_context: int | None
    most_layers: int | None
    quantizations: tuple[Quantization, ...]
    cannot_run: str = ""
    nothing_fits: bool = False

    @property
    def name(self) -> str:
        """``GPU 0``, ``GPU 0 + 1``, ``CPU``."""
        if not self.gpus:
            return "CPU"
        return "GPU " + " + ".join(str(gpu.index) for gpu in self.gpus)


@dataclass(frozen=True, slots=True)
class Report:
    """All that is printed. ``trouble`` says why no GPU is known, "" where some are or none is wanted."""

    header: Header
    places: Sequence[Place]
    simulated: bool = False
    trouble: str = ""


def lines(report: Report, width: int) -> list[Line]:
    """The tables, ``width`` cells wide at most."""
    every: list[Line] = [*_head(report)]
    every += [[], *_memory(report.places, width)]
    known = [place for place in report.places if place.fit.fits is not None]
    if known:
        every += [[], *_would_fit(known, report.header, width), []]
        every += _quantizations(known, report.header, width)
    notes = _notes(report)
    return every + ([[], *notes] if notes else [])


def _head(report: Report) -> list[Line]:
    header = report.header
    trained = header.context_length
    facts = [
        header.architecture or "architecture unknown",
        f"{_count(header.parameters)} parameters",
        size(header.file_bytes)
        + (f" in {len(header.files)} files" if len(header.files) > 1 else ""),
        f"trained for {trained} tokens" if trained else "training context unknown",
    ]
    title: Line = [(f"{header.name}  {header.quantization}".rstrip(), "strong")]
    place = report.places[0]
    options = place.options
    context = place.fit.context
    asked = [
        f"context {context}" if context else "",
        f"{options.slots} slots" + (" in one pool" if options.one_pool else ""),
        f"cache {options.cache_type_k}/{options.cache_type_v}",
        f"micro-batch {options.ubatch}",
    ]
    return [
        title,
        [("  ·  ".join(facts), "")],
        [("  ·  ".join(word for word in asked if word), "dim")],
    ]


def _memory(places: Sequence[Place], width: int) -> list[Line]:
    """What it takes: for each place a line a GPU, and one for the host."""
    rows = [row for place in places for row in place.fit.rows]
    reasons: list[Line] = [
        [(f"{place.name}: {place.fit.reason}", "warning")] for place in places if not place.fit.rows
    ]
    if not rows:
        return reasons
    unit, divisor = _unit(rows)
    shown = [part for part in _PARTS if any(getattr(row.needed, part[0]) for row in rows)]
    columns: list[Column[FitRow]] = [
        Column(unit, 0, lambda row: row.name, left=True, least=12, role=_hue(places)),
        *(Column(heading, _RANKS.get(name, 3), _part(name, divisor)) for name, heading in shown),
        Column("needed", 0, lambda row: _amount(row.needed.total, divisor), role=_strong),
        Column("free", 1, lambda row: _amount(row.free, divisor)),
        Column("", 0, lambda row: _verdict(row, unit, divisor), left=True, role=_verdict_role),
    ]
    table = grid(columns, rows, width)
    every: list[Line] = [table.heading]
    lines = iter(table.lines)
    for number, place in enumerate(places):
        every += [[]] if number and len(places) > 1 else []
        every += [next(lines) for _ in place.fit.rows]
    return [*every, [], *reasons, [(_source(places), "dim")]]


def _strong(_row: FitRow) -> str:
    return "strong"


def _part(name: str, divisor: float) -> Callable[[FitRow], str]:
    return lambda row: (
        _amount(getattr(row.needed, name), divisor) if getattr(row.needed, name) else "·"
    )


def _hue(places: Sequence[Place]) -> Callable[[FitRow], str]:
    hues = {gpu.uuid: f"gpu{gpu.index}" for place in places for gpu in place.gpus}
    return lambda row: hues.get(row.uuid or "", "")


def _verdict(row: FitRow, unit: str, divisor: float) -> str:
    if row.free is None or row.missing is None:
        return "free memory not known"
    if row.missing:
        return f"✗ {_amount(row.missing, divisor)} {unit} too much"
    return "✓ fits"


def _verdict_role(row: FitRow) -> str:
    return "warning" if row.missing or row.missing is None else ""


def _source(places: Sequence[Place]) -> str:
    """Who says so: a margin of error is part of the answer."""
    if all(place.fit.source == "estimate" for place in places):
        return "An estimate from the file's header. A GPU keeps 256 MiB free."
    return "As llama-fit-params beside the server says; the driver's share is an estimate."


def _would_fit(places: Sequence[Place], header: Header, width: int) -> list[Line]:
    trained = header.context_length
    layers = (header.block_count or 0) + 1

    def context(place: Place) -> str:
        longest = place.largest_context
        if not longest:
            return "none"
        return (
            f"{longest} (all it was trained for)"
            if trained and longest >= trained
            else str(longest)
        )

    def on_gpus(place: Place) -> str:
        if place.most_layers is None:
            return UNKNOWN if place.gpus else "no GPU"
        if place.nothing_fits and not place.most_layers:
            return "not even 0"
        return f"{place.most_layers} of {layers}" if place.most_layers < layers else f"all {layers}"

    columns: list[Column[Place]] = [
        Column("what would fit", 0, lambda place: place.name, left=True),
        Column("largest context", 0, context, left=True),
        Column("layers (-ngl)", 0, on_gpus, left=True),
        Column("as asked", 1, _as_asked, left=True, role=_asked_role),
    ]
    table = grid(columns, places, width)
    return [table.heading, *table.lines]


def _as_asked(place: Place) -> str:
    fit = place.fit
    if fit.fits:
        return "✓ fits"
    if fit.lowers == "context":
        return "✗ llama-server will lower the context"
    if fit.lowers == "layers":
        return "✗ llama-server will leave layers to the CPU"
    return "✗ it will not start" if fit.fails else "✗ slow: the file is read again and again"


def _asked_role(place: Place) -> str:
    return "" if place.fit.fits else "warning"


def _quantizations(places: Sequence[Place], header: Header, width: int) -> list[Line]:
    """The same model in other quantizations, and where each fits."""
    rows = places[0].quantizations
    fitting = {
        row.name: [place for place in places if place.quantizations[number].fits]
        for number, row in enumerate(rows)
    }
    unit, divisor = _scale(max((row.total for row in rows), default=0.0))

    def where(row: Quantization) -> str:
        names = [place.name for place in fitting[row.name]]
        if not names:
            return "✗ nowhere here" if len(places) > 1 else "✗ too much"
        return "✓ " + (", ".join(names) if len(places) > 1 else "fits")

    columns: list[Column[Quantization]] = [
        Column("same model as", 0, lambda row: row.name, left=True, role=_this(header)),
        Column("bits/weight", 2, lambda row: f"{row.bits:.2f}"),
        Column(f"weights {unit}", 1, lambda row: _amount(row.weights, divisor)),
        Column("total", 0, lambda row: _amount(row.total, divisor)),
        *_contexts(rows),
        Column(
            "as asked", 0, where, left=True, role=lambda row: "" if fitting[row.name] else "warning"
        ),
    ]
    table = grid(columns, rows, width)
    return [table.heading, *table.lines]


def _contexts(rows: Sequence[Quantization]) -> list[Column[Quantization]]:
    if not any(row.largest_context for row in rows):
        return []
    return [Column("largest context", 0, lambda row: str(row.largest_context or "none"))]


def _this(header: Header) -> Callable[[Quantization], str]:
    return lambda row: "strong" if row.name == header.quantization else ""


def _notes(report: Report) -> list[Line]:
    notes = dict.fromkeys(warning for place in report.places for warning in place.fit.warnings)
    notes |= dict.fromkeys(place.cannot_run for place in report.places if place.cannot_run)
    for place in report.places:
        for row in place.fit.rows:
            if row.missing and row.holders:
                held = ", ".join(f"{name} {size(used)}" for name, used in row.holders)
                notes[f"{row.name} is held by {held}"] = None
    if report.simulated:
        notes["the GPUs are simulated: no server can use them"] = None
    if report.trouble:
        notes[f"no GPU is known: {report.trouble}"] = None
    return [[("▲ " + note, "warning")] for note in notes]


def _unit(rows: Sequence[FitRow]) -> tuple[str, float]:
    return _scale(max(row.needed.total for row in rows))


def _scale(largest: float) -> tuple[str, float]:
    return ("GiB", 2**30) if largest >= 2**30 else ("MiB", 2**20)


def _amount(value: float | None, divisor: float) -> str:
    if value is None:
        return UNKNOWN
    return gibibytes(value, 2) if divisor == 2**30 else f"{value / divisor:.1f}"


def _count(number: int) -> str:
    """A number of parameters as people write it: ``32.8 B``, ``135 M``."""
    if number >= 1e9:
        return f"{number / 1e9:.1f} B"
    return f"{number / 1e6:.0f} M"


def report_json(report: Report) -> dict[str, Any]:
    """Units are in the names; null is not known, and ``reason`` says why."""
    header = report.header
    return {
        "model": {
            "name": header.name,
            "architecture": header.architecture or None,
            "quantization": header.quantization or None,
            "parameters": header.parameters,
            "files": [str(file) for file in header.files],
            "file_bytes": header.file_bytes,
            "tensor_bytes": header.tensor_bytes,
            "context_length_tokens": header.context_length,
            "block_count": header.block_count,
        },
        "simulated": report.simulated,
        "no_gpu_reason": report.trouble or None,
        "places": [_place_json(place) for place in report.places],
    }


def _place_json(place: Place) -> dict[str, Any]:
    fit = place.fit
    return {
        "gpus": [gpu.uuid for gpu in place.gpus],
        "fits": fit.fits,
        "reason": fit.reason or (None if fit.fits else fit.words),
        "source": fit.source,
        "lowered_by_server": fit.lowers or None,
        "context_tokens": fit.context,
        "gpu_layers": fit.gpu_layers,
        "layers": fit.layers,
        "largest_context_tokens": place.largest_context,
        "most_gpu_layers": place.most_layers,
        "memory": [
            {"name": row.name, "uuid": row.uuid, **_share_json(row.needed)}
            | {"free_bytes": _whole(row.free), "missing_bytes": _whole(row.missing)}
            for row in fit.rows
        ],
        "quantizations": [
            {
                "name": one.name,
                "bits_per_weight": one.bits,
                "weights_bytes": _whole(one.weights),
                "needed_bytes": _whole(one.total),
                "fits": one.fits,
                "largest_context_tokens": one.largest_context,
            }
            for one in place.quantizations
        ],
        "warnings": [*fit.warnings, *([place.cannot_run] if place.cannot_run else [])],
    }


def _share_json(share: Share) -> dict[str, int | None]:
    parts = {f"{name}_bytes": _whole(getattr(share, name)) for name, _ in _PARTS}
    return parts | {"needed_bytes": _whole(share.total)}


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
