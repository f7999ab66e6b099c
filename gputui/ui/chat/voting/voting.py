"""Blind mode and the vote on the dashboard."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from gputui.chat.voting.box import VoteBox
from gputui.errors import GputuiError
from gputui.text import clean_line, sentences

if TYPE_CHECKING:
    from gputui.chat.voting.casting import Ballot
    from gputui.chat.voting.vote import Choice, Vote
    from gputui.ui.chat.chatting import Chatting

NOWHERE = GputuiError("Votes are not kept here", "This chat has no database.")


class Voting:
    """Draws, asks, counts; of a vote that could not be kept it is told, and it is tried again."""

    def __init__(self, chatting: Chatting) -> None:
        self._chatting = chatting
        self._told: str | None = None

    @property
    def on(self) -> bool:
        """Whether blind mode is."""
        return self._chatting.conversation.blind.on

    # ── blind mode ───────────────────────────────────────────────────────────────────────────

    def blind(self, argument: str) -> None:
        """``on`` draws anew, ``off`` tells who sits where, "" is the other of both. Raises GputuiError."""
        wanted = {"": not self.on, "on": True, "off": False}.get(argument.strip().lower())
        if wanted is None:
            raise GputuiError("/blind takes on or off")
        if wanted:
            self._begin()
        elif self.on:
            self._end()

    def _begin(self) -> None:
        conversation = self._chatting.conversation
        had_own = any(
            side.settings != type(side.settings)() for side in conversation.sides.values()
        )
        conversation.blind.begin()
        conversation.begin_anew()
        self._chatting.panel.target_both()
        self._show()
        words = "Ask, read both answers, then /vote. Names and speeds are told after that."
        own = "Settings of one side alone rest meanwhile: both are asked alike." if had_own else ""
        self._notify(sentences(words, own), "Blind: who sits where is drawn")

    def _end(self) -> None:
        conversation = self._chatting.conversation
        hidden = conversation.blind.hidden
        conversation.blind.end()
        self._show()
        seats = [
            f"{name} was {clean_line(side.seated.name, 60)}"
            for name, side in conversation.sides.items()
            if side.seated is not None
        ]
        self._notify(
            "No vote was cast." if hidden else " ", f"Blind mode is off. {', '.join(seats)}"
        )

    # ── the vote ─────────────────────────────────────────────────────────────────────────────

    def vote(self, argument: str) -> None:
        """Vote on the newest answers; asks where the argument does not say what. Raises GputuiError."""
        from gputui.chat.voting.casting import ballot_of
        from gputui.ui.chat.voting.dialogs import VoteDialog

        choice = _typed(argument.strip().lower())
        box, ballot = self._box(), ballot_of(self._chatting.conversation)
        if choice is not None:
            self._chatting.carry_out(self._cast(box, ballot, choice))
            return
        hidden = self._chatting.conversation.blind.hidden
        dialog = VoteDialog(ballot, was_hidden=hidden)
        self._chatting.screen.app.push_screen(dialog, partial(self._answered, box, ballot))

    def _answered(self, box: VoteBox, ballot: Ballot, answer: str | None) -> None:
        from gputui.chat.voting.vote import Choice

        if answer is not None:
            self._chatting.carry_out(self._cast(box, ballot, Choice(answer)))

    async def _cast(self, box: VoteBox, asked: Ballot, choice: Choice) -> None:
        """Whether it is blind is seen once it is cast: the draw may have ended since it was asked for."""
        from gputui.chat.voting.casting import ballot_of
        from gputui.chat.voting.vote import WORDS
        from gputui.ui.chat.voting.dialogs import Reveal, RevealDialog

        named = await asyncio.to_thread(asked.named)
        conversation = self._chatting.conversation
        ballot, blind = ballot_of(conversation), conversation.blind
        if not ballot.of_same(asked):
            raise GputuiError("There are other answers by now", "Read them, and vote again.")
        vote = ballot.vote(choice, named)
        box.cast(vote, ballot.exchange)
        hidden = blind.hidden
        blind.reveal()
        self._chatting.conversation.voted(ballot.exchange.created_at, WORDS[choice])
        self._show()
        if hidden:
            hues = tuple(map(self._chatting.seating.style_of, (vote.a.name, vote.b.name)))
            reveal = Reveal(self._chatting.look, ballot, vote, (hues[0], hues[1]))
            self._chatting.screen.app.push_screen(RevealDialog(reveal))
        else:
            self._say_voted(vote)
        self.keep()

    def _say_voted(self, vote: Vote) -> None:
        from gputui.chat.voting.vote import WORDS

        against = f"{clean_line(vote.a.name, 60)} against {clean_line(vote.b.name, 60)}"
        named = f"named itself: {' and '.join(vote.named.upper())}" if vote.named else ""
        self._notify(sentences(f"{against}, not blind", named), f"Voted: {WORDS[vote.choice]}")

    def show(self) -> None:
        """All votes and what they come to. Raises GputuiError."""
        from gputui.ui.chat.voting.screen import VotesScreen

        screen = VotesScreen(self._chatting.look, self._box().votes)
        self._chatting.screen.app.push_screen(screen)

    # ── keeping ──────────────────────────────────────────────────────────────────────────────

    def keep(self) -> None:
        """Try to keep what is not kept yet; whatever changed about that is told."""
        box = self._chatting.services.votes
        if box is not None and box.due and not box.busy:
            self._chatting.carry_out(self._keep(box))

    async def _keep(self, box: VoteBox) -> None:
        await box.keep()
        problem = str(box.problem) if box.problem is not None else None
        if box.problem is not None and problem != self._told:
            hint = sentences(box.problem.hint, "The vote is tried again until it is kept")
            self._chatting.say(GputuiError(box.problem.message, hint))
        elif problem is None and self._told is not None:
            self._notify(" ", "The vote is kept now")
        self._told = problem

    def _box(self) -> VoteBox:
        if self._chatting.services.votes is None:
            raise NOWHERE
        return self._chatting.services.votes

    def _show(self) -> None:
        self._chatting.seating.frame()
        self._chatting.panel.refresh_sides()

    def _notify(self, words: str, title: str) -> None:
        text = self._chatting.look.text
        self._chatting.screen.notify(text(words), title=text(title), markup=False)


def _typed(word: str) -> Choice | None:
    """The choice that was typed, None for "". Raises GputuiError for any other word."""
    from gputui.chat.voting.vote import Choice
    from gputui.ui.chat.voting.dialogs import LETTERS

    choices = {"a": Choice.A, "b": Choice.B, "tie": Choice.TIE, "bad": Choice.BOTH_BAD}
    choice = {**LETTERS, **choices}.get(word)
    if word and choice is None:
        raise GputuiError(f"/vote takes {', '.join(choices)}")
    return choice
