from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.errors import MissingDependency
from mien.faces.linear.state import ExpressionState
from mien.faces.linear.view import Camera
from mien.studio.furrows import FURROWS, furrow_weights
from mien.studio.kit import FaceKit
from mien.studio.person import Person, sample_person
from mien.studio.renderer import Renderer
from mien.studio.scene import Glasses, Scene, sample_scene

CHIN, FOREHEAD, NOSE = 152, 10, 1
SIZE = 128


@pytest.fixture(scope="module")
def renderer(kit_path: Path) -> Renderer:
    return Renderer(FaceKit.load(kit_path))


def plain(person: Person, **changes: object) -> Scene:
    """A frontal, neutral picture without glasses in the standard view."""
    base = replace(
        sample_scene(0, person), expression=ExpressionState(), pose=(0.0, 0.0, 0.0), glasses=None, camera=Camera(),
        headwear=None,
    )  # fmt: skip
    return replace(base, **changes)


@pytest.fixture(scope="module")
def person() -> Person:
    return replace(sample_person(11), hair_style="short")


def test_same_seeds_same_bytes(renderer: Renderer, kit_path: Path) -> None:
    person = sample_person(3)
    picture = sample_scene(2, person)
    first = renderer.render(person, picture)
    renderer.render(sample_person(4), sample_scene(0, sample_person(4)))
    again = renderer.render(person, picture)
    elsewhere = Renderer(FaceKit.load(kit_path)).render(person, picture)
    for other in (again, elsewhere):
        assert first.image.tobytes() == other.image.tobytes()
        assert first.mask.tobytes() == other.mask.tobytes()
        np.testing.assert_array_equal(first.landmarks, other.landmarks)


def test_what_comes_back(renderer: Renderer, person: Person) -> None:
    render = renderer.render(person, plain(person))
    assert render.image.shape == (SIZE, SIZE, 3)
    assert render.image.dtype == np.uint8
    assert render.mask.shape == (SIZE, SIZE)
    assert set(np.unique(render.mask)) == {0, 255}
    assert render.landmarks.shape == (478, 3)


def test_two_pictures_share_the_person(renderer: Renderer, person: Person) -> None:
    """Clothes, light and background change pixels, never the geometry."""
    first = renderer.render(person, plain(person))
    redrawn = replace(plain(person), background="dark", light=sample_scene(9, person).light, hair_color="auburn")
    second = renderer.render(person, redrawn)
    np.testing.assert_array_equal(first.head.points, second.head.points)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)
    assert (first.image != second.image).any()


def test_framing(renderer: Renderer, person: Person) -> None:
    """Chin to hairline is about two thirds of the picture, and a turned head stays inside."""
    marks = renderer.render(person, plain(person)).landmarks
    assert 0.52 < (marks[CHIN, 1] - marks[FOREHEAD, 1]) / SIZE < 0.72
    for yaw in (-40.0, 40.0):
        marks = renderer.render(person, plain(person, pose=(yaw, 0.0, 0.0))).landmarks
        assert marks[:, :2].min() > 0
        assert marks[:, :2].max() < SIZE


