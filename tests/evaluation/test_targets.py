"""Targets are balanced over emotions and intensities, and the choice is written down."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from mien.conditions import EMOTIONS
from mien.evaluation.control.scene import target_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.targets import INTENSITIES, balanced_people, cell_of, wanted_cell

SETTINGS = ControlSettings(targets=100)
FIRST_EIGHT = [950000, 950014, 950030, 950073, 950020, 950149, 950021, 950113]


def test_every_emotion_and_intensity_is_a_target_equally_often() -> None:
    cells = [cell_of(one.picture.expression) for one in target_subjects(SETTINGS)]
    assert cells == [wanted_cell(row) for row in range(100)]
    emotions, intensities = (Counter(cell[part] for cell in cells) for part in (0, 1))
    assert set(emotions) == set(EMOTIONS) and max(emotions.values()) - min(emotions.values()) <= 1
    assert max(intensities[name] for name in INTENSITIES) - min(intensities[name] for name in INTENSITIES) <= 2
    assert Counter(cells)["happy", "strong"] in (4, 5)


def test_nobody_is_two_targets_and_fewer_targets_are_the_first_of_more() -> None:
    seeds = [person.seed for person in balanced_people(SETTINGS.first_target, 100)]
    assert len(set(seeds)) == 100 and min(seeds) >= SETTINGS.first_target
    assert [person.seed for person in balanced_people(SETTINGS.first_target, 10)] == seeds[:10]
    assert seeds[:8] == FIRST_EIGHT  # the benchmark's targets, written down: a change of the sampler is a new benchmark


def test_the_first_people_can_still_be_asked_for() -> None:
    first = target_subjects(replace(SETTINGS, targets=3, target_choice="first"))
    assert [one.person.seed for one in first] == [950_000, 950_001, 950_002]
