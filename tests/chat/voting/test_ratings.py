"""Bradley-Terry: what must hold of every fit, and strengths that are known."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputui.chat.voting.ratings import MEAN, Scores, interval_of_share

Result = tuple[str, str, float]
RESULTS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.sampled_from([0.0, 0.5, 1.0])
    ),
    max_size=40,
)


def scores(results: Sequence[Result]) -> Scores[str]:
    found: Scores[str] = Scores()
    for first, second, share in results:
        found.add(first, second, share)
    return found


@settings(deadline=None)
@given(results=RESULTS, seed=st.integers(0, 99))
def test_the_order_of_votes_means_nothing(results: list[Result], seed: int) -> None:
    shuffled = results.copy()
    random.Random(seed).shuffle(shuffled)  # noqa: S311  no secret
    assert scores(results).ratings() == scores(shuffled).ratings()


@settings(deadline=None)
@given(results=RESULTS)
def test_who_sits_on_which_side_means_nothing(results: list[Result]) -> None:
    swapped = [(second, first, 1 - share) for first, second, share in results]
    assert scores(results).ratings() == scores(swapped).ratings()


@settings(deadline=None)
@given(results=RESULTS)
def test_turned_results_are_mirrored_around_the_mean(results: list[Result]) -> None:
    turned = scores([(first, second, 1 - share) for first, second, share in results]).ratings()
    for player, rating in scores(results).ratings().items():
        assert rating.value - MEAN == pytest.approx(MEAN - turned[player].value, abs=1e-5)
        assert rating.high - rating.low == pytest.approx(turned[player].high - turned[player].low)


@settings(deadline=None)
@given(results=RESULTS)
def test_each_group_has_its_mean_and_finite_intervals_around_each_rating(
    results: list[Result],
) -> None:
    ratings = scores(results).ratings()
    for group in {rating.group for rating in ratings.values()}:
        members = [rating for rating in ratings.values() if rating.group == group]
        assert len(members) > 1
        assert sum(one.value for one in members) / len(members) == pytest.approx(MEAN)
        for one in members:
            assert -1e5 < one.low < one.value < one.high < 1e5


@settings(deadline=None)
@given(results=RESULTS, pair=st.permutations("abcdef"))
def test_a_further_win_never_lowers_the_winner_nor_raises_the_loser(
    results: list[Result], pair: list[str]
) -> None:
    winner, loser = pair[:2]
    before = scores([*results, (winner, loser, 0.5)]).ratings()
    after = scores([*results, (winner, loser, 0.5), (winner, loser, 1.0)]).ratings()
    assert after[winner].value >= before[winner].value - 1e-6
    assert after[loser].value <= before[loser].value + 1e-6


@settings(deadline=None)
@given(results=RESULTS)
def test_equal_results_give_equal_ratings(results: list[Result]) -> None:
    """Each result once more with other names, which played each other even."""
    twins = [(first.upper(), second.upper(), share) for first, second, share in results]
    ratings = scores([*results, *twins, ("a", "A", 0.5)]).ratings()
    for player, rating in ratings.items():
        assert rating.value == pytest.approx(ratings[player.swapcase()].value, abs=1e-5)


def test_two_models_have_the_distance_that_their_odds_say() -> None:
    found: Scores[str] = Scores()
    found.add("a", "b", 10 / 11, times=11_000)
    ratings = found.ratings()
    assert ratings["a"].value - ratings["b"].value == pytest.approx(400, abs=0.5)
    error = (
        400 / math.log(10) / math.sqrt(11_000 * 10 / 121) / 2
    )  # of half a difference of log odds
    assert ratings["a"].high - ratings["a"].value == pytest.approx(1.96 * error, rel=0.01)


def test_who_won_all_is_rated_finitely_with_an_interval_that_says_how_little_is_known() -> None:
    few, many = scores([("a", "b", 1.0)] * 3).ratings(), scores([("a", "b", 1.0)] * 300).ratings()
    assert MEAN < few["a"].value < many["a"].value < 2000
    assert few["a"].high - few["a"].low > 300
    assert many["a"].low > MEAN, "300 of 300 leave no doubt"
    one = scores([("a", "b", 1.0)]).ratings()["a"]
    assert one.low < MEAN < one.high, "one win does"


def test_who_was_never_compared_is_in_a_group_of_its_own() -> None:
    ratings = scores([("a", "b", 1.0), ("c", "b", 0.5), ("x", "y", 1.0), ("z", "z", 1.0)]).ratings()
    assert {player: rating.group for player, rating in ratings.items()} == {
        "a": 0, "b": 0, "c": 0, "x": 1, "y": 1,
    }  # fmt: skip


STRENGTHS = {"a": 1180.0, "b": 1060.0, "c": 1000.0, "d": 940.0, "e": 820.0}


def simulated(seed: int, votes: int) -> Scores[str]:
    chance = random.Random(seed)  # noqa: S311  no secret
    found: Scores[str] = Scores()
    for _ in range(votes):
        first, second = chance.sample(sorted(STRENGTHS), 2)
        wins = 1 / (1 + 10 ** ((STRENGTHS[second] - STRENGTHS[first]) / 400))
        found.add(first, second, float(chance.random() < wins))
    return found


def test_known_strengths_lie_in_their_interval_as_often_as_it_says() -> None:
    """Of 500 intervals of 95 % so many hold the truth (± 4 standard deviations of that count)."""
    within = sum(
        rating.low <= STRENGTHS[player] <= rating.high
        for seed in range(100)
        for player, rating in simulated(seed, 200).ratings().items()
    )
    assert 0.91 * 500 <= within <= 0.99 * 500


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_many_votes_come_close_to_the_strengths(seed: int) -> None:
    for player, rating in simulated(seed, 5000).ratings().items():
        error = (rating.high - rating.value) / 1.96
        assert abs(rating.value - STRENGTHS[player]) < 7 * error
        assert error < 12


def test_wilson_s_interval() -> None:
    assert interval_of_share(0, 0) == (0.0, 1.0)
    assert interval_of_share(5, 10) == pytest.approx(
        (0.2366, 0.7634), abs=1e-4
    )  # Newcombe 1998's method 3
    assert interval_of_share(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