def test_pose_signs(renderer: Renderer, person: Person) -> None:
    """Yaw + to the picture's right, pitch + up, roll + tilts the top of the head to the picture's right."""

    def nose_and_axis(pose: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
        marks = renderer.render(person, plain(person, pose=pose)).landmarks[:, :2]
        middle = (marks[234] + marks[454]) / 2  # between the ears
        return marks[NOSE] - middle, marks[FOREHEAD] - marks[CHIN]

    rest, upright = nose_and_axis((0.0, 0.0, 0.0))
    assert nose_and_axis((20.0, 0.0, 0.0))[0][0] > rest[0] + 3
    assert nose_and_axis((-20.0, 0.0, 0.0))[0][0] < rest[0] - 3
    assert nose_and_axis((0.0, 15.0, 0.0))[0][1] < rest[1] - 3
    assert nose_and_axis((0.0, -15.0, 0.0))[0][1] > rest[1] + 3
    assert nose_and_axis((0.0, 0.0, 15.0))[1][0] > upright[0] + 10


def test_gaze_moves_the_irises(renderer: Renderer, person: Person) -> None:
    def irises(gaze: tuple[float, float]) -> np.ndarray:
        picture = plain(person, expression=ExpressionState.build({}, gaze=gaze))
        return renderer.render(person, picture).landmarks[[468, 473], :2]

    ahead = irises((0.0, 0.0))
    assert (irises((20.0, 0.0))[:, 0] > ahead[:, 0] + 0.5).all()
    assert (irises((0.0, 15.0))[:, 1] < ahead[:, 1] - 0.3).all()


def test_left_landmarks_are_on_the_subjects_left(renderer: Renderer, person: Person) -> None:
    marks = renderer.render(person, plain(person)).landmarks
    assert marks[473, 0] > marks[468, 0] + 10  # MediaPipe's left iris lies right in the picture


def test_mask_covers_the_face_only(renderer: Renderer, person: Person) -> None:
    render = renderer.render(person, plain(person))
    share = (render.mask > 0).mean()
    assert 0.12 < share < 0.45
    for index in (NOSE, 13, 468, 473, 50, 280):
        x, y = render.landmarks[index, :2].astype(int)
        assert render.mask[y, x] == 255
    assert not render.mask[:4].any()
    assert not render.mask[-4:].any()
    assert not render.mask[:, :4].any()


def test_matte_is_the_person_without_the_background(renderer: Renderer, person: Person) -> None:
    render = renderer.render(person, sample_scene(1, person))
    assert render.matte.shape == render.mask.shape and render.matte.dtype == np.uint8
    assert (render.matte[render.mask > 0] > 200).mean() > 0.98  # the face is part of the person
    assert not render.matte[:3, :3].any() and not render.matte[:3, -3:].any()  # corners show the background
    assert 0.3 < (render.matte > 127).mean() < 0.8


def test_hair_is_cut_out_of_the_mask_and_glasses_are_not(renderer: Renderer, person: Person) -> None:
    bald = renderer.render(replace(person, hair_style="bald"), plain(person))
    fringe = renderer.render(replace(person, hair_style="bangs"), plain(person))
    assert (fringe.mask > 0).sum() < 0.93 * (bald.mask > 0).sum()
    worn = renderer.render(person, plain(person, glasses=Glasses("round", "black", 1.0, 0.2)))
    without = renderer.render(person, plain(person))
    changed = (worn.image.astype(int) - without.image).max(-1) != 0
    assert changed.any()
    assert (worn.mask != without.mask).mean() < 0.002


def test_expression_reaches_pixels_landmarks_and_skin(renderer: Renderer, person: Person) -> None:
    neutral = renderer.render(person, plain(person))
    opened = renderer.render(person, plain(person, expression=ExpressionState.build({"jawOpen": 0.8})))
    gap = opened.landmarks[14, 1] - opened.landmarks[13, 1]
    assert gap > neutral.landmarks[14, 1] - neutral.landmarks[13, 1] + 4
    flushed = renderer.render(person, plain(person, expression=ExpressionState(flush=1.0)))
    np.testing.assert_array_equal(flushed.landmarks, neutral.landmarks)
    x, y = neutral.landmarks[50, :2].astype(int)
    cheek = (slice(y - 3, y + 4), slice(x - 3, x + 4))
    redness = [image[cheek][..., 0].mean() / image[cheek][..., 1].mean() for image in (neutral.image, flushed.image)]
    assert redness[1] > redness[0] * 1.03


def test_a_beard_leaves_the_open_mouth_free(renderer: Renderer) -> None:
    man = replace(sample_person(8), hair_style="short", beard="full beard", beard_length=1.0, stubble=0.6, gender=-0.7)
    speaking = ExpressionState.build({"jawOpen": 0.7})
    shaved, bearded = (
        renderer.render(man, plain(man, expression=speaking, beard=beard)) for beard in ("none", "full beard")
    )
    x, y = ((shaved.landmarks[13, :2] + shaved.landmarks[14, :2]) / 2).astype(int)
    mouth = (slice(y - 2, y + 3), slice(x - 4, x + 5))
    assert np.abs(shaved.image[mouth].astype(int) - bearded.image[mouth]).mean() < 6


def test_furrows_follow_expression_and_age() -> None:
    def weight(name: str, coefficients: dict[str, float], age: float) -> float:
        return float(furrow_weights(coefficients, age, 0.3)[FURROWS.index(name)])

    assert weight("nasolabial_L", {"mouthSmile_L": 1.0}, 25) > weight("nasolabial_R", {"mouthSmile_L": 1.0}, 25) + 0.3
    assert weight("nose_R", {"noseSneer_R": 1.0}, 25) > 0.5
    assert weight("forehead_inner_L", {"browInnerUp_L": 1.0}, 25) > 0.3
    assert weight("under_eye_L", {}, 75) > weight("under_eye_L", {}, 25) + 0.3
    for name in ("nasolabial_L", "crow_R", "eye_bag_L", "jowl_R", "lip_L"):
        assert weight(name, {}, 76) > weight(name, {}, 50) + 0.3
        assert name[:3] in ("nas", "cro") or weight(name, {}, 48) == 0.0


@pytest.mark.parametrize(
    ("driven", "lines"),
    [
        (("browInnerUp_L", "browInnerUp_R", "browOuterUp_L"), ("forehead_inner_L", "forehead_outer_L")),
        (("browDown_L", "browDown_R"), ("glabella_L", "glabella_R")),
        (("noseSneer_L", "noseSneer_R"), ("nose_L", "nose_R")),
        (("cheekSquint_L", "mouthSmile_L"), ("crow_L", "nasolabial_L")),
    ],
)
def test_wrinkles_come_and_go_with_what_drives_them(
    renderer: Renderer, driven: tuple[str, ...], lines: tuple[str, ...]
) -> None:
    depths = [furrow_weights(dict.fromkeys(driven, v), 30.0, 0.3) for v in (0.0, 0.5, 1.0)]
    for line in lines:
        rest, half, full = (float(depth[FURROWS.index(line)]) for depth in depths)
        assert full > half + 0.15 > rest + 0.3 and rest < 0.1
    person = replace(sample_person(11), hair_style="bald", age=30.0)
    names = set(renderer.kit.expression_names)
    state = ExpressionState.build({name: 1.0 for name in driven if name in names})
    furrows = renderer.pose_head(person, plain(person, expression=state))[2]
    assert furrows.max() > renderer.pose_head(person, plain(person))[2].max() + 0.2


def test_old_skin_looks_old_and_young_skin_stays(renderer: Renderer) -> None:
    young = replace(sample_person(11), hair_style="bald", age=30.0, beard="none")
    old = replace(young, age=76.0)

    def contrast(person: Person) -> float:
        """Mean difference between neighbouring pixels of the cheeks, beside the nose."""
        render = renderer.render(person, plain(person))
        (x0, y0), (x1, y1) = render.landmarks[[50, 280], :2].astype(int)
        grey, y = render.image.astype(float).mean(2), (y0 + y1) // 2
        return float(np.abs(np.diff(grey[y - 10 : y + 12, x0 - 6 : x1 + 7], axis=0)).mean())

    assert contrast(old) > 1.15 * contrast(young)
    assert contrast(replace(young, age=28.0)) < 1.05 * contrast(young)


def test_brows_thin_with_age() -> None:
    people = [sample_person(seed) for seed in range(600)]
    hairs = [[p.brows.hairs for p in people if low < p.age <= high] for low, high in ((18, 50), (68, 80))]
    assert np.mean(hairs[1]) < 0.8 * np.mean(hairs[0])


def test_other_sizes(kit_path: Path, person: Person) -> None:
    render = Renderer(FaceKit.load(kit_path), size=64, supersample=1).render(person, plain(person))
    assert render.image.shape == (64, 64, 3)
    assert render.landmarks[:, :2].max() < 64


def test_no_opengl_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    moderngl = pytest.importorskip("moderngl")

    from mien.studio.context import create_context

    def refuse(**_: object) -> None:
        raise Exception("cannot open libEGL.so.1")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    with pytest.raises(MissingDependency, match="libegl1 libegl-mesa0"):
        create_context()
