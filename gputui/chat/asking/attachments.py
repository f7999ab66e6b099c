"""Files that go with a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from gputui.chat.model import Attachment, Message


def user_message(prompt: str, attachments: Sequence[Attachment]) -> Message:
    """A prompt with its attachments: texts before it, each under its name; pictures beside it."""
    texts = [
        f"{one.name}:\n```\n{one.data.decode(errors='replace')}\n```"
        for one in attachments
        if not one.is_image
    ]
    images = tuple(one for one in attachments if one.is_image)
    return Message("user", "\n\n".join([*texts, prompt]), images)
