"""The numbers and the settings of an answer, each on a line in words."""

from __future__ import annotations

from dataclasses import fields

from gputui.chat.model import STOPPED, Answer, Figure, Sampling
from gputui.text import number, seconds


def figures_line(answer: Answer) -> str:
    """The numbers of an answer on one line, each with who measured it; first whether it was stopped."""
    numbers = answer.measurement
    parts = [
        STOPPED if answer.finish_reason == STOPPED else "",
        _figure(numbers.generation_tokens_per_second, "tok/s", 1),
        _figure(numbers.prompt_tokens_per_second, "tok/s prompt", 1),
        f"TTFT {seconds(numbers.ttft_seconds)} (client)",
        f"TTFO {seconds(numbers.ttfo_seconds)} (client)" if answer.reasoning else "",
        _figure(numbers.completion_tokens, "tokens"),
        _figure(numbers.reasoning_tokens, "of them reasoning") if answer.reasoning else "",
        _figure(numbers.prompt_tokens, "tokens prompt"),
        f"{seconds(numbers.elapsed_seconds)} in all",
    ]
    return " · ".join(part for part in parts if part)


def settings_line(answer: Answer) -> str:
    """The sampling parameters that an answer was asked with, and those that the server would not take.

    The system prompt is none of them.
    """
    if answer.settings is None:
        return "not known"
    sampling = answer.settings.sampling
    given = ((one.name, getattr(sampling, one.name)) for one in fields(Sampling))
    parts = [f"{name} {_plain(value)}" for name, value in given if value is not None]
    if answer.left_out:
        parts.append(f"refused by the server, so left out: {', '.join(answer.left_out)}")
    return " · ".join(parts) or "the server's defaults"


def _figure(figure: Figure | None, unit: str, digits: int = 0) -> str:
    return f"{number(figure.value, digits)} {unit} ({figure.origin})" if figure else ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
