"""An expression of landmarks and blendshapes: on faces of the linear model, whose coefficients are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import BadInput
from mien.faces.linear.arkit import KIT_INDEX
from mien.faces.linear.expression_fit import fit_expression, forget_expressions, settled
from mien.faces.linear.face import LinearFace
from mien.faces.linear.fit import fit_face

SIZE = 128


@pytest.fixture(scope="module")
def face() -> LinearFace:
    return LinearFace.load()


def coefficients(**named: float) -> NDArray[np.float64]:
    row = np.zeros(len(KIT_INDEX))
    for name, value in named.items():
        row[KIT_INDEX[name]] = value
    return row


def shape(face: LinearFace, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=face.shapes) * 0.7


def opening(points: NDArray[np.floating]) -> float:
    """Of the right eye, as a share of its width."""
    return float(np.linalg.norm((points[159] - points[145])[:2]) / np.linalg.norm((points[33] - points[133])[:2]))


SHOUT = {"jawOpen": 0.8, "mouthLowerDown_L": 0.7, "mouthLowerDown_R": 0.7, "browDown_L": 0.6, "browDown_R": 0.6}


def test_a_strong_expression_is_told_as_strong_as_it_is(face: LinearFace) -> None:
    shown = face.landmarks(coefficients(**SHOUT), pose=(12.0, -5.0, 4.0), shape=shape(face, 0), size=SIZE)
    fit, usual = fit_expression(shown), fit_face(shown)
    for name, value in SHOUT.items():
        assert fit.coefficients[KIT_INDEX[name]] == pytest.approx(value, abs=0.3), name
    told = [sum(one.coefficients[KIT_INDEX[name]] for name in SHOUT) for one in (fit, usual)]
    assert told[0] > told[1]
    assert fit.pose == pytest.approx((12.0, -5.0, 4.0), abs=2.0)


def test_points_that_no_face_has_count_less(face: LinearFace) -> None:
    """A hand at the cheek: forty points of the outline are drawn away."""
    shown = face.landmarks(coefficients(**SHOUT), shape=shape(face, 1), size=SIZE)
    moved = shown.copy()
    moved[np.argsort(shown[:, 0])[:40], 0] -= 0.08 * SIZE

    def change(fit: object) -> float:
        return float(np.abs(fit(moved).coefficients - fit(shown).coefficients).sum())  # type: ignore[operator]

    assert change(fit_expression) < change(fit_face)


def test_blendshapes_say_what_landmarks_leave_open(face: LinearFace) -> None:
    """A network that reads the opening of the mouth alone: told twice of it, the fit opens the mouth further."""
    shown = face.landmarks(coefficients(jawOpen=0.4), shape=shape(face, 2), size=SIZE)

    def network(points: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.zeros((len(points), 52), np.float32)
        eyes = np.linalg.norm(points[:, 33, :2] - points[:, 263, :2], axis=1)
        found[:, 25] = 4 * np.linalg.norm(points[:, 13, :2] - points[:, 14, :2], axis=1) / eyes
        return found

    read = network(shown[None])[0]
    jaw = KIT_INDEX["jawOpen"]
    alone, same, more = (
        fit_expression(shown), fit_expression(shown, read, network), fit_expression(shown, read * 1.5, network)
    )  # fmt: skip
    assert same.coefficients[jaw] == pytest.approx(alone.coefficients[jaw], abs=0.1)
    assert more.coefficients[jaw] > same.coefficients[jaw] + 0.02
    for fit in (alone, same, more):
        assert fit.coefficients.min() >= 0 and fit.coefficients.max() <= 1
    np.testing.assert_array_equal(fit_expression(shown, read).coefficients, alone.coefficients)  # no network, no use


def test_no_eye_is_wide_and_shut_at_once(face: LinearFace) -> None:
    both = coefficients(eyeWide_L=0.9, eyeBlink_L=0.9, eyeWide_R=0.9, eyeBlink_R=0.9)
    fit = fit_expression(face.landmarks(both, size=SIZE))
    for side in "LR":
        wide, shut = (fit.coefficients[KIT_INDEX[f"{name}_{side}"]] for name in ("eyeWide", "eyeBlink"))
        assert wide * shut < 0.3


@pytest.mark.parametrize("seed", [3, 4])
def test_shut_eyes_and_lips_stay_shut_on_another_face(face: LinearFace, seed: int) -> None:
    template, person = shape(face, seed), shape(face, seed + 10)
    shown = face.landmarks(coefficients(eyeBlink_L=1.0, eyeBlink_R=1.0), shape=template, size=SIZE)
    # as far as the model shuts them: MediaPipe's points of shut lids on renders lie apart
    shut = opening(face.landmarks(coefficients(eyeBlink_L=1.0, eyeBlink_R=1.0), shape=person, size=SIZE))
    kept = face.landmarks(settled(fit_expression(shown), shown, person), shape=person, size=SIZE)
    assert opening(kept) == pytest.approx(shut, rel=0.1)
    wide = face.landmarks(coefficients(jawOpen=0.7), shape=template, size=SIZE)
    row = settled(fit_expression(wide), wide, person)
    assert row.min() >= 0 and row.max() <= 1
    moved = face.landmarks(row, shape=person, size=SIZE)
    apart = [float(np.linalg.norm((one[13] - one[14])[:2])) for one in (wide, moved)]
    assert apart[1] == pytest.approx(apart[0], rel=0.25)


def test_fits_are_kept_until_they_are_forgotten_and_nobody_can_change_them(face: LinearFace) -> None:
    shown = face.landmarks(size=SIZE)
    fit = fit_expression(shown)
    assert fit_expression(shown) is fit
    with pytest.raises(ValueError, match="read-only"):
        fit.coefficients[0] = 1.0
    forget_expressions()
    assert fit_expression(shown) is not fit


def test_landmarks_of_another_shape_are_refused() -> None:
    with pytest.raises(BadInput, match="478 finite points"):
        fit_expression(np.zeros((68, 2)))
