from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.captions.compose import describe
from mien.captions.words import hair, headwear
from mien.faces import palette
from mien.faces.linear.state import ExpressionState
from mien.faces.linear.view import Camera
from mien.studio.captions import caption
from mien.studio.dressing import dress, press
from mien.studio.head_field import CENTER, HeadField
from mien.studio.headwear import HABITS, HEADWEAR, Headwear, sample_habit, visible_hair
from mien.studio.headwear_meshes import edge_height
from mien.studio.kit import FaceKit
from mien.studio.person import Person, sample_person
from mien.studio.renderer import Renderer
from mien.studio.scene import Scene, attributes, sample_scene


@pytest.fixture(scope="module")
def renderer(kit_path: Path) -> Renderer:
    return Renderer(FaceKit.load(kit_path))


@pytest.fixture(scope="module")
def woman() -> Person:
    return replace(sample_person(6), hair_style="long straight", gender=0.7)


def plain(person: Person, kind: str | None = None, **changes: object) -> Scene:
    worn = Headwear(kind, "red") if kind else None
    changes = {"expression": ExpressionState(), "pose": (0.0, 0.0, 0.0), "glasses": None, "camera": Camera()} | changes
    return replace(sample_scene(0, person), headwear=worn, **changes)


def test_one_in_seven_wears_something_and_no_man_a_headscarf() -> None:
    people = [sample_person(seed) for seed in range(1500)]
    wearers = [person for person in people if person.headwear != "none"]
    assert 0.12 < len(wearers) / len(people) < 0.18
    assert {person.headwear for person in wearers} == set(HABITS) - {"none"}
    assert all(person.feminine for person in wearers if person.headwear == "headscarf")
    pictures = [(person, sample_scene(number, person)) for person in wearers for number in range(4)]
    kinds = {picture.headwear.kind for _, picture in pictures if picture.headwear}
    assert kinds == set(HEADWEAR)
    bare = np.mean([picture.headwear is None for _, picture in pictures])
    assert 0.08 < bare < 0.35
    for _, picture in pictures:
        assert picture.headwear is None or picture.headwear.color in palette.CLOTHES


def test_headwear_changes_nothing_else_that_is_drawn() -> None:
    for seed in range(400):
        person = sample_person(seed)
        assert person.headwear == sample_habit(seed, person.feminine)
        drawn = sample_scene(3, person)
        assert drawn == sample_scene(3, person)
        bare = sample_scene(3, replace(person, headwear="none"))
        assert bare.headwear is None
        assert replace(drawn, headwear=None) == bare


def test_hair_is_named_as_far_as_it_shows() -> None:
    hat = Headwear("hat", "black")
    assert visible_hair(None, "crop", "short", "brown") == ("crop", "short", "brown")
    assert visible_hair(hat, "long wavy", "long", "brown") == ("long wavy", "long", "brown")
    assert visible_hair(hat, "crop", "short", "brown") == ("hidden", "short", "brown")
    assert visible_hair(hat, "bald", "bald", "brown") == ("hidden",) * 3
    assert visible_hair(Headwear("headscarf", "black"), "bob", "medium", "brown") == ("hidden",) * 3


def test_captions_speak_of_headwear_and_not_of_hidden_hair() -> None:
    assert headwear({}) == ""
    assert headwear({"headwear": "cap", "headwear_color": "orange"}) == "an orange cap"
    assert hair({"hair_style": "hidden", "hair_length": "short", "hair_color": "brown"}) == "short brown hair"
    assert hair({"hair_style": "hidden", "hair_length": "hidden", "hair_color": "hidden"}) == ""
    person = sample_person(6)
    scarf = replace(sample_scene(3, person), headwear=Headwear("headscarf", "teal"))
    bare = replace(scarf, headwear=None)
    texts = [caption(person, scarf, np.random.default_rng(seed)) for seed in range(60)]
    assert 0.75 < np.mean(["wearing a teal headscarf" in text for text in texts]) < 1.0
    assert not any("hair" in text or "hidden" in text for text in texts)
    assert not any("headscarf" in caption(person, bare, np.random.default_rng(seed)) for seed in range(20))
    named = attributes(person, scarf)
    assert (named["headwear"], named["headwear_color"], named["hair_style"]) == ("headscarf", "teal", "hidden")
    assert f"wearing a teal headscarf and a {scarf.clothing.name.split()[0]}" in describe(named)


@pytest.mark.parametrize("kind", HEADWEAR)
def test_headwear_is_seen_and_the_labels_stay(renderer: Renderer, woman: Person, kind: str) -> None:
    bare, worn = renderer.render(woman, plain(woman)), renderer.render(woman, plain(woman, kind))
    again = renderer.render(woman, plain(woman, kind))
    assert worn.image.tobytes() == again.image.tobytes() and worn.mask.tobytes() == again.mask.tobytes()
    np.testing.assert_array_equal(bare.landmarks, worn.landmarks)
    assert renderer.render(woman, plain(woman)).image.tobytes() == bare.image.tobytes()
    # The crown is red; the nose is not, and only there is the face mask.
    x, y = (int(v) for v in worn.landmarks[10, :2])
    crown = worn.image[y - 14 : y - 8, x - 4 : x + 5].astype(float).mean((0, 1))
    assert crown[0] > 1.8 * crown[1]
    assert not worn.mask[: y - 6].any()
    nose = worn.landmarks[1, :2].astype(int)
    assert worn.mask[nose[1], nose[0]] == 255
    assert 0.65 < (worn.mask > 0).sum() / (bare.mask > 0).sum() <= 1.0


def test_a_scarf_gives_way_to_an_open_mouth(renderer: Renderer, woman: Person) -> None:
    speaking = ExpressionState.build({"jawOpen": 0.9})
    worn = renderer.render(woman, plain(woman, "headscarf", expression=speaking))
    x, y = worn.landmarks[17, :2].astype(int)  # below the lower lip
    assert worn.mask[y + 2, x] == 255
    chin = worn.landmarks[152, :2].astype(int)
    red = worn.image[min(chin[1] + 8, 127), chin[0]].astype(float)
    assert red[0] > 1.8 * red[1], "the cloth is under the chin still"


def test_hair_stays_under_the_hat(renderer: Renderer, kit_path: Path) -> None:
    kit = FaceKit.load(kit_path)
    person = replace(sample_person(6), hair_style="afro")
    geometry = renderer.geometry(person)
    assert geometry.hair is not None
    field = HeadField(kit, geometry.points)
    pressed = press(geometry.hair, field, "beanie")
    assert pressed is not None and len(pressed.points) < len(geometry.hair.points)
    offset = pressed.points.reshape(-1, 3) - CENTER
    distance = np.linalg.norm(offset, axis=1)
    inside = offset[:, 1] + CENTER[1] > edge_height("beanie", np.arctan2(offset[:, 0], offset[:, 2])) + 1.0
    assert inside.any()
    assert (distance - field.radius(offset / distance[:, None]))[inside].max() < 0.3
    assert dress(kit, geometry, Headwear("headscarf", "red")).hair is None
