"""What is told of a death: the words, the remedy, the evidence, whether it is tried again."""

from __future__ import annotations

import dataclasses
import re

from gputui.instances.status import InstanceStatus, State


@dataclasses.dataclass(frozen=True)
class Case:
    """``reason`` and ``hint`` are patterns; ``evidence`` stands in the log's lines; "" for none."""

    reason: str
    hint: str
    evidence: str = ""
    again: bool = False


def check(status: InstanceStatus, case: Case) -> None:
    assert status.state is State.FAILED
    assert re.search(case.reason, status.last_error or ""), status.last_error
    assert re.search(case.hint, status.hint), status.hint
    assert case.evidence in "\n".join(status.evidence), status.evidence
    assert bool(status.evidence) is bool(case.evidence)
    assert len(status.evidence) <= 3
    assert (status.restart_at is not None) is case.again
