"""``dataclass`` as the standard library has it, made in a third of the time where it is frozen and has slots.

For such a class CPython 3.11 compiles six functions, which takes half a millisecond; ninety of them are
made before the first picture. Here ``__init__`` alone is compiled, the others are the same for all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError
from inspect import get_annotations
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, **options):
        """As ``dataclasses.dataclass``; a class is made faster where nothing about it is special."""

        def made(cls):
            plain = options == {"frozen": True, "slots": True} and _is_plain(cls)
            return _frozen(cls) if plain else dataclasses.dataclass(cls, **options)

        return made if cls is None else made(cls)


_OURS = frozenset(
    ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__getstate__")
)


def _is_plain(cls: type) -> bool:
    """Whether it inherits nothing, writes none of our methods itself, and has ordinary fields alone."""
    if cls.__bases__ != (object,) or not _OURS.isdisjoint(cls.__dict__):
        return False
    for name, kind in get_annotations(cls).items():
        value = cls.__dict__.get(name)
        if "InitVar" in str(kind) or "KW_ONLY" in str(kind):
            return False
        if isinstance(value, dataclasses.Field) and _is_special(value):
            return False
    return True


def _is_special(field: dataclasses.Field[Any]) -> bool:
    """Whether it is one by more than its default, or is left out of what is shown."""
    ordinary = field.init and field.compare and field.hash is None
    return not ordinary or field.kw_only is True


def _frozen(cls: type) -> type:
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    made.__dataclass_params__.frozen = made.__dataclass_params__.eq = True
    fields = dataclasses.fields(made)
    made.__init__ = _initialiser(made)
    made.__repr__ = _shown_as(tuple(field.name for field in fields if field.repr))
    made.__eq__, made.__hash__ = _compared(tuple(field.name for field in fields))
    made.__setattr__, made.__delattr__ = _refused_to_set, _refused_to_delete
    made.__getstate__, made.__setstate__ = _state, _set_state
    kind: type = made
    return kind


def _initialiser(made: Any) -> Callable[..., None]:
    """``__init__``, as the standard library writes it."""
    names: dict[str, object] = {"_set": object.__setattr__, "_missing": MISSING}
    head, body = ["self"], []
    for field in dataclasses.fields(made):
        name, value = field.name, field.name
        if field.default is not MISSING:
            names[f"_default_{name}"] = field.default
            head.append(f"{name}=_default_{name}")
        elif field.default_factory is not MISSING:
            names[f"_make_{name}"] = field.default_factory
            head.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        else:
            head.append(name)
        body.append(f"_set(self, {name!r}, {value})")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    lines = "\n ".join(body or ["pass"])
    exec(f"def __init__({', '.join(head)}):\n {lines}", names)  # noqa: S102  names of a class's fields
    initialise: Any = names["__init__"]
    initialise.__qualname__ = f"{made.__qualname__}.__init__"
    return initialise  # type: ignore[no-any-return]


def _shown_as(names: tuple[str, ...]) -> Callable[[object], str]:
    def __repr__(self: object) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({values})"

    return __repr__


def _compared(
    names: tuple[str, ...],
) -> tuple[Callable[[object, object], bool], Callable[[object], int]]:
    values: Callable[[Any], object] = (
        attrgetter(*names)
        if len(names) > 1
        else lambda self: tuple(getattr(self, n) for n in names)
    )

    def __eq__(self: object, other: object) -> bool:
        return (
            values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented
        )

    def __hash__(self: object) -> int:
        return hash(values(self))

    return __eq__, __hash__


def _refused_to_set(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refused_to_delete(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[object]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
