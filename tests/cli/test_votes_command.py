"""gputui votes: the table, the JSON, the votes themselves."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from gputui import config
from gputui.chat.voting.standings import Wanted, standings, standings_json
from gputui.chat.voting.store import VoteStore
from gputui.cli.root import group
from gputui.cli.tables import cell_width
from gputui.cli.votes import table
from tests.chat.voting.votes import many


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["votes", *arguments])


@pytest.fixture
def _cast() -> None:
    store = VoteStore(config.state_dir() / "gputui.db")
    store.add(many())
    store.close()


def test_without_votes_it_says_how_to_vote() -> None:
    result = run()
    assert result.exit_code == 0
    assert "/blind" in result.output
    assert json.loads(run("--json").output)["ratings"] == []
    assert run("--raw").output == ""


@pytest.mark.usefixtures("_cast")
def test_the_table_names_everyone_with_rating_interval_and_results() -> None:
    output = run().output
    assert output.splitlines()[0].split() == [
        "name", "model", "rating", "95", "%", "won", "lost", "tied", "both", "bad", "votes",
    ]  # fmt: skip
    assert output.count("only among themselves") == output.count("no rating") == 1
    assert "A won 5 of 5 votes with a winner: 100%" in output
    assert "left out: 1 not blind (--all), 1 on answers that named themselves" in output
    assert "left out" not in run("--all", "--include-named").output


@pytest.mark.usefixtures("_cast")
def test_json_is_of_the_votes_that_are_asked_for() -> None:
    for arguments, wanted in (
        ((), Wanted()),
        (("--all",), Wanted(not_blind=True)),
        (("--include-named", "--tag", "code"), Wanted("code", named=True)),
        (("--tag", ""), Wanted("")),
    ):
        result = json.loads(run("--json", *arguments).output)
        assert result == json.loads(json.dumps(standings_json(standings(many(), wanted))))


@pytest.mark.usefixtures("_cast")
def test_raw_votes_are_all_of_them_a_line_each() -> None:
    rows = [json.loads(line) for line in run("--raw").output.splitlines()]
    assert len(rows) == len(many())
    assert list(rows[0]) == [
        "at", "asked_at", "turn_id", "name_a", "model_a", "name_b", "model_b", "choice", "blind",
        "named", "tag", "answers",
    ]  # fmt: skip
    assert [json.loads(line)["tag"] for line in run("--raw", "--tag", "code").output.splitlines()] == [
        "code", "code",
    ]  # fmt: skip


@pytest.mark.usefixtures("_cast")
def test_a_tag_that_no_vote_has_is_said_with_those_that_are() -> None:
    result = run("--tag", "cod")
    assert 'no vote has the tag "cod"' in str(result.exception)
    assert '"code"' in str(result.exception)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_it_fits_into_the_terminal(width: int) -> None:
    lines = list(table(standings(many()), width))
    assert all(cell_width(line) <= width for line in lines)
    assert "deepseek" in "\n".join(lines)
