"""Which held-out people stand for everybody: groups by skin, age and gender, and a balanced choice among seeds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations, product
from typing import Final

from mien.captions.words import noun
from mien.errors import BadInput
from mien.evaluation.control.settings import FIRST_PERSON, FIRST_TARGET
from mien.studio.person import AGE_GROUP_EDGES, Person, sample_person

GROUPINGS: Final[dict[str, tuple[str, ...]]] = {
    "skin": ("band 0", "band 1", "band 2", "band 3"),
    "age": ("under 30", "30 to 44", "45 to 59", "60 and over"),
    "gender": ("woman", "in between", "man"),
}
"""Everybody is in one group of each; skin bands from palest to darkest, gender as captions name it (*inferred*)."""

Cell = tuple[str, ...]
"""A group of each of `GROUPINGS`, in their order."""


def groups_of(person: Person) -> Cell:
    """The group of each of `GROUPINGS` that a person is in."""
    older = sum(person.age >= birthday for birthday in AGE_GROUP_EDGES)
    gender = noun({"gender": person.gender}).replace("person", "in between")
    return GROUPINGS["skin"][person.skin_band], GROUPINGS["age"][older], gender


def labels_of(people: Iterable[Person]) -> dict[str, list[str]]:
    """The group of every person, by grouping."""
    cells = [groups_of(person) for person in people]
    return {name: [cell[index] for cell in cells] for index, name in enumerate(GROUPINGS)}


def choose_people(least: int, seeds: Iterable[int] = range(FIRST_PERSON, FIRST_TARGET)) -> list[Person]:
    """People of whom at least so many are in every group, as few as that takes.

    Everybody serves one group of each grouping at once, so the grouping with most groups decides: four times ``least``.
    One cell (skin x age x gender) after the other is filled, always one all of whose groups are behind, so that groups
    of one grouping hold the same mix of the others; a cell takes its people in the order of seeds. Where a rare cell
    runs out of seeds its neighbours stand in, with more people where it must be.

    Args:
        least: people in each group, at least 1.
        seeds: of people who were never trained on, in the order in which they are taken.

    Returns:
        The people, in an order of which any long enough stretch holds each group of one grouping equally often.

    Raises:
        BadInput: if a group is too small among the seeds.
    """
    wanted, found = Counter(_design(least)), defaultdict[Cell, list[Person]](list)
    for seed in seeds:
        if all(len(found[cell]) >= count for cell, count in wanted.items()):
            break
        person = sample_person(seed)
        found[groups_of(person)].append(person)
    supply = {cell: iter(people) for cell, people in found.items()}
    return [next(supply[cell]) for cell in _design(least, {cell: len(people) for cell, people in found.items()})]


def _cells() -> list[Cell]:
    return list(product(*GROUPINGS.values()))


def _design(least: int, supply: Mapping[Cell, int] | None = None) -> list[Cell]:
    """One cell for each person, in the order in which they are filled: every group ``least`` times or more.

    Args:
        least: see `choose_people`.
        supply: people there are in each cell; None is as many as it takes.

    Raises:
        BadInput: if the supply is too small.
    """
    taken: Counter[tuple[str, ...]] = Counter()  # of groups, of pairs of groups and of cells
    groups = [group for names in GROUPINGS.values() for group in names]
    chosen: list[Cell] = []
    while short := {group for group in groups if taken[(group,)] < least}:
        open_cells = [
            cell
            for cell in _cells()
            if (supply is None or taken[cell] < supply.get(cell, 0)) and not short.isdisjoint(cell)
        ]
        if not open_cells:
            counts = ", ".join(f"{taken[(group,)]} of '{group}'" for group in groups if group in short)
            raise BadInput(f"There are too few held-out people: {counts}; ask for fewer than {least} a group.")
        chosen.append(min(open_cells, key=lambda cell, short=short: _place(cell, short, taken)))
        taken.update(part for size in (1, 2, len(GROUPINGS)) for part in combinations(chosen[-1], size))
    return chosen


def _place(cell: Cell, short: set[str], taken: Counter[tuple[str, ...]]) -> tuple[int, ...]:
    """The lower, the sooner a cell is filled: short groups, even groups, even pairs of groups, even cells."""
    lowest = [min(taken[(group,)] for group in names) for names in GROUPINGS.values()]
    ahead = sum(taken[(group,)] - low for group, low in zip(cell, lowest, strict=True))
    pairs = sum(taken[pair] for pair in combinations(cell, 2))
    return -len(short.intersection(cell)), ahead, pairs, taken[cell]
