"""What making room says to people."""

from __future__ import annotations

from collections.abc import Sequence

from gputui.config import InstanceConfig
from gputui.errors import GputuiError
from gputui.instances import locks
from gputui.instances.switching.work import Work


class AnsweringError(GputuiError):
    """What would have to stop is in the middle of an answer."""


def way_back(stopped: Sequence[str]) -> str:
    """``Back: gputui start deepseek``; "" for nothing."""
    return f"Back: gputui start {' '.join(stopped)}" if stopped else ""


def are(names: Sequence[str]) -> str:
    """``one is``; ``one, two are``."""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def refusal(instance: InstanceConfig, works: Sequence[Work]) -> AnsweringError:
    """The refusal of a start where others of the group are answering."""
    names = " ".join(work.name for work in works)
    return AnsweringError(
        f"{instance.name} is not started: {'; '.join(work.words for work in works)}",
        f'Wait, or stop it: gputui stop {names}. when_busy = "queue" or "stop" in [[groups]]'
        f" {instance.group} does so by itself.",
    )


def waiting_words(works: Sequence[Work]) -> str:
    """What a start waits for."""
    silent = [work.name for work in works if work.requests is None]
    if silent:
        return f"waiting for {', '.join(silent)} to say whether it is answering"
    return f"waiting for {', '.join(work.name for work in works)} to finish its answer"


def group_taken(name: str, group: str, holder: locks.Holder | None) -> GputuiError:
    """The refusal where another member is on its way already."""
    if holder is None:
        return GputuiError(f"{name} is not started: another gputui is at group {group}")
    at = f" ({holder.note})" if holder.note else ""
    if holder.action == name:
        return GputuiError(f"{name} is being started already by gputui, pid {holder.pid}{at}")
    return GputuiError(
        f"{name} is not started: {holder.action} takes its turn in group {group}{at}",
        f"Of a group one runs at a time; gputui, pid {holder.pid}, is at it.",
    )
