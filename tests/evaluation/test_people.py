from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from mien.errors import BadInput
from mien.evaluation.control import people
from mien.evaluation.control.people import GROUPINGS, choose_people, groups_of, labels_of
from mien.evaluation.control.scene import lay_out
from mien.evaluation.control.settings import ControlSettings
from mien.studio.person import Person
from tests.evaluation.fake_control import everybody


@pytest.fixture
def supply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "sample_person", everybody)


def counts(chosen: list[Person]) -> Counter[str]:
    return Counter(group for person in chosen for group in groups_of(person))


def test_groups() -> None:
    assert groups_of(everybody(0)) == ("band 0", "under 30", "woman")
    assert groups_of(everybody(1 + 4 + 16)) == ("band 1", "30 to 44", "in between")
    assert groups_of(everybody(2 + 8 + 32)) == ("band 2", "45 to 59", "man")
    assert groups_of(everybody(3 + 12))[1] == "60 and over"
    labels = labels_of([everybody(0), everybody(1)])
    assert labels == {"skin": ["band 0", "band 1"], "age": ["under 30"] * 2, "gender": ["woman"] * 2}


@pytest.mark.parametrize("least", [1, 2, 5, 12, 60])
def test_as_few_people_as_every_group_takes(least: int, supply: None) -> None:
    chosen = choose_people(least, range(100_000))
    assert len(chosen) == 4 * least == len({person.seed for person in chosen})
    found = counts(chosen)
    for name, groups in GROUPINGS.items():
        sizes = [found[group] for group in groups]
        assert min(sizes) >= least and max(sizes) - min(sizes) <= 1, name


def test_groups_of_one_grouping_hold_the_same_mix_of_the_others(supply: None) -> None:
    chosen = [groups_of(person) for person in choose_people(60, range(100_000))]
    for age in GROUPINGS["age"]:
        for band in GROUPINGS["skin"]:
            assert 13 <= sum(age in cell and band in cell for cell in chosen) <= 17
    assert set(Counter(chosen).values()) <= {4, 5, 6}


@pytest.mark.parametrize(("targets", "each"), [(100, 5), (20, 5), (100, 10), (4, 2)])
def test_every_group_is_shown_the_same_targets(targets: int, each: int, supply: None) -> None:
    chosen = choose_people(60, range(100_000))
    pairs = lay_out(ControlSettings(len(chosen), targets, each), in_blocks=True)
    assert len(set(pairs)) == len(pairs) == 240 * each
    for index, groups in enumerate(GROUPINGS.values()):
        seen = Counter((groups_of(chosen[pair.person])[index], pair.target) for pair in pairs)
        assert {seen[group, target] for group in groups for target in range(targets)} == {
            240 * each // targets // len(groups)
        }


def test_where_a_cell_runs_out_others_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def mostly_women(seed: int) -> Person:  # nobody in between is old or pale
        person = everybody(seed)
        odd = seed // 16 % 3 == 1 and (person.age >= 45 or person.skin_tone < 0.25)
        return replace(person, gender=0.7) if odd else person

    monkeypatch.setattr(people, "sample_person", mostly_women)
    chosen = choose_people(12, range(960))
    found = counts(chosen)
    assert all(found[group] >= 12 for names in GROUPINGS.values() for group in names)
    assert len(chosen) <= 52


def test_too_few_people(supply: None) -> None:
    with pytest.raises(BadInput, match=r"too few held-out people: .*0 of 'man'; ask for fewer than 2 a group"):
        choose_people(2, range(4))


def test_real_people_are_held_out() -> None:
    chosen = choose_people(1, range(900_000, 900_900))
    assert all(900_000 <= person.seed < 900_900 for person in chosen)
    assert min(counts(chosen)[group] for names in GROUPINGS.values() for group in names) >= 1
