"""One turn of one side: a single widget, Markdown when it is finished, plain text while it grows."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from gputui.chat.model import Answer, Measurement, Origin
from gputui.text import UNKNOWN, number, seconds
from gputui.ui.palette import Look

LIVE_CHARACTERS = 20_000
"""Of an answer that still grows, at most this much of its end is laid out: a screen holds far less."""


ORIGINS: tuple[Origin, ...] = ("server", "client")


def figures(measurement: Measurement) -> str:
    """The numbers of an answer in one line, the server's first, then ours.

    tg and pp as llama-bench names them: generation and prompt processing in tokens per second;
    tokens of the prompt + of the answer; then TTFT and the time from sending to now or to the end.
    """
    tokens, prompt = measurement.completion_tokens, measurement.prompt_tokens
    said: list[str] = []
    for origin in ORIGINS:
        parts = [_speeds(measurement, origin)]
        if tokens and tokens.origin == origin:
            before = f"{number(prompt.value)}+" if prompt and prompt.origin == origin else ""
            parts.append(f"{before}{number(tokens.value)} tok")
        if origin == "client":
            parts.insert(0, f"TTFT {seconds(measurement.ttft_seconds)}")
            parts.append(seconds(measurement.elapsed_seconds))
        if any(parts):
            said.append(f"{origin}: {' · '.join(part for part in parts if part)}")
    return " | ".join(said)


def _speeds(measurement: Measurement, origin: Origin) -> str:
    figures = {
        "tg": measurement.generation_tokens_per_second,
        "pp": measurement.prompt_tokens_per_second,
    }
    known = [f"{k} {number(f.value, 1)}" for k, f in figures.items() if f and f.origin == origin]
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

    def __init__(self) -> None:
        super().__init__("", markup=False, classes="live")

    def update_answer(self, prompt: str, answer: Answer) -> None:
        """Show the prompt and what has come so far."""
        thinking = f"thinking …\n{answer.reasoning[-LIVE_CHARACTERS:]}" if answer.reasoning else ""
        text = answer.text.lstrip()[-LIVE_CHARACTERS:] or thinking
        self.update(Content.assemble((f"› {_shown(prompt)}\n\n", "dim"), text))


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

        palette, answer = self._look.palette, self._answer
        parts: list[RenderableType] = [
            Text(f"› {_shown(self._prompt)}", style=palette.dim),
            Text(""),
        ]
        parts += self._reasoning()
        if answer.text:
            # Links stay plain text: an OSC 8 hyperlink of a model's choosing is not for the terminal.
            theme = (
                "ansi_dark" if palette.theme.ansi else "monokai" if palette.theme.dark else "xcode"
            )
            parts.append(Markdown(_shown(answer.text), code_theme=theme, hyperlinks=False))
        if answer.error:
            parts.append(
                Text(
                    f"✗ {answer.error}" if not self._look.ascii_only else f"! {answer.error}",
                    style=palette.error,
                )
            )
            if answer.hint:
                parts.append(Text(answer.hint, style=palette.value))
        elif answer.finish_reason == "stopped":
            parts.append(
                Text(
                    "■ stopped by you" if not self._look.ascii_only else "# stopped by you",
                    style=palette.warning,
                )
            )
        elif answer.finish_reason == "length":
            parts.append(Text("cut off: the token limit was reached", style=palette.warning))
        parts.append(Text(figures(answer.measurement), style=palette.dim))
        return Group(*parts)

    def _reasoning(self) -> list[RenderableType]:
        if not self._answer.reasoning:
            return []
        palette = self._look.palette
        words = len(self._answer.reasoning.split())
        mark = (
            ("v" if self.unfolded else ">")
            if self._look.ascii_only
            else ("▾" if self.unfolded else "▸")
        )
        spent = _thinking_time(self._answer.measurement)
        fold: list[RenderableType] = [
            Text(f"{mark} reasoning, {words} words, {spent} (e unfolds)", style=palette.dim)
        ]
        if self.unfolded:
            fold.append(Text(_shown(self._answer.reasoning), style=palette.dim))
        return [*fold, Text("")]


def _thinking_time(measurement: Measurement) -> str:
    if measurement.ttfo_seconds is None or measurement.ttft_seconds is None:
        return UNKNOWN
    return seconds(measurement.ttfo_seconds - measurement.ttft_seconds)
