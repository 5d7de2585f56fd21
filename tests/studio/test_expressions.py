import numpy as np
import pytest

from mien.conditions import EMOTIONS
from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.linear.expressions import preset_expression
from mien.faces.linear.recipes import mirrored, plausible
from mien.faces.linear.state import ExpressionError, ExpressionState
from mien.studio.expression_sampling import KINDS, photo_like_expression, sample_expression


def test_the_studios_own_names_are_there() -> None:
    import mien.studio

    assert "preset_expression" in mien.studio.__all__  # docs/studio.md
    assert [name for name in mien.studio.__all__ if not callable(getattr(mien.studio, name))] == []


def test_state_is_checked() -> None:
    with pytest.raises(ExpressionError, match="53 coefficients"):
        ExpressionState((0.0,) * 52)
    with pytest.raises(ExpressionError, match="browDown_L"):
        ExpressionState((1.5,) + (0.0,) * 52)
    with pytest.raises(ExpressionError, match="gaze"):
        ExpressionState(gaze=(90.0, 0.0))
    with pytest.raises(ExpressionError, match="flush"):
        ExpressionState(flush=2.0)


def test_lids_follow_the_gaze() -> None:
    left = ExpressionState.build({}, (17.5, -15.0)).named()
    assert left == {"eyeLookOut_L": 0.5, "eyeLookIn_R": 0.5, "eyeLookDown_L": 0.5, "eyeLookDown_R": 0.5}


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_presets_grow_with_intensity(emotion: str) -> None:
    sums = [preset_expression(emotion, i).array().sum() for i in (0.0, 0.5, 1.0)]
    assert sums[0] == 0.0
    assert emotion == "neutral" or sums[0] < sums[1] < sums[2]
    with pytest.raises(ExpressionError):
        preset_expression(emotion, 1.5)


def test_sampling_is_deterministic_and_covers_the_space() -> None:
    first = [sample_expression(np.random.default_rng(i)) for i in range(20)]
    assert first == [sample_expression(np.random.default_rng(i)) for i in range(20)]
    rng = np.random.default_rng(0)
    rows = np.array([sample_expression(rng).array() for _ in range(3000)])
    assert rows.min() >= 0.0 and rows.max() <= 1.0
    reach = dict(zip(KIT_NAMES, rows.max(0), strict=True))
    assert min(reach.values()) > 0.35, "every coefficient is exercised"
    asymmetric = [
        abs(rows[:, KIT_NAMES.index(f"{n}_L")] - rows[:, KIT_NAMES.index(f"{n}_R")]).max()
        for n in ("eyeBlink", "mouthSmile", "browOuterUp")
    ]
    assert min(asymmetric) > 0.3


def test_a_wink_is_all_on_the_closed_side() -> None:
    """The squint, cheek and brow of a wink belong to the eye that is shut, whichever it is."""
    rng, closed_sides = np.random.default_rng(3), set()
    for _ in range(200):
        named = sample_expression(rng, "wink").named()
        left, right = (named.get(f"eyeBlink_{side}", 0.0) for side in "LR")
        if max(left, right) < 0.75 or min(left, right) > 0.5:  # both shut: a blink on top of the wink
            continue
        closed, opened = ("L", "R") if left > right else ("R", "L")
        closed_sides.add(closed)
        for stem in ("cheekSquint", "mouthSmile", "browDown"):
            small = 0.25  # faint tension of a resting face, and of the other side
            assert named.get(f"{stem}_{opened}", 0.0) <= max(named.get(f"{stem}_{closed}", 0.0), small)
    assert closed_sides == {"L", "R"}


def test_extremes_reach_what_photographs_of_emotions_show() -> None:
    rng = np.random.default_rng(4)
    rows = np.array([sample_expression(rng, "extreme").array() for _ in range(1500)])
    often = {name: float((rows[:, KIT_NAMES.index(name)] > 0.7).mean()) for name in KIT_NAMES}
    for name in (
        "jawOpen",
        "mouthUpperUp_L",
        "mouthPucker",
        "eyeBlink_L",
        "cheekPuff_L",
        "noseSneer_R",
        "mouthSmile_L",
    ):
        assert often[name] > 0.03, name


@pytest.mark.parametrize("kind", [*KINDS, *EMOTIONS[1:]])
def test_every_kind_samples(kind: str) -> None:
    rng = np.random.default_rng(1)
    assert all(isinstance(sample_expression(rng, kind), ExpressionState) for _ in range(30))


def test_unknown_kind_is_one_sentence() -> None:
    with pytest.raises(ExpressionError, match="no kind of expression called 'sneeze'"):
        sample_expression(np.random.default_rng(0), "sneeze")


def test_no_impossible_mixtures() -> None:
    rng = np.random.default_rng(2)
    for _ in range(1500):
        c = dict(zip(KIT_NAMES, sample_expression(rng).coefficients, strict=True))
        assert c["mouthClose"] <= c["jawOpen"]
        assert min(c["mouthLeft"], c["mouthRight"]) == 0.0
        for side in "LR":
            assert c[f"eyeBlink_{side}"] + c[f"eyeSquint_{side}"] < 1.15
            assert c[f"mouthSmile_{side}"] + c[f"mouthFrown_{side}"] < 1.05
    assert plausible({"eyeBlink_L": 1.0, "eyeWide_L": 1.0})["eyeWide_L"] == 0.0


def test_photo_like_pictures_are_calm() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        calm, mild = photo_like_expression(rng, calm=True).named(), photo_like_expression(rng).named()
        assert calm.get("eyeBlink_L", 0.0) == 0.0 and max(calm.values()) < 0.45
        assert mild.get("eyeBlink_R", 0.0) == 0.0 and mild.get("browDown_L", 0.0) < 0.5
    assert photo_like_expression(rng, calm=True).gaze == (0.0, 0.0)


def test_mirroring_twice_is_nothing() -> None:
    recipe = {"mouthSmile_L": 0.5, "mouthLeft": 0.3, "jawOpen": 0.2, "flush": 0.1}
    assert mirrored(recipe) == {"mouthSmile_R": 0.5, "mouthRight": 0.3, "jawOpen": 0.2, "flush": 0.1}
    assert mirrored(mirrored(recipe)) == recipe
