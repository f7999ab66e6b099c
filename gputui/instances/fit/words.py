"""A fit that is none, said to people: the same words on the screen and on the command line."""

from __future__ import annotations

from gputui.instances.fit.reckoning import Fit, FitRow
from gputui.text import size


def explain(fit: Fit) -> tuple[str, ...]:
    """What is missing where, who holds it, what would fit and what will come of a start; a line each."""
    lines: list[str] = []
    for row in fit.rows:
        if row.missing:
            lines += _shortage(row)
    if fit.largest_context and fit.context and fit.largest_context < fit.context:
        lines.append(
            f"{fit.largest_context} tokens of context would fit; {fit.context} are asked for."
        )
    elif fit.largest_context == 0:
        lines.append("No context is small enough to fit.")
    return (*lines, _outcome(fit), *(f"Note: {word}." for word in fit.warnings))


def _shortage(row: FitRow) -> list[str]:
    needed, missing = size(row.needed.total), size(row.missing)
    lines = [f"{row.name}: {needed} needed, {size(row.free)} free, {missing} too little."]
    if row.holders:
        held = ", ".join(f"{name} ({size(used)})" for name, used in row.holders)
        lines.append(f"It is held by {held}.")
    return lines


def _outcome(fit: Fit) -> str:
    if fit.lowers == "context":
        return (
            f"llama-server will lower the context by itself, to {fit.largest_context} tokens or so."
        )
    if fit.lowers == "layers":
        return f"llama-server will leave layers to the CPU, which is slow: {_layers(fit)} fit."
    if fit.fails:
        more = f" {_layers(fit)} would fit (n_gpu_layers)." if fit.most_layers else ""
        return f"It will most likely run out of memory as it loads.{more}"
    return "Its weights do not stay in memory: parts are read from the file again and again, which is slow."


def _layers(fit: Fit) -> str:
    return f"{fit.most_layers} of {fit.layers} layers"
