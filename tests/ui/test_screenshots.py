"""The README's pictures are what the dashboard draws today."""

from __future__ import annotations

import html
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "screenshots"
AGAIN = (
    "If the dashboard was meant to change: python screenshots/make.py, and look at the pictures."
)

Part = tuple[float, float, str, str]
"""Of a picture: a text or a rectangle by y, x, its style, and its words or size."""


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_screenshots", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


make = _load()


def parts(svg: str) -> list[Part]:
    """All that an SVG of a terminal shows: words and colours with their places, not how it says so."""
    styles = dict(re.findall(r"\.terminal-\d+-(r\d+) \{ (.*?) \}", svg))
    found: list[Part] = []
    for attributes, words in re.findall(r"<text ([^>]*)>([^<]*)</text>", svg):
        values = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
        style = styles.get(values.get("class", "").rpartition("-")[2], "")
        found.append((float(values["y"]), float(values["x"]), style, html.unescape(words)))
    for attributes in re.findall(r"<rect ([^>]*)/>", svg):
        values = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
        place = float(values.get("y", 0)), float(values.get("x", 0))
        found.append((*place, values.get("fill", ""), f"{values['width']}×{values['height']}"))
    return sorted(found)


@pytest.mark.parametrize("name", make.PICTURES)
async def test_the_picture_is_what_is_drawn_today(name: str) -> None:
    kept = (FOLDER / name).read_text(encoding="utf-8")
    drawn = await make.draw(make.PICTURES[name])
    before, now = parts(kept), parts(drawn)
    assert len(now) > 50
    difference = next(((a, b) for a, b in zip(before, now, strict=False) if a != b), None)
    assert difference is None, f"{name} differs, first: {difference}. {AGAIN}"
    assert len(before) == len(now), f"{name} holds more or less than is drawn. {AGAIN}"


@pytest.mark.parametrize("name", make.PICTURES)
def test_a_picture_fetches_nothing_and_names_no_host(name: str) -> None:
    svg = (FOLDER / name).read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?:/+([^/\s<\"]+)", svg))
    assert hosts <= {"www.w3.org"} | {host for host in hosts if host.startswith("127.0.0.1:")}
    assert "@font-face" not in svg


def test_the_recording_is_small() -> None:
    assert make.TRACE.stat().st_size < 60_000
