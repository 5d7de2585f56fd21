"""In which order the networks' outputs hold the named attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_FIRST: Final = ("hair_style", "hair_color", "hair_length", "beard", "glasses")


def in_layout(classes: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """The classes of each named attribute, the attributes in the order of the outputs.

    A configuration comes back from its file with its keys sorted, so the order cannot be the mapping's own: the first
    five are those of the networks that ship, further ones follow by name.
    """
    given = dict(classes or {})
    names = [name for name in _FIRST if name in given] + sorted(given.keys() - set(_FIRST))
    return {name: tuple(given[name]) for name in names}
