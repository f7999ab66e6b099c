"""The vote's question, and the moment in which the names are told."""

from __future__ import annotations

from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from gputui.chat.model import Answer
from gputui.chat.voting.casting import Ballot
from gputui.chat.voting.standings import title_of
from gputui.chat.voting.vote import WORDS, Choice, Contestant, Vote
from gputui.text import clean_line
from gputui.ui.cells import CellView, Line
from gputui.ui.chat.reading.figures import figures
from gputui.ui.dialogs import Choice as Offered
from gputui.ui.dialogs import ChoiceDialog
from gputui.ui.palette import Look

LETTERS = {"a": Choice.A, "b": Choice.B, "t": Choice.TIE, "d": Choice.BOTH_BAD}
"""As ``/vote`` takes them, but for their length: a, b, t(ie), (ba)d."""
PROMPT = 60
"""Characters of the prompt in the question."""


class VoteDialog(ChoiceDialog):
    """Which answer is better: a key each. It lies low, and what is voted on stays to be read."""

    HEADING = "Which answer is better?"
    KEYS = "enter chooses  esc closes"

    BINDINGS = [
        Binding(key, f"dismiss('{choice}')", WORDS[choice], id=f"vote.{choice}")
        for key, choice in LETTERS.items()
    ]

    def __init__(self, ballot: Ballot, *, was_hidden: bool) -> None:
        question = f"› {clean_line(ballot.exchange.prompt, PROMPT)}"
        if ballot.told and was_hidden:
            question += f"\n{ballot.told}: not a blind vote."
        elif not ballot.blind:
            question += "\nThe names are known: not a blind vote."
        words = {choice: WORDS[choice].capitalize() for choice in LETTERS.values()}
        width = max(map(len, words.values()))
        super().__init__(
            question, [Offered(c, words[c].ljust(width), key) for key, c in LETTERS.items()]
        )


class Reveal(CellView):
    """Who sat where, how fast each was, and what becomes of the vote."""

    def __init__(self, look: Look, ballot: Ballot, vote: Vote, hues: tuple[Style, Style]) -> None:
        super().__init__(look, id="reveal")
        self._ballot = ballot
        self._vote = vote
        self._hues = hues

    def on_mount(self) -> None:
        self.styles.height = len(self.lines(80))

    def lines(self, width: int) -> list[Line]:
        palette, vote = self.look.palette, self._vote
        lines: list[Line] = []
        seats = (("A", vote.a, self._ballot.a), ("B", vote.b, self._ballot.b))
        for (side, who, answer), hue in zip(seats, self._hues, strict=True):
            lines += [*self._seat(side, who, answer, hue, width), Line()]
        named = [side for side in "AB" if side.lower() in vote.named]
        if named:
            words = " and ".join(named) + (" name themselves" if named[1:] else " names itself")
            lines.append(
                Line().add(f"{words}: the vote is left out of the ratings.", palette.warning)
            )
        if not vote.blind:
            lines.append(Line().add("The vote counts as not blind.", palette.warning))
        lines.append(Line().add("The next prompt begins a new draw.", palette.dim))
        return lines

    def _seat(
        self, side: str, who: Contestant, answer: Answer, hue: Style, width: int
    ) -> list[Line]:
        palette, vote = self.look.palette, self._vote
        mark = {
            Choice.TIE: "a tie",
            Choice.BOTH_BAD: "bad",
            Choice.A: "better" if side == "A" else "",
            Choice.B: "better" if side == "B" else "",
        }[vote.choice]
        first = Line().add(f"{side} was ", palette.dim)
        first.add(title_of(who), hue + Style(bold=True))
        if mark:
            first.add(f"  ▸ {mark}", palette.strong)
        return [first, Line().add(f"  {figures(answer.measurement, width - 2)}", palette.dim)]


class RevealDialog(ModalScreen[None]):
    """The names, after a blind vote; any of the usual keys closes it."""

    BINDINGS = [Binding("escape,enter,space,q,v", "dismiss(None)", "Close", id="reveal.close")]

    def __init__(self, reveal: Reveal) -> None:
        super().__init__()
        self._reveal = reveal

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="reveal-frame") as frame:
            frame.border_title = Content("The vote is cast")
            frame.border_subtitle = Content("enter goes on")
            yield self._reveal
