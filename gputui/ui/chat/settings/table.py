"""The settings as a table: what holds for both, and where a side differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.style import Style

from gputui.chat.asking import choosing
from gputui.chat.asking.parameters import PARAMETERS, WITHOUT_EFFECT, Parameter, defaults_for, shown
from gputui.chat.asking.settings import sent, settings_of
from gputui.chat.conversation import Conversation
from gputui.chat.model import Endpoint, Settings
from gputui.config import Config
from gputui.text import clean_line
from gputui.ui.cells import Line
from gputui.ui.palette import Palette

LABEL = 19
_WIDEST = 30
ROWS = ("preset", "order", "system", *PARAMETERS)
AS_BOTH = "as both"
_HELP = {
    "preset": "a system prompt and parameters by a name; enter chooses, S saves those of both",
    "order": "together, or one after the other: fairer where both share a GPU",
    "system": "what the model is told before all else; none and default can be typed",
}
_UNSET = {
    "seed": "drawn anew",
    "max_tokens": "no limit",
}
_LEFT = "server's own"


@dataclass(frozen=True, slots=True)
class Place:
    """A cell: its row, and its side (None: both)."""

    row: str
    side: str | None


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows. ``kind``: chosen, default (nobody chose), or differs."""

    text: str
    kind: str = "chosen"


def columns(conversation: Conversation) -> tuple[str | None, ...]:
    """Both, and the sides."""
    return (None, *conversation.sides)


def cell(conversation: Conversation, config: Config, place: Place) -> Cell:
    """What stands in a place."""
    if place.row == "preset":
        return _preset(conversation, config, place.side)
    if place.row == "order":
        words = choosing.order_words(conversation) if place.side is None else ""
        return Cell(words, "default" if words == "together" else "chosen")
    if place.row == "system":
        return _system(choosing.settings_for(conversation, place.side), place.side)
    return _parameter(conversation, PARAMETERS[place.row], place.side)


def help_of(row: str) -> str:
    """What a row means."""
    if row in PARAMETERS:
        return f"{PARAMETERS[row].range}; {PARAMETERS[row].words}"
    return _HELP[row]


def lines(
    conversation: Conversation,
    config: Config,
    cursor: Place,
    width: int,
    palette: Palette,
    hue_of: Callable[[str], Style] | None = None,
) -> list[Line]:
    """The table, ``width`` cells wide; ``hue_of`` gives the colour of whoever answers."""
    names = columns(conversation)
    each = min(_WIDEST, max(8, (width - LABEL) // len(names)))
    head = Line().pad_to(LABEL)
    for name in names:
        endpoint = conversation.sides[name].endpoint if name else None
        hue = hue_of(endpoint.name) if hue_of and endpoint else palette.value
        head.cell(_head(conversation, name), each - 1, hue + Style(bold=True), gap=1)
    table = [head]
    styles = _styles(palette)
    for row in ROWS:
        line = Line().cell(
            row, LABEL - 1, palette.value if row == cursor.row else palette.dim, gap=1
        )
        for name in names:
            here = Place(row, name)
            found = cell(conversation, config, here)
            text = f"{found.text} *" if found.kind == "differs" else found.text
            style = styles[found.kind]
            line.cell(
                text, each - 1, style + Style(reverse=True) if here == cursor else style, gap=1
            )
        table.append(line)
        if row == "system":
            table.append(Line())
    return table


def _styles(palette: Palette) -> Mapping[str, Style]:
    return {"chosen": palette.strong, "default": palette.dim, "differs": palette.strong}


def _head(conversation: Conversation, name: str | None) -> str:
    if name is None:
        return "both"
    endpoint = conversation.sides[name].endpoint
    return f"{name}  {endpoint.name}" if endpoint else name


def _preset(conversation: Conversation, config: Config, side: str | None) -> Cell:
    settings = choosing.settings_for(conversation, side)
    if name := choosing.name_of(settings, config.presets):
        return Cell(name, "chosen" if side is None else "differs")
    if side is not None:
        return Cell(AS_BOTH, "default") if settings == Settings() else Cell("own", "differs")
    configured = settings == settings_of(config.chat)
    return Cell("as configured", "default") if configured else Cell("none of them")


def _system(settings: Settings, side: str | None) -> Cell:
    if side is None:
        return (
            Cell(clean_line(settings.system, 200)) if settings.system else Cell("none", "default")
        )
    if settings.system is None:
        return Cell(AS_BOTH, "default")
    return Cell(clean_line(settings.system, 200) or "none", "differs")


def _parameter(conversation: Conversation, parameter: Parameter, side: str | None) -> Cell:
    name = parameter.name
    value = getattr(choosing.settings_for(conversation, side).sampling, name)
    if value is not None:
        return Cell(shown(value), "chosen" if side is None else "differs")
    endpoints = [one.endpoint for one in conversation.sides.values()]
    if side is None:
        return Cell(_default_words(parameter, endpoints), "default")
    # By ``endpoint``: of who is hidden, nothing is said.
    everyone = {
        other: sent(one.endpoint, one.settings, conversation.settings, None).sampling
        for other, one in conversation.sides.items()
    }
    values = {other: getattr(sampling, name) for other, sampling in everyone.items()}
    lacks = values[side] is None and any(
        one not in (None, WITHOUT_EFFECT.get(name)) for one in values.values()
    )
    return Cell("not sent", "differs") if lacks else Cell(AS_BOTH, "default")


def _default_words(parameter: Parameter, endpoints: Sequence[Endpoint | None]) -> str:
    values = [getattr(defaults_for(one), parameter.name) for one in endpoints if one is not None]
    value = next((one for one in values if one is not None), None)
    if value is None:
        return _UNSET.get(parameter.name, _LEFT)
    return f"{shown(value)} (default)"
