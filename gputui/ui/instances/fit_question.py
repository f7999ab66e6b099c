"""The question before a start that will not fit."""

from __future__ import annotations

from gputui.instances.fit.reckoning import Fit
from gputui.instances.fit.words import explain
from gputui.ui.dialogs import ConfirmDialog


def asks(fit: Fit) -> bool:
    """Whether to ask: a context that the server may choose is no loss that anybody asked about."""
    return fit.fits is False and fit.lowers != "context"


def fit_dialog(fit: Fit) -> ConfirmDialog:
    """What is missing, and what will come of it; enter alone starts nothing."""
    source = "estimated" if fit.source == "estimate" else f"says {fit.source}"
    words = "\n".join(explain(fit))
    return ConfirmDialog(
        f"{fit.name} will not fit ({source}).\n\n{words}", yes="Start anyway", no="Leave it"
    )
