"""How the sides are asked: what each is sent, and in what two of them are asked differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace

from gputui.chat.asking.parameters import PARAMETERS, WITHOUT_EFFECT, defaults_for, shown
from gputui.chat.model import Answer, Endpoint, Sampling, Settings
from gputui.config import ChatConfig, SamplingTable
from gputui.config.tables import Order

NAMES = tuple(one.name for one in fields(Sampling))


def sent(endpoint: Endpoint | None, own: Settings, common: Settings, seed: int | None) -> Settings:
    """What a side's server is sent: its own settings, over those of both, over the defaults.

    ``seed`` is used where nobody chose one.
    """
    defaults = Settings(sampling=replace(defaults_for(endpoint), seed=seed))
    chosen = own.over(common).over(defaults)
    return replace(chosen, system=chosen.system or None)


def settings_of(table: SamplingTable) -> Settings:
    """A table of the file as settings."""
    sampling = Sampling(**{name: getattr(table, name) for name in NAMES})
    return Settings(table.system, sampling)


def at_once_of(order: Order) -> int | None:
    """How many sides answer at a time, as a conversation has it."""
    return 1 if order == "one" else None


def followed(settings: Settings, before: ChatConfig, now: ChatConfig) -> Settings:
    """The settings of both once the file is another: what it changed holds, what the user set stays."""
    old, new = settings_of(before), settings_of(now)
    changed = {
        name: value
        for name in NAMES
        if (value := getattr(new.sampling, name)) != getattr(old.sampling, name)
    }
    return Settings(
        settings.system if old.system == new.system else new.system,
        replace(settings.sampling, **changed),
    )


def own_words(
    name: str,
    settings: Mapping[str, Settings],
    endpoints: Mapping[str, Endpoint | None],
    common: Settings,
) -> tuple[str, ...]:
    """In what a side is asked otherwise than both: ``temperature 0.2``, ``without top_k, min_p``.

    ``settings`` are the sides' own, ``endpoints`` whom they ask.
    """
    mine = sent(endpoints[name], settings[name], common, None)
    base = sent(endpoints[name], Settings(), common, None)
    others = [
        sent(endpoint, settings[other], common, None)
        for other, endpoint in endpoints.items()
        if other != name and endpoint is not None
    ]
    words = [
        f"{one} {shown(value)}"
        for one in NAMES
        if (value := getattr(mine.sampling, one)) != getattr(base.sampling, one)
    ]
    lacking = list(_lacking(mine.sampling, [other.sampling for other in others]))
    if mine.system != base.system:
        words.insert(0, "own system prompt" if mine.system else "no system prompt")
    return (*words, *_without(lacking))


def asked_otherwise(mine: Answer, others: Sequence[Answer]) -> tuple[str, ...]:
    """In what an answer was asked otherwise than the others to the same prompt; () where in nothing.

    What its server would not take counts as not sent.
    """
    if mine.settings is None:
        return ()
    known = [other for other in others if other.settings is not None]
    own = _taken(mine)
    theirs = [_taken(other) for other in known]
    words = [
        "another seed" if name == "seed" else f"{name} {shown(value)}"
        for name in NAMES
        if (value := getattr(own, name)) is not None
        and any(getattr(other, name) not in (None, value) for other in theirs)
    ]
    systems = {other.settings.system or "" for other in known if other.settings is not None}
    if systems - {mine.settings.system or ""}:
        words.insert(0, "another system prompt" if mine.settings.system else "no system prompt")
    return (*words, *_without(list(_lacking(own, theirs))))


def _taken(answer: Answer) -> Sampling:
    sampling = answer.settings.sampling if answer.settings else Sampling()
    refused: dict[str, None] = dict.fromkeys(name for name in answer.left_out if name in PARAMETERS)
    return replace(sampling, **refused)


def _lacking(mine: Sampling, others: Sequence[Sampling]) -> Iterator[str]:
    for name in NAMES:
        nothing = (None, WITHOUT_EFFECT.get(name))
        if getattr(mine, name) is None and any(getattr(o, name) not in nothing for o in others):
            yield name


def _without(names: Sequence[str]) -> tuple[str, ...]:
    return (f"without {', '.join(names)}",) if names else ()
