"""The numbers of an answer in one line that fits, and the words for its reasoning."""

from __future__ import annotations

from gputui.chat.model import Figure, Measurement, Origin
from gputui.text import number, seconds
from gputui.ui.cells import cut

ORIGINS: tuple[Origin, ...] = ("server", "client")
_LEFT_OUT_FIRST = ("tokens", "pp", "elapsed", "TTFO", "TTFT")
"""What a line that is too narrow goes without, from the first on; tg, the generation speed, stays."""


def figures(measurement: Measurement, width: int | None = None) -> str:
    """The numbers of an answer in one line, the server's first, then ours.

    tg and pp as llama-bench names them: generation and prompt processing in tokens per second;
    tokens of the prompt + of the answer; then TTFT, TTFO where the answer was reasoned, and the time
    from sending to now or to the end. Where that is wider than ``width``, whole numbers are left out,
    the most important last, never a part of one.
    """
    if measurement == Measurement():
        return ""  # nothing was measured, or nothing may be said
    for count in range(len(_LEFT_OUT_FIRST) + 1):
        left_out = _LEFT_OUT_FIRST[:count]
        said = [_figures_of(measurement, origin, left_out) for origin in ORIGINS]
        line = " | ".join(part for part in said if part)
        if line and (width is None or len(line) <= width):
            return line
    speed = measurement.generation_tokens_per_second
    last = (
        f"tg {number(speed.value, 1)} tok/s"
        if speed
        else f"TTFT {seconds(measurement.ttft_seconds)}"
    )
    return last if width is None else cut(last, width)


def _figures_of(measurement: Measurement, origin: Origin, left_out: tuple[str, ...]) -> str:
    tokens, prompt = measurement.completion_tokens, measurement.prompt_tokens
    parts = [_speeds(measurement, origin, left_out)]
    if tokens and tokens.origin == origin and "tokens" not in left_out:
        before = f"{number(prompt.value)}+" if prompt and prompt.origin == origin else ""
        parts.append(f"{before}{number(tokens.value)} tok")
    if origin == "client":
        parts = [*_first(measurement, left_out), *parts]
        parts += [seconds(measurement.elapsed_seconds)] if "elapsed" not in left_out else []
    known = " · ".join(part for part in parts if part)
    return f"{origin}: {known}" if known else ""


def _first(measurement: Measurement, left_out: tuple[str, ...]) -> list[str]:
    """The times to the first token, and to the first that is not reasoning where they differ."""
    times = {"TTFT": measurement.ttft_seconds}
    if measurement.ttfo_seconds not in (None, measurement.ttft_seconds):
        times["TTFO"] = measurement.ttfo_seconds
    return [f"{name} {seconds(at)}" for name, at in times.items() if name not in left_out]


def _speeds(measurement: Measurement, origin: Origin, left_out: tuple[str, ...]) -> str:
    both = {
        "tg": measurement.generation_tokens_per_second,
        "pp": measurement.prompt_tokens_per_second,
    }
    known = [
        f"{k} {number(f.value, 1)}"
        for k, f in both.items()
        if f and f.origin == origin and k not in left_out
    ]
    return f"{' '.join(known)} tok/s" if known else ""


def reasoning_words(measurement: Measurement, reasoning: str) -> str:
    """How much an answer was reasoned and how long: ``reasoning 412 tokens, 3.1 s``.

    Words are counted where no tokens are known, of answers that older versions kept. A count that is not
    the server's is of the pieces that came.
    """
    tokens = measurement.reasoning_tokens
    return f"reasoning {_amount(tokens, reasoning)}, {seconds(thinking_seconds(measurement))}"


def _amount(tokens: Figure | None, reasoning: str) -> str:
    if tokens is None:
        return f"{len(reasoning.split())} words"
    by_us = " (client)" if tokens.origin == "client" else ""
    return f"{number(tokens.value)} token{'' if tokens.value == 1 else 's'}{by_us}"


def thinking_seconds(measurement: Measurement) -> float | None:
    """From the first token to the first that is no reasoning; to now or the end where none is."""
    began = measurement.ttft_seconds
    ended = measurement.ttfo_seconds
    if ended is None:
        ended = measurement.elapsed_seconds
    return None if began is None or ended is None else max(0.0, ended - began)
