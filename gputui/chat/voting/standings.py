"""What the votes come to: wins, losses, ties and ratings of everyone, and what the seat does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gputui.chat.voting.ratings import Rating, Scores, interval_of_share
from gputui.chat.voting.vote import Choice, Contestant, Vote, standing_votes
from gputui.text import clean_line

_SHARE = {Choice.A: 1.0, Choice.B: 0.0, Choice.TIE: 0.5, Choice.BOTH_BAD: 0.5}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which votes count: those of one ``tag`` (None: all); those that were not blind, and those on
    answers that named themselves, only where they are asked for."""

    tag: str | None = None
    not_blind: bool = False
    named: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """One contestant. ``both_bad`` are not among the ``ties``. ``rating`` is None where it was never
    compared with another one."""

    contestant: Contestant
    rating: Rating | None
    wins: int
    losses: int
    ties: int
    both_bad: int

    @property
    def votes(self) -> int:
        """In how many it took part."""
        return self.wins + self.losses + self.ties + self.both_bad


@dataclass(frozen=True, slots=True)
class Standings:
    """Everyone, the best first, group after group. ``seats`` are the votes by choice, whoever sat where;
    ``left_out_*`` count the pairs of answers of which it wants no vote; ``tags`` all votes by tag."""

    wanted: Wanted
    rows: Sequence[Standing]
    seats: Counter[Choice]
    left_out_not_blind: int
    left_out_named: int
    tags: Counter[str]

    @property
    def votes(self) -> int:
        """How many count."""
        return self.seats.total()

    @property
    def groups(self) -> int:
        """How many groups there are that were never compared with each other."""
        return len({row.rating.group for row in self.rows if row.rating is not None})

    @property
    def share_of_a(self) -> tuple[float, float, float] | None:
        """How often A won of the votes that have a winner, with its 95 % interval; None of no votes."""
        won, lost = self.seats[Choice.A], self.seats[Choice.B]
        if not won + lost:
            return None
        return won / (won + lost), *interval_of_share(won, won + lost)


def standings(votes: Sequence[Vote], wanted: Wanted | None = None) -> Standings:
    """What they come to. Of several votes on the same answers the newest counts that is wanted: one cast
    once the names are known takes nothing from the blind one before it."""
    wanted = wanted or Wanted()
    tagged = [vote for vote in votes if wanted.tag in (None, vote.tag)]
    blind = [vote for vote in tagged if wanted.not_blind or vote.blind]
    of_tag, seen = standing_votes(tagged), standing_votes(blind)
    counted = standing_votes(vote for vote in blind if wanted.named or not vote.named)
    return Standings(
        wanted=wanted,
        rows=_rows(counted),
        seats=Counter(vote.choice for vote in counted),
        left_out_not_blind=len(of_tag) - len(seen),
        left_out_named=len(seen) - len(counted),
        tags=Counter(vote.tag for vote in standing_votes(votes)),
    )


def _rows(votes: Sequence[Vote]) -> list[Standing]:
    scores: Scores[Contestant] = Scores()
    counts: dict[Contestant, Counter[str]] = {}
    for vote in votes:
        scores.add(vote.a, vote.b, _SHARE[vote.choice])
        for contestant, result in (
            (vote.a, _result(vote.choice, Choice.A)),
            (vote.b, _result(vote.choice, Choice.B)),
        ):
            counts.setdefault(contestant, Counter())[result] += 1
    ratings = scores.ratings()
    rows = [
        Standing(one, ratings.get(one), c["wins"], c["losses"], c["ties"], c["both_bad"])
        for one, c in counts.items()
    ]
    return sorted(rows, key=_order)


def _result(choice: Choice, seat: Choice) -> str:
    if choice in (Choice.A, Choice.B):
        return "wins" if choice is seat else "losses"
    return "ties" if choice is Choice.TIE else "both_bad"


def _order(row: Standing) -> tuple[float, float, Contestant]:
    if row.rating is None:
        return float("inf"), 0.0, row.contestant
    return row.rating.group, -row.rating.value, row.contestant


def standings_json(found: Standings) -> dict[str, object]:
    """``gputui votes --json``. Ratings of another ``group`` cannot be compared; null: not known."""
    share = found.share_of_a
    return {
        "tag": found.wanted.tag,
        "includes_not_blind": found.wanted.not_blind,
        "includes_named": found.wanted.named,
        "votes": found.votes,
        "left_out": {"not_blind": found.left_out_not_blind, "named": found.left_out_named},
        "tags": dict(sorted(found.tags.items())),
        "position": {
            "a": found.seats[Choice.A],
            "b": found.seats[Choice.B],
            "tie": found.seats[Choice.TIE],
            "both_bad": found.seats[Choice.BOTH_BAD],
            "a_share": share[0] if share else None,
            "a_share_low": share[1] if share else None,
            "a_share_high": share[2] if share else None,
        },
        "ratings": [_row_json(row) for row in found.rows],
    }


def _row_json(row: Standing) -> dict[str, object]:
    rating = row.rating
    return {
        "name": row.contestant.name,
        "model": row.contestant.model,
        "group": rating.group if rating else None,
        "rating": round(rating.value, 1) if rating else None,
        "rating_low": round(rating.low, 1) if rating else None,
        "rating_high": round(rating.high, 1) if rating else None,
        "wins": row.wins,
        "losses": row.losses,
        "ties": row.ties,
        "both_bad": row.both_bad,
        "votes": row.votes,
    }


def how_to_vote(found: Standings) -> str:
    """What to do where no vote counts."""
    if found.left_out_not_blind + found.left_out_named:
        return "There are votes that are not counted here: not blind, or on answers that named themselves."
    return (
        "No votes yet. /blind in the chat draws who sits where; ask something, read both answers, "
        "press v to vote."
    )


def title_of(contestant: Contestant) -> str:
    """``deepseek  R1-Distill-Qwen-32B``; once where both are the same."""
    name, model = clean_line(contestant.name, 60), clean_line(contestant.model, 120)
    return name if model in ("", name) else f"{name}  {model}"
