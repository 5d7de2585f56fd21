"""Text of unknown origin, made safe to print."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"
"""Persian, Hindi and emoji need them; they move nothing."""


def printable(text: str, keep: str = "") -> str:
    r"""Text in which nothing can move a terminal's cursor, end a line or turn the direction of reading.

    Control characters, line and paragraph separators and invisible format characters (bidi overrides among them) are
    written as ``\uXXXX``, so that JSON with them stays JSON of the same meaning.

    Args:
        text: from a file, a name or a server.
        keep: characters to leave, such as the line ends of JSON.
    """
    return "".join(one if one in keep or _is_plain(one) else _escaped(one) for one in text)


def is_text(name: str) -> bool:
    """Whether a file's name is text: names are bytes, and some are in no code that anybody knows."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_plain(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp")


def _escaped(character: str) -> str:
    code = character.encode("utf-16-be").hex()
    return "".join(f"\\u{code[start : start + 4]}" for start in range(0, len(code), 4))
