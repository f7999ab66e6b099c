"""Foreign text as it must never reach a terminal: what each test of a widget or a parser is fed with."""

from __future__ import annotations

import json
import re
import unicodedata

HOSTILE: tuple[tuple[str, str], ...] = (
    ("colours", "\x1b[31mred\x1b[0m and \x1b[1;4;38;2;1;2;3mmore\x1b[m"),
    ("cursor", "a\x1b[2J\x1b[1;1Hb\x1b[?1049h\x1b[?25lc"),
    ("title", "\x1b]0;owned\x07 shown"),
    ("clipboard", "\x1b]52;c;cm0gLXJmIC8=\x07 shown \x1b]52;c;cm0gLXJmIC8=\x1b\\"),
    ("hyperlink", "\x1b]8;;http://evil.invalid\x1b\\click\x1b]8;;\x1b\\"),
    ("device string", "\x1bPq#0;2;0;0;0\x1b\\ shown \x1b_apc\x1b\\ \x1b^pm\x1b\\"),
    ("unterminated", "before\x1b]52;c;AAAA\nafter\x1b[38;5"),
    ("c1", "\x9b31mred\x9b0m \x9d0;title\x9c \x90q\x9c \x85 \x8d"),
    ("nested", "\x1b\x1b[31m[31m \x1b[\x1b[1m1m \x1b]0;\x1b[31m\x07"),
    ("action", "[@click=app.quit]x[/] [@click=app.bell()]ring[/]"),
    ("closing tag", "[/] [/b] [bold"),
    ("rich markup", "[red]r[/red] [link=http://evil.invalid]l[/link] [blink]b"),
    ("markdown", "# h\n| a | b |\n|---|---|\n[l](javascript:x) ![i](http://evil.invalid/i) `[/]`"),
    ("html", "<script>alert(1)</script> <a href='file:///etc/passwd'>x</a>"),
    ("bidi", "\u202egnp.exe\u202c \u2066isolated\u2069 \u200fmark\u200e \u061c"),
    ("zero width", "a\u200bb\u2060c\ufeffd\u00ade\u2063f"),
    ("emoji", "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪 ❤️ é ñ 한국어 漢字 ｗｉｄｅ"),
    ("combining", "Z" + "\u0351\u036b\u0343" * 200 + " z"),
    ("surrogates", "a\ud83d b\ude00 c\ud83d\ude00"),
    ("nul", "a\x00b\x07c\x08d\x7fe\x0bf\x0cg"),
    ("ends of line", "a\r\nb\rc\nd\u2028e\u2029f\x85g\rover"),
    ("tags", "x\U000e0041\U000e0042\U000e007fy"),
    ("one line of 1 MB", "lorem ipsum " * 87_382),
    ("one word of 1 MB", "x" * (1 << 20)),
    ("introducers of 1 MB", "\x9d\x9b\x1b]" * (1 << 18)),
    ("brackets", "[" * 10_000 + "]" * 10_000),
    ("empty", ""),
    ("blank", " \t\n \n"),
)
"""(id, text): the same texts for every widget and every boundary."""

INVALID_UTF8: tuple[tuple[str, bytes], ...] = (
    ("continuation first", b"\x80\xbfa"),
    ("cut", b"a\xe2\x82"),
    ("overlong", b"\xc0\xaf\xe0\x80\xaf"),
    ("surrogate", b"\xed\xa0\xbd\xed\xb8\x80"),
    ("beyond", b"\xf5\x80\x80\x80 \xff\xfe"),
    ("latin-1", "über".encode("latin-1")),
)
"""(id, bytes): what is no UTF-8."""

IDS = [name for name, _ in HOSTILE]

_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def assert_clean(text: str) -> None:
    """Nothing in ``text`` moves a cursor, sets a clipboard or reorders a line."""
    found = _FORBIDDEN.search(text)
    assert found is None, f"{found[0]!r} at {found.start()} of {text[:80]!r}" if found else ""
    assert not [c for c in set(text) if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]


def completion(*deltas: str, finish: str = "stop") -> bytes:
    """A streamed chat completion that says these pieces, as any server may send it."""
    chunks: list[dict[str, object]] = [{"delta": {"role": "assistant", "content": None}}]
    chunks += [{"delta": {"content": delta}} for delta in deltas]
    chunks += [{"delta": {}, "finish_reason": finish}]
    events = [json.dumps({"choices": [{"index": 0, **chunk}]}) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()
