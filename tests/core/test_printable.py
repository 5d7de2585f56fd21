"""Text of unknown origin cannot move what is printed around it."""

from __future__ import annotations

import json

import pytest

from mien.core.text import printable


@pytest.mark.parametrize("plain", ["Zoë, 日本, 🙂", "👩‍💻", "می‌خواهم", "a\u0301", "\\u0041", ""])
def test_words_of_every_language_stay(plain: str) -> None:
    assert printable(plain) == plain


@pytest.mark.parametrize(
    ("hostile", "told"),
    [("a\nmade by", r"a\u000amade by"), ("\x1b]0;title\x07", r"\u001b]0;title\u0007"), ("\x9b2J", r"\u009b2J"),
     ("\u202egnp.exe", r"\u202egnp.exe"), ("\u2066x\u2069", r"\u2066x\u2069"), ("a\u2028b", r"a\u2028b"),
     ("\r\x7f\x00", r"\u000d\u007f\u0000"), ("\U000e0041", r"\udb40\udc41")],
)  # fmt: skip
def test_what_moves_the_cursor_or_the_reading_is_written_out(hostile: str, told: str) -> None:
    assert printable(hostile) == told


def test_json_keeps_its_meaning() -> None:
    value = {"a\u202eb": ["\x9b\U000e0041", "Zoë\x7f"]}
    text = printable(json.dumps(value, ensure_ascii=False, indent=2), keep="\n")
    assert json.loads(text) == value
    assert "\u202e" not in text and "\x9b" not in text and "\x7f" not in text and "ë" in text
