from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.captions.compose import describe
from mien.demo.examples import Examples
from mien.faces import palette
from mien.faces.surroundings import background_colours, nearest_gradient, surroundings


def test_a_colour_between_a_gradients_ends_is_its_own() -> None:
    named = {"red": ((0, 0, 0), (100, 0, 0)), "blue": ((0, 0, 0), (0, 0, 100)), "point": ((9, 9, 9), (9, 9, 9))}
    colours = [(60, 5, 0), (0, 5, 60), (160, 0, 0), (8, 9, 10)]
    assert nearest_gradient(colours, named) == ["red", "blue", "red", "point"]
    middles = {name: np.mean(ends, 0) for name, ends in palette.BACKGROUNDS.items()}
    assert nearest_gradient(np.array(list(middles.values())), palette.BACKGROUNDS) == list(middles)


def test_corners_and_shoulders_are_told() -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:] = np.mean(palette.BACKGROUNDS["purple"], 0)
    picture[20:110, 40:90] = (120, 80, 60)  # somebody
    picture[112:] = palette.CLOTHES["teal"]
    np.testing.assert_allclose(background_colours([picture])[0], picture[0, 0])
    told = surroundings(picture)
    assert told == {"background": "purple", "clothing": "teal crew neck"}
    assert "wearing a teal sweater, purple background" in describe(told)
    picture[112:] = np.array(palette.CLOTHES["teal"]) * 0.6  # in the shade
    picture[:8, :8] = 0  # a lock of hair in a corner
    assert surroundings(picture) == told


@pytest.mark.parametrize("size", [33, 64, 200])
def test_any_size_will_do(size: int) -> None:
    assert surroundings(np.full((size, size, 3), 250, np.uint8))["background"] == "white"


def test_a_studio_reader_tells_what_is_around_the_people_of_the_demo() -> None:
    from mien.faces.studio import StudioReader

    reader = StudioReader.from_pretrained()
    backgrounds = {"Ada": "teal", "Bo": "purple", "Cleo": "brown", "Dara": "teal", "Eli": "orange"}
    for person in Examples.load().people:
        face = reader.read(Image.open(Path(person.path)).convert("RGB")).face()
        assert face.attributes is not None
        assert face.attributes["background"] == backgrounds[person.name]
