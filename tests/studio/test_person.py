from dataclasses import replace

import numpy as np
import pytest

from mien.faces import palette
from mien.studio.person import BEARDS, HAIR_LENGTHS, Person, sample_person
from mien.studio.scene import GARMENTS, LIGHT_SIDES, PATTERNS, Scene, attributes, sample_light, sample_scene

COUNT = 600


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [sample_person(seed) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def pictures(people: list[Person]) -> list[tuple[Person, Scene]]:
    return [(person, sample_scene(person.seed % 7, person)) for person in people]


def test_a_seed_is_a_person() -> None:
    assert sample_person(5) == sample_person(5)
    assert sample_person(5).shape != sample_person(6).shape
    assert sample_scene(1, sample_person(5)) == sample_scene(1, sample_person(5))


def test_pictures_differ_and_combine() -> None:
    person, other = sample_person(5), sample_person(6)
    first, second = sample_scene(0, person), sample_scene(1, person)
    assert first != second
    third = sample_scene(3, other)
    combined = first.showing(third)
    assert combined.expression == third.expression and combined.pose == third.pose
    assert replace(combined, expression=first.expression, pose=first.pose) == first


def test_values_are_in_range(people: list[Person]) -> None:
    for person in people:
        assert len(person.shape) == 100
        assert max(abs(value) for value in person.shape) < 4.0
        assert -1.0 <= person.gender <= 1.0
        assert 18.0 <= person.age <= 80.0
        assert 0.0 <= person.skin_tone <= 1.0
        assert person.skin_band in range(4)
        assert person.eye_color in palette.EYES
        assert person.hair_style in HAIR_LENGTHS
        assert person.beard in BEARDS


def test_combinations_are_plausible(pictures: list[tuple[Person, Scene]]) -> None:
    dyed = sum(picture.hair_color in ("pink", "teal") for _, picture in pictures)
    assert dyed < 0.05 * COUNT
    for person, picture in pictures:
        if picture.hair_color in ("grey", "white"):
            assert person.age > 44.0
        if person.skin_band == 3:
            assert picture.hair_color not in ("blonde", "dark blonde", "ginger")
            assert person.eye_color not in ("blue", "green", "grey")
        if person.feminine:
            assert picture.beard == "none"
    painted = [person for person, picture in pictures if picture.makeup.lipstick != "none"]
    assert np.mean([person.feminine for person in painted]) > 0.9
    glasses = np.mean([picture.glasses is not None for _, picture in pictures])
    assert 0.2 < glasses < 0.4


def test_attributes_are_plain(pictures: list[tuple[Person, Scene]]) -> None:
    import json

    for person, picture in pictures[:50]:
        named = attributes(person, picture)
        assert json.loads(json.dumps(named)) == named
        assert named["background"] in palette.BACKGROUNDS
        assert picture.clothing.kind in GARMENTS
        assert picture.clothing.pattern in PATTERNS


def test_light_names_match_directions() -> None:
    rng = np.random.default_rng(0)
    lights = [sample_light(rng) for _ in range(200)]
    assert {light.side for light in lights} == set(LIGHT_SIDES)
    for light in lights:
        if light.side == "left":
            assert light.azimuth < -20
        if light.side == "right":
            assert light.azimuth > 20
        assert ("warm" in light.name) == (light.warmth > 0.05)
