"""The numbers of an answer in one line that fits, and the words for its reasoning."""

from __future__ import annotations

from dataclasses import replace

from gputui.chat.model import Figure, Measurement, Origin
from gputui.text import number, seconds
from gputui.ui.cells import cut

ORIGINS: tuple[Origin, ...] = ("server", "client")
_LEFT_OUT_FIRST = ("tokens", "pp", "elapsed", "TTFT")
"""What a line that is too narrow goes without, from the first on; tg, the generation speed, stays."""


def figures(measurement: Measurement, width: int | None = None) -> str:
    """The numbers of an answer in one line, the server's first, then ours.

    tg and pp as llama-bench names them: generation and prompt processing in tokens per second;
    tokens of the prompt + of the answer; then TTFT and the time from sending to now or to the end. Where
    that is wider than ``width``, whole numbers are left out, the most important last, never a part of
    one. A number counts as no narrower than one of the usual length: two answers beside each other are
    told in the same numbers, and none comes and goes as another grows.
    """
    if measurement == Measurement():
        return ""  # nothing was measured, or nothing may be said
    usual = _of_usual_length(measurement)
    for count in range(len(_LEFT_OUT_FIRST) + 1):
        left_out = _LEFT_OUT_FIRST[:count]
        line = _line(measurement, left_out)
        if line and (width is None or max(len(line), len(_line(usual, left_out))) <= width):
            return line
    speed = measurement.generation_tokens_per_second
    times = (
        [f"tg {number(speed.value, 1)} tok/s"]
        if speed
        else [*_first(measurement), *_elapsed(measurement)]
    )
    last = times[0] if times else ""
    return last if width is None else cut(last, width)


def _line(measurement: Measurement, left_out: tuple[str, ...]) -> str:
    said = [_figures_of(measurement, origin, left_out) for origin in ORIGINS]
    return " | ".join(part for part in said if part)


def _of_usual_length(measurement: Measurement) -> Measurement:
    """The same numbers, each as long as most are: ``99.9 tok/s``, ``999 tok``."""

    def as_long(figure: Figure | None, value: float) -> Figure | None:
        return figure and Figure(value, figure.origin)

    return replace(
        measurement,
        ttft_seconds=None if measurement.ttft_seconds is None else 9.9,
        elapsed_seconds=None if measurement.elapsed_seconds is None else 9.9,
        prompt_tokens=as_long(measurement.prompt_tokens, 999),
        completion_tokens=as_long(measurement.completion_tokens, 999),
        prompt_tokens_per_second=as_long(measurement.prompt_tokens_per_second, 999.9),
        generation_tokens_per_second=as_long(measurement.generation_tokens_per_second, 99.9),
    )


def _figures_of(measurement: Measurement, origin: Origin, left_out: tuple[str, ...]) -> str:
    tokens, prompt = measurement.completion_tokens, measurement.prompt_tokens
    parts = [_speeds(measurement, origin, left_out)]
    if tokens and tokens.origin == origin and "tokens" not in left_out:
        before = f"{number(prompt.value)}+" if prompt and prompt.origin == origin else ""
        parts.append(f"{before}{number(tokens.value)} tok")
    if origin == "client":
        parts = [*(_first(measurement) if "TTFT" not in left_out else ()), *parts]
        parts += _elapsed(measurement) if "elapsed" not in left_out else []
    known = " · ".join(part for part in parts if part)
    return f"{origin}: {known}" if known else ""


def _first(measurement: Measurement) -> list[str]:
    """The time to the first token; none where there was no token."""
    first = measurement.ttft_seconds
    return [] if first is None else [f"TTFT {seconds(first)}"]


def _elapsed(measurement: Measurement) -> list[str]:
    elapsed = measurement.elapsed_seconds
    return [] if elapsed is None else [seconds(elapsed)]


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
    """How much an answer was reasoned and how long: ``reasoning 412 tokens, 3.1 s · TTFO 4.1 s``.

    TTFO, the time from sending to the first token that is no reasoning, stands here and not among the
    numbers: only where both sides have the same of these can they be compared.

    Words are counted where no tokens are known, of answers that older versions kept. A count that is not
    the server's is of the pieces that came.
    """
    tokens = measurement.reasoning_tokens
    words = f"reasoning {_amount(tokens, reasoning)}, {seconds(thinking_seconds(measurement))}"
    output = measurement.ttfo_seconds
    return words if output is None else f"{words} · TTFO {seconds(output)}"


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
