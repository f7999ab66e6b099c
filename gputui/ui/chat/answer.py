"""One turn of one side: a single widget, Markdown when it is finished, plain text while it grows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from gputui.chat.model import Answer, Figure, Measurement, Origin
from gputui.text import UNKNOWN, number, seconds
from gputui.ui.palette import Look

LIVE_CHARACTERS = 20_000
"""Of an answer that still grows, at most this much of its end is laid out: a screen holds far less."""


ORIGINS: tuple[Origin, ...] = ("server", "client")


def figures(measurement: Measurement, width: int | None = None) -> str:
    """The numbers of an answer in one line, the server's first, then ours.

    tg and pp as llama-bench names them: generation and prompt processing in tokens per second;
    tokens of the prompt + of the answer; then TTFT and the time from sending to now or to the end.
    Where that is wider than ``width``, whole numbers are left out, never a part of one.
    """
    if measurement == Measurement():
        return ""  # nothing was measured, or nothing may be said
    for left_out in ((), ("tokens",), ("tokens", "pp")):
        said = [_figures_of(measurement, origin, left_out) for origin in ORIGINS]
        line = " | ".join(part for part in said if part)
        if width is None or len(line) <= width:
            return line
    return f"tg {number(_value(measurement.generation_tokens_per_second), 1)} tok/s"


def _figures_of(measurement: Measurement, origin: Origin, left_out: Sequence[str]) -> str:
    tokens, prompt = measurement.completion_tokens, measurement.prompt_tokens
    parts = [_speeds(measurement, origin, left_out)]
    if tokens and tokens.origin == origin and "tokens" not in left_out:
        before = f"{number(prompt.value)}+" if prompt and prompt.origin == origin else ""
        parts.append(f"{before}{number(tokens.value)} tok")
    if origin == "client":
        parts.insert(0, f"TTFT {seconds(measurement.ttft_seconds)}")
        parts.append(seconds(measurement.elapsed_seconds))
    known = " · ".join(part for part in parts if part)
    return f"{origin}: {known}" if known else ""


def _value(figure: Figure | None) -> float | None:
    return figure.value if figure else None


def _speeds(measurement: Measurement, origin: Origin, left_out: Sequence[str]) -> str:
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


SHOWN_CHARACTERS = 50_000
"""Of a finished text, at most this much of its start is laid out; all of it is kept."""


def _shown(text: str) -> str:
    more = len(text) - SHOWN_CHARACTERS
    return (
        text
        if more <= 0
        else f"{text[:SHOWN_CHARACTERS]}\n\n({more} more characters are kept, not shown)"
    )


class LiveAnswer(Static):
    """The answer that is being written: plain text, its end only."""

    def __init__(self, look: Look) -> None:
        super().__init__("", markup=False, classes="live")
        self._look = look

    def update_answer(self, prompt: str, answer: Answer) -> None:
        """Show the prompt and what has come so far."""
        thinking = f"thinking …\n{answer.reasoning[-LIVE_CHARACTERS:]}" if answer.reasoning else ""
        text = answer.text.lstrip()[-LIVE_CHARACTERS:] or thinking
        look = self._look
        shown = look.text(f"› {_shown(prompt)}\n\n")
        self.update(Content.assemble((shown, "dim"), look.text(text)))


class FinishedAnswer(Static):
    """A finished turn: prompt, folded reasoning, the answer as Markdown, its numbers or its error."""

    def __init__(self, prompt: str, answer: Answer, look: Look) -> None:
        self._prompt = prompt
        self._answer = answer
        self._look = look
        self.unfolded = False
        super().__init__(self._build(), markup=False, classes="turn")

    @property
    def answer(self) -> Answer:
        """What it shows."""
        return self._answer

    def toggle_reasoning(self) -> None:
        """Unfold the reasoning, or fold it again."""
        self.unfolded = not self.unfolded
        self.update(self._build())

    def restyle(self) -> None:
        """Draw again in the theme of now."""
        self.update(self._build())

    def _build(self) -> RenderableType:
        from rich.markdown import (
            Markdown,  # a tenth of the start-up time, and not needed before this
        )

        look, answer = self._look, self._answer
        palette = look.palette
        prompt = Text(look.text(f"› {_shown(self._prompt)}"), style=palette.dim)
        parts: list[RenderableType] = [prompt, Text(""), *self._reasoning()]
        if answer.text:
            # Links stay plain text: an OSC 8 hyperlink of a model's choosing is not for the terminal.
            theme = (
                "ansi_dark" if palette.theme.ansi else "monokai" if palette.theme.dark else "xcode"
            )
            shown = look.text(_shown(answer.text))
            parts.append(Markdown(shown, code_theme=theme, hyperlinks=False))
        parts += [Text(look.text(text), style=style) for text, style in self._endings()]
        return Group(*parts, Text(look.text(figures(answer.measurement)), style=palette.dim))

    def _endings(self) -> list[tuple[str, Style]]:
        """How the answer ended, where that is worth a word."""
        palette, answer = self._look.palette, self._answer
        if answer.error:
            hint = [(answer.hint, palette.value)] if answer.hint else []
            return [(f"✗ {answer.error}", palette.error), *hint]
        if answer.finish_reason == "stopped":
            return [("■ stopped by you", palette.warning)]
        if answer.finish_reason == "length":
            return [("cut off: the token limit was reached", palette.warning)]
        return []

    def _reasoning(self) -> list[RenderableType]:
        if not self._answer.reasoning:
            return []
        look = self._look
        words = len(self._answer.reasoning.split())
        spent = _thinking_time(self._answer.measurement)
        mark = "▾" if self.unfolded else "▸"
        fold = look.text(f"{mark} reasoning, {words} words, {spent} (e unfolds)")
        shown = [look.text(_shown(self._answer.reasoning))] if self.unfolded else []
        return [Text(text, style=look.palette.dim) for text in (fold, *shown, "")]


def _thinking_time(measurement: Measurement) -> str:
    if measurement.ttfo_seconds is None or measurement.ttft_seconds is None:
        return UNKNOWN
    return seconds(measurement.ttfo_seconds - measurement.ttft_seconds)
