from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.captions.words import hair
from mien.faces.linear.state import ExpressionState
from mien.faces.linear.view import Camera
from mien.studio.hair_styles import STYLES
from mien.studio.kit import FaceKit
from mien.studio.person import HAIR_LENGTHS, Person, sample_person
from mien.studio.renderer import Renderer
from mien.studio.rope_styles import ROPES, rope_style
from mien.studio.scene import Scene, sample_scene
from mien.studio.strands import ribbons

BRAIDED = ("locs", "box braids", "plaits")


@pytest.fixture(scope="module")
def renderer(kit_path: Path) -> Renderer:
    return Renderer(FaceKit.load(kit_path))


def plain(person: Person) -> Scene:
    return replace(
        sample_scene(0, person), expression=ExpressionState(), pose=(0.0, 0.0, 0.0), glasses=None, camera=Camera(),
        headwear=None, hair_color="pink",
    )  # fmt: skip


def test_some_whose_hair_suits_it_have_locs_or_braids() -> None:
    people = [sample_person(seed) for seed in range(2000)]
    shares = {style: np.mean([person.hair_style == style for person in people]) for style in BRAIDED}
    assert 0.04 < sum(shares.values()) < 0.11 and min(shares.values()) > 0.005
    for seed in range(500):
        for style in ("bald", "buzz cut", "crop", "short", "quiff"):
            assert rope_style(seed, style, seed % 4) == style
        assert rope_style(seed, "afro", 3) in ("afro", *ROPES)
        assert rope_style(seed, "bob", 0) in ("bob", "plaits")


def test_styles_are_known_everywhere_and_old_classes_keep_their_places() -> None:
    assert tuple(HAIR_LENGTHS)[-3:] == BRAIDED and tuple(HAIR_LENGTHS)[:2] == ("bald", "buzz cut")
    assert set(BRAIDED) <= set(STYLES)
    assert hair({"hair_style": "box braids", "hair_color": "black"}) == "long black box braids"
    assert hair({"hair_style": "plaits", "hair_color": "brown"}) == "long brown hair in two braids"


@pytest.mark.parametrize("style", BRAIDED)
def test_they_hang_beside_the_face(renderer: Renderer, style: str) -> None:
    person = replace(sample_person(6), hair_style=style)
    render = renderer.render(person, plain(person))
    assert render.image.tobytes() == renderer.render(person, plain(person)).image.tobytes()
    bald = renderer.render(replace(person, hair_style="bald"), plain(person))
    np.testing.assert_array_equal(bald.landmarks, render.landmarks)
    pink = (render.image[..., 0] > 1.25 * render.image[..., 1].astype(float)) & (
        render.image.astype(int) - bald.image != 0
    ).any(-1)
    chin = int(render.landmarks[152, 1])
    for side in (slice(0, 52), slice(76, 128)):  # left and right of the neck
        assert pink[chin - 6 : chin + 10, side].sum() > 25
    assert (render.mask > 0).sum() > 0.85 * (bald.mask > 0).sum()


def test_ropes_keep_their_width_and_long_hair_parts_at_its_ends(renderer: Renderer) -> None:
    made = {}
    for style in ("locs", "long straight", "short"):
        strands = renderer.geometry(replace(sample_person(6), hair_style=style)).hair
        assert strands is not None
        made[style] = strands
    assert made["locs"].rope > 0 and not made["locs"].frayed
    assert made["long straight"].frayed and made["long straight"].rope == 0
    assert not made["short"].frayed and made["short"].rope == 0
    widths = ribbons(made["short"])[:, 8].reshape(len(made["short"].points), -1, 2)
    assert (widths[:, -1] < 0.1 * widths[:, 0]).all()
