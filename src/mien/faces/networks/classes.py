"""In which order the networks' outputs hold the named attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

_FIRST: Final = ("hair_style", "hair_color", "hair_length", "beard", "glasses")


def in_layout(classes: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """The classes of each named attribute, the attributes in the order of the outputs.

    A configuration comes back from its file with its keys sorted, so the order cannot be the mapping's own: the first
    five are those of the networks that ship, further ones follow by name.
    """
    given = dict(classes or {})
    names = [name for name in _FIRST if name in given] + sorted(given.keys() - set(_FIRST))
    return {name: tuple(given[name]) for name in names}


def grown_head(old: Any, new: Any) -> dict[str, Tensor]:
    """The last layer of a network for one that names more attributes or classes: rows go by name, new ones are zero.

    Args:
        old: a network with ``lengths``, ``classes`` and ``last``, the name of its last linear layer.
        new: another of the same class.

    Returns:
        ``LAST.weight`` [n, C] and ``LAST.bias`` [n] of ``new``.
    """
    places = {name: row for row, name in enumerate(_rows(old))}
    source = torch.tensor([places.get(name, -1) for name in _rows(new)])
    own = old.state_dict()
    found: dict[str, Tensor] = {}
    for name in (f"{old.last}.weight", f"{old.last}.bias"):
        known = (source >= 0).view(-1, *[1] * (own[name].ndim - 1))
        found[name] = torch.where(known, own[name][source.clamp_min(0)], torch.zeros_like(own[name][:1]))
    return found


def _rows(network: Any) -> list[tuple[str, str | int]]:
    """(output, class or number) of each row of the last layer."""
    return [
        (name, network.classes[name][index] if name in network.classes else index)
        for name, length in network.lengths.items()
        for index in range(length)
    ]
