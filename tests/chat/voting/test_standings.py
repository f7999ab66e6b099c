"""What votes come to: who counts, who does not, and the JSON that keeps its shape."""

from __future__ import annotations

from collections import Counter

from gputui.chat.voting.standings import Standing, Wanted, standings, standings_json, title_of
from gputui.chat.voting.vote import Choice, Contestant, Vote, answers_key
from tests.chat.voting.votes import CODER, DEEPSEEK, LONELY, OTHER, PHI, many, vote


def row(votes: list[Vote], who: Contestant, wanted: Wanted | None = None) -> Standing:
    return next(one for one in standings(votes, wanted).rows if one.contestant == who)


def test_results_are_counted_for_both_and_both_bad_is_no_tie() -> None:
    deepseek, phi = row(many(), DEEPSEEK), row(many(), PHI)
    assert (deepseek.wins, deepseek.losses, deepseek.ties, deepseek.both_bad) == (3, 1, 1, 0)
    assert (phi.wins, phi.losses, phi.ties, phi.both_bad, phi.votes) == (0, 1, 1, 1, 3)


def test_the_newest_vote_on_the_same_answers_counts_alone() -> None:
    votes = [vote(DEEPSEEK, PHI, choice, 1) for choice in (Choice.A, Choice.TIE, Choice.B)]
    assert row(votes, PHI).wins == 1
    assert standings(votes).votes == 1
    again = [
        *votes,
        vote(DEEPSEEK, CODER, Choice.A, 1),
    ]  # the side was asked again, by another model
    assert standings(again).votes == 2


def test_not_blind_and_named_count_where_they_are_asked_for() -> None:
    found = standings(many())
    assert (found.votes, found.left_out_not_blind, found.left_out_named) == (8, 1, 1)
    assert standings(many(), Wanted(not_blind=True)).votes == 9
    assert standings(many(), Wanted(named=True)).votes == 9
    assert standings(many(), Wanted(not_blind=True, named=True)).left_out_named == 0


def test_a_vote_cast_once_the_names_are_known_leaves_the_blind_one_counted() -> None:
    votes = [vote(DEEPSEEK, PHI, Choice.A, 1), vote(DEEPSEEK, PHI, Choice.B, 1, blind=False)]
    found = standings(votes)
    assert (found.votes, found.left_out_not_blind) == (1, 0)
    assert row(votes, DEEPSEEK).wins == 1
    assert row(votes, PHI, Wanted(not_blind=True)).wins == 1
    assert standings(votes, Wanted(not_blind=True)).votes == 1


def test_a_vote_on_the_answers_of_a_retry_is_another_one() -> None:
    votes = [
        vote(DEEPSEEK, PHI, Choice.A, 1, answers=answers_key("one", "two")),
        vote(DEEPSEEK, PHI, Choice.B, 1, answers=answers_key("one", "three")),
    ]
    assert standings(votes).votes == 2
    assert answers_key("ab", "c") != answers_key("a", "bc")


def test_by_tag_where_that_is_asked_for() -> None:
    found = standings(many(), Wanted("code"))
    assert found.votes == 2
    assert found.tags == Counter({"": 8, "code": 2})


def test_groups_that_never_met_stand_apart_and_who_met_itself_has_no_rating() -> None:
    found = standings(many())
    groups = {one.contestant: one.rating.group if one.rating else None for one in found.rows}
    assert groups[DEEPSEEK] == groups[CODER] == groups[PHI] == 0
    assert groups[OTHER] == 1
    assert groups[LONELY] is None
    assert found.groups == 2
    assert found.rows[-1].contestant == LONELY


def test_how_often_the_first_seat_wins() -> None:
    share = standings(many()).share_of_a
    assert share is not None
    assert share[0] == 1.0
    assert 0.5 < share[1] < 1.0
    assert standings([]).share_of_a is None


def test_a_contestant_is_an_instance_with_its_model() -> None:
    newer = Contestant(DEEPSEEK.name, "R1-0528")
    votes = [vote(DEEPSEEK, CODER, Choice.A, 1), vote(newer, CODER, Choice.B, 2)]
    assert row(votes, DEEPSEEK).wins == 1
    assert row(votes, newer).losses == 1
    assert title_of(newer) == "deepseek  R1-0528"
    assert title_of(LONELY) == "lonely"


def test_the_shape_of_the_json() -> None:
    shape = standings_json(standings(many(), Wanted("code")))
    ratings = shape.pop("ratings")
    position = shape.pop("position")
    assert shape == {
        "tag": "code",
        "includes_not_blind": False,
        "includes_named": False,
        "votes": 2,
        "left_out": {"not_blind": 0, "named": 0},
        "tags": {"": 8, "code": 2},
    }
    assert isinstance(position, dict)
    assert list(position) == [
        "a", "b", "tie", "both_bad", "a_share", "a_share_low", "a_share_high",
    ]  # fmt: skip
    assert isinstance(ratings, list)
    assert ratings[0] | {"rating": 0, "rating_low": 0, "rating_high": 0} == {
        "name": "deepseek",
        "model": "R1-Distill-Qwen-32B",
        "group": 0,
        "rating": 0,
        "rating_low": 0,
        "rating_high": 0,
        "wins": 1,
        "losses": 1,
        "ties": 0,
        "both_bad": 0,
        "votes": 2,
    }
    assert ratings[0]["rating"] == ratings[1]["rating"] == 1000.0
    empty = standings_json(standings([vote(LONELY, LONELY, Choice.TIE)]))
    assert isinstance(empty["ratings"], list)
    assert empty["ratings"][0]["rating"] is None
