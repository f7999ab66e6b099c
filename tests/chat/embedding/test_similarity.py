"""The matrix: symmetric, ones on the diagonal, and nothing that is no number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.chat.embedding.similarity import SHADES, closest, normalised, shades, similarity
from gputui.errors import GputuiError

numbers = st.floats(-1e300, 1e300, allow_nan=False)
vectors = st.integers(1, 8).flatmap(
    lambda size: st.lists(
        st.lists(numbers, min_size=size, max_size=size).filter(lambda one: any(one)),
        min_size=2,
        max_size=6,
    )
)


@given(vectors)
def test_any_vectors_make_a_symmetric_matrix_of_cosines(raw: list[list[float]]) -> None:
    units = [normalised(one, "x") for one in raw]
    matrix = similarity(units)
    for row, line in enumerate(matrix):
        assert line[row] == 1.0
        for column, value in enumerate(line):
            assert -1.0 <= value <= 1.0
            assert value == matrix[column][row]


@given(vectors)
def test_length_and_a_duplicate_do_not_matter(raw: list[list[float]]) -> None:
    units = [normalised(one, "x") for one in [*raw, raw[0]]]
    assert all(math.hypot(*one) == pytest.approx(1.0) for one in units)
    matrix = similarity(units)
    assert matrix[0][-1] == pytest.approx(1.0)
    assert matrix[-1][1] == pytest.approx(matrix[0][1])


@given(vectors)
def test_shades_and_pairs_follow_the_numbers(raw: list[list[float]]) -> None:
    matrix = similarity([normalised(one, "x") for one in raw])
    levels = shades(matrix)
    pairs = closest(matrix, 100)
    assert len(pairs) == len(matrix) * (len(matrix) - 1) // 2
    assert [value for *_, value in pairs] == sorted((v for *_, v in pairs), reverse=True)
    shown = [levels[one][two] for one, two, _ in pairs]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == SHADES - 1
    assert all(row[place] == 0 for place, row in enumerate(levels)), "itself is no pair"
    assert all(one < two for one, two, _ in pairs)


def test_known_angles() -> None:
    matrix = similarity([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert matrix[0] == [1.0, 0.0, -1.0]


@pytest.mark.parametrize("wrong", [[1.0, math.nan], [math.inf, 0.0], [0.0, 0.0]])
def test_what_has_no_direction_is_refused_by_name(wrong: list[float]) -> None:
    with pytest.raises(GputuiError, match="text 3"):
        normalised(wrong, "text 3")


def test_vectors_of_several_dimensions_are_refused() -> None:
    with pytest.raises(GputuiError, match="different dimensions: 2, 3"):
        similarity([[1.0, 0.0], [1.0, 0.0, 0.0]])
