"""Words such as ``NAME=SPEC`` as they are typed after an option that may be repeated."""

from __future__ import annotations

from collections.abc import Sequence

from mien.errors import BadInput


def named(words: Sequence[str], option: str, value: str) -> dict[str, str]:
    """{name: text} of ``NAME=TEXT`` words.

    Args:
        words: as typed.
        option: which they follow.
        value: what the text is called in the help, such as ``SPEC``.

    Raises:
        BadInput: if a word does not look so, or a name comes twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, _, text = word.partition("=")
        if not name or not text or name in found:
            raise BadInput(f"Write {option} NAME={value}, each name once.")
        found[name] = text
    return found


def numbers(words: Sequence[str] | None, option: str) -> dict[str, float]:
    """{name: number} of words such as ``jawOpen=0.6`` or ``jawOpen:0.6``; of a name that comes twice the last.

    Raises:
        BadInput: naming ``option`` if a word does not look so.
    """
    found: dict[str, float] = {}
    for word in words or ():
        name, _, number = word.replace(":", "=", 1).partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise BadInput(f"Write {option} as NAME=NUMBER, not {word!r}.") from None
    return found
