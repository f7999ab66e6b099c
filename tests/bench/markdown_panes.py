"""What the chat is held against: two streams into two of Textual's own Markdown widgets, token by token.

    python -m tests.bench.markdown_panes URL-A URL-B

A prompt below; enter asks both. It does nothing else, and keeps nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys

import httpx
from textual.app import App, ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Markdown


class Panes(App[None]):
    """Two panes that scroll with what comes."""

    CSS = "VerticalScroll { border: round $primary; } Input { dock: bottom; }"

    def __init__(self, urls: tuple[str, ...]) -> None:
        super().__init__()
        self._urls = urls

    def compose(self) -> ComposeResult:
        with Horizontal():
            for _ in self._urls:
                with VerticalScroll():
                    yield Markdown()
        yield Input(placeholder="prompt")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        for pane in self.query(VerticalScroll):
            pane.anchor()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.input.clear()
        for url, sink in zip(self._urls, self.query(Markdown), strict=True):
            self.run_worker(self._answer(url, sink))

    async def _answer(self, url: str, sink: Markdown) -> None:
        stream = Markdown.get_stream(sink)
        body = {"messages": [{"role": "user", "content": "go"}], "stream": True}
        async with (
            httpx.AsyncClient(timeout=None, trust_env=False) as client,  # noqa: S113
            client.stream("POST", f"{url}/chat/completions", json=body) as response,
        ):
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                choices = json.loads(line.removeprefix("data: "))["choices"]
                if text := choices[0]["delta"].get("content"):
                    await stream.write(text)
                    await asyncio.sleep(0)
        await stream.stop()


if __name__ == "__main__":
    Panes(tuple(sys.argv[1:])).run()
