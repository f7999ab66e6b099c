"""Our ``dataclass`` is the standard library's, in all that can be seen of it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
from dataclasses import FrozenInstanceError, dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui import values


@dataclass(frozen=True, slots=True)
class Theirs:
    """A value."""

    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list)
    d: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError(self.a)

    @property
    def double(self) -> int:
        return 2 * self.a


@values.dataclass(frozen=True, slots=True)
class Ours:
    """A value."""

    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list)
    d: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError(self.a)

    @property
    def double(self) -> int:
        return 2 * self.a


@values.dataclass(frozen=True, slots=True)
class Place:
    x: int
    y: tuple[int, ...] = ()


@values.dataclass(frozen=True, slots=True)
class Alone:
    x: float


@values.dataclass(frozen=True, slots=True)
class Nothing:
    pass


ARGUMENTS = st.fixed_dictionaries(
    {"a": st.integers(0)},
    optional={"b": st.text(), "c": st.lists(st.integers()), "d": st.binary()},
)


@given(ARGUMENTS, ARGUMENTS)
def test_made_shown_and_compared_alike(one: dict[str, object], other: dict[str, object]) -> None:
    theirs, ours = [Theirs(**one), Theirs(**other)], [Ours(**one), Ours(**other)]  # type: ignore[arg-type]
    assert repr(ours[0]) == repr(theirs[0]).replace("Theirs", "Ours")
    assert dataclasses.astuple(ours[0]) == dataclasses.astuple(theirs[0])
    assert dataclasses.asdict(ours[0]) == dataclasses.asdict(theirs[0])
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert ours[0] == Ours(**one)  # type: ignore[arg-type]
    assert ours[0] != theirs[0]
    assert ours[0].double == theirs[0].double
    changed = repr(dataclasses.replace(theirs[0], **other))  # type: ignore[arg-type]
    assert repr(dataclasses.replace(ours[0], **other)) == changed.replace("Theirs", "Ours")  # type: ignore[arg-type]
    pickled = pickle.loads(pickle.dumps(ours[0]))  # noqa: S301  our own
    for again in (copy.copy(ours[0]), copy.deepcopy(ours[0]), pickled):
        assert again == ours[0]


@pytest.mark.parametrize(
    ("positional", "named"),
    [((), {}), ((1, "", [], b"", 5), {}), ((1,), {"e": 1}), ((1,), {"a": 1})],
)
def test_wrong_arguments_are_refused_in_the_same_words(
    positional: tuple[object, ...], named: dict[str, object]
) -> None:
    with pytest.raises(TypeError) as theirs:
        Theirs(*positional, **named)  # type: ignore[arg-type]
    with pytest.raises(TypeError) as ours:
        Ours(*positional, **named)  # type: ignore[arg-type]
    assert str(ours.value) == str(theirs.value).replace("Theirs", "Ours")


def test_what_is_made_cannot_be_changed() -> None:
    one = Place(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    with pytest.raises(FrozenInstanceError):
        one.z = 2  # type: ignore[attr-defined]
    assert not hasattr(one, "__dict__")


def test_hashed_matched_and_described_as_ever() -> None:
    assert {Place(1, (2,)): "here"}[Place(1, (2,))] == "here"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours(1))
    match Place(1, (2,)):
        case Place(x, y):
            assert (x, y) == (1, (2,))
    assert list(inspect.signature(Ours).parameters) == list(inspect.signature(Theirs).parameters)
    assert Ours.__doc__ == "A value."
    assert Nothing() == Nothing()
    assert Alone(math.nan) == Alone(math.nan)
    assert repr(Nothing()) == "Nothing()"
    with pytest.raises(ValueError, match="-1"):
        Ours(-1)


def test_what_is_special_is_left_to_the_standard_library() -> None:
    @values.dataclass(frozen=True, slots=True)
    class Near(Place):
        z: int = 0

    @values.dataclass(eq=False)
    class Open:
        x: int
        hidden: int = field(default=0, init=False)

    @values.dataclass(frozen=True, slots=True)
    class Partly:
        x: int
        note: str = field(default="", compare=False)

    assert Near(1, (), 2) != Near(1, (), 3)
    with pytest.raises(FrozenInstanceError):
        Near(1).z = 4  # type: ignore[misc]
    changed = Open(1)
    changed.x = 2
    assert changed.x == 2
    assert changed != Open(2)
    assert Partly(1, "a") == Partly(1, "b")
