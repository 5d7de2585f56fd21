"""How much of what captions say is read in pictures: shares of hair colour, glasses, beard and background."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.captions.words import hair
from mien.evaluation.statistics.bootstrap import weighted_means
from mien.evaluation.statistics.scores import Comparable, Score, finite, quotient, share_score

Seen = Mapping[str, str]
"""Attribute -> word, of one picture."""

Agrees = Callable[[Mapping[str, Any], Seen], bool]
"""(attributes of a caption, what is read of a picture) -> whether it is right."""

ASKED = ("hair_color", "glasses", "beard", "background")
"""What ``all`` means."""

_BARE = {"glasses": ("none",), "beard": ("none", "stubble")}
"""What counts as none: a caption that says nothing, and what a shave leaves."""


def text_scores(
    wanted: Sequence[Mapping[str, Any]], seen: Sequence[Seen], exact: Sequence[Seen], weights: NDArray[np.float64]
) -> dict[str, Comparable]:
    """Share right of each attribute, and of the four together.

    Args:
        wanted: attributes of N captions.
        seen: what is read of the pictures.
        exact: what is read of the exact renders.
        weights: resamples [1 + draws, N].

    Returns:
        ``hair_color`` (where the caption says one), ``glasses`` and ``beard`` (whether there are any), ``background``,
        ``all``; ``NAME.asked``: among captions that ask for one; ``NAME.kind``: whether that is of the right kind;
        ``of_oracle.NAME``: over the share of the exact renders.
    """
    count = len(wanted)
    questions: dict[str, tuple[list[int], Agrees]] = {
        "hair_color": ([row for row in range(count) if _names_hair(wanted[row])], _same("hair_color"))
    }
    for name in _BARE:
        asked = [row for row in range(count) if _worn(name, wanted[row])]
        questions[name] = list(range(count)), _both(name)
        questions[f"{name}.asked"] = asked, _both(name)
        questions[f"{name}.kind"] = asked, _same(name)
    questions["background"] = list(range(count)), _same("background")
    questions["all"] = list(range(count)), lambda a, b: all(_RIGHT[name](a, b) for name in ASKED)
    found: dict[str, Comparable] = {}
    for name, (rows, agrees) in questions.items():
        if not rows:
            continue
        some = weights[:, rows]
        table = np.array([[agrees(wanted[row], one) for one in seen] for row in rows], np.float64)
        hits = table[np.arange(len(rows)), rows]
        best = np.array([agrees(wanted[row], exact[row]) for row in rows], np.float64)
        floor = (table.sum() - hits.sum()) / max(1, len(rows) * (count - 1))
        found[name] = share_score(hits, some, finite(floor), finite(float(best.mean())))
        ratio = quotient(weighted_means(hits, some), weighted_means(best, some))
        found[f"of_oracle.{name}"] = Score(_constant(ratio), np.ones(len(rows), bool), None, 1.0, "higher")
    return found


def _constant(draws: NDArray[np.float64]) -> Callable[[object], NDArray[np.float64]]:
    return lambda _: draws


def _names_hair(one: Mapping[str, Any]) -> bool:
    """Whether the caption says a colour of the hair: a bald head shows none."""
    return one["hair_color"] in hair(one)


def _worn(name: str, one: Mapping[str, Any]) -> bool:
    return one[name] not in _BARE[name]


def _same(name: str) -> Agrees:
    return lambda wanted, seen: wanted[name] == seen[name]


def _both(name: str) -> Agrees:
    return lambda wanted, seen: _worn(name, wanted) == _worn(name, seen)


_RIGHT: Mapping[str, Agrees] = {
    "hair_color": lambda wanted, seen: not _names_hair(wanted) or wanted["hair_color"] == seen["hair_color"],
    "glasses": _both("glasses"),
    "beard": _both("beard"),
    "background": _same("background"),
}


def right_of(wanted: Sequence[Mapping[str, Any]], seen: Sequence[Seen]) -> list[int]:
    """How many of `ASKED` are right in each picture."""
    return [sum(_RIGHT[name](a, b) for name in ASKED) for a, b in zip(wanted, seen, strict=True)]
