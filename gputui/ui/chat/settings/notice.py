"""One line over the prompt: what makes the comparison unfair, or the next prompt too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from textual.content import Content
from textual.widgets import Static

from gputui.chat.asking.context import full_words
from gputui.chat.conversation import Conversation
from gputui.identity import GpuIdentity
from gputui.instances.status import InstanceStatus, State
from gputui.ui.palette import Look

_BOTH_ON_CPU = "both run on the CPU"
Lookup = Callable[[str], InstanceStatus | None]


class ChatNotice(Static):
    """There only while there is something to say."""

    def __init__(self, look: Look) -> None:
        super().__init__("", id="chat-notice", markup=False)
        self._look = look
        self._words = ""
        self.display = False

    def say(self, words: str) -> None:
        """Nothing is drawn where it is said already."""
        if words != self._words:
            self._words = words
            self.update(Content(self._look.text(f"▲ {words}")))
            self.display = bool(words)


def notice(conversation: Conversation, status: Lookup, gpus: Sequence[GpuIdentity]) -> str:
    """The most urgent thing to say; "" for nothing."""
    return next(iter([*_full(conversation), sharing(conversation, status, gpus)]), "")


def sharing(conversation: Conversation, status: Lookup, gpus: Sequence[GpuIdentity]) -> str:
    """Why two sides slow each other down where they answer at once, and what to do; "" where they do not."""
    if conversation.at_once == 1:
        return ""
    seated = list(_seated(conversation, status))
    for one, other in combinations(seated, 2):
        what = _shared(conversation, {one[0]: one[1], other[0]: other[1]}, gpus)
        if what:
            who = f"{one[0]} and {other[0]}"
            if what == _BOTH_ON_CPU:
                names = [name for name, each in seated if each is not None and _runs_on_cpu(each)]
                if len(names) > 2:
                    who, what = f"{', '.join(names[:-1])} and {names[-1]}", "all run on the CPU"
            return f"{who} {what}: /order one lets them answer one after the other"
    return ""


def _full(conversation: Conversation) -> Iterator[str]:
    for name, side in conversation.sides.items():
        use = side.context_use
        if use is not None and not side.busy:
            most = side.resolved(None).sampling.max_tokens
            words = full_words(side.finished, name, side.dropped, use, most)
            if words:
                yield words


def _seated(
    conversation: Conversation, status: Lookup
) -> Iterator[tuple[str, InstanceStatus | None]]:
    for name, side in conversation.sides.items():
        if side.endpoint is not None and side.endpoint.url:
            yield name, status(side.endpoint.name)


def _shared(
    conversation: Conversation,
    of: Mapping[str, InstanceStatus | None],
    gpus: Sequence[GpuIdentity],
) -> str:
    (a, one), (b, other) = of.items()
    urls = [side.endpoint.url for n in (a, b) if (side := conversation.sides[n]).endpoint]
    if len(set(urls)) == 1:
        slots = one.metrics.slots_total if one else None
        return "ask one server with one slot" if slots == 1 else "ask the same server"
    if one is None or other is None or {one.state, other.state} != {State.READY}:
        return ""
    both = [uuid for uuid in one.gpus if uuid in other.gpus]
    if both and one.offloads and other.offloads:
        index = {gpu.uuid: gpu.index for gpu in gpus}
        known = [f"{index[uuid]}" for uuid in both if uuid in index]
        return f"share GPU {' and '.join(known)}" if known else "share a GPU"
    if _on_cpu(one) and _on_cpu(other):
        return _BOTH_ON_CPU
    return ""


def _runs_on_cpu(status: InstanceStatus) -> bool:
    return status.state is State.READY and _on_cpu(status)


def _on_cpu(status: InstanceStatus) -> bool:
    return status.pinned is False or not status.offloads
