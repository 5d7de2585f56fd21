from pathlib import Path

import numpy as np
import pytest

from mien.errors import BadInput
from mien.faces.linear import fit as fitting
from mien.faces.linear.arkit import KIT_NAMES
from mien.faces.linear.expressions import preset_expression
from mien.faces.linear.face import FACE_FILE, LinearFace
from mien.faces.linear.fit import LinearFit, fit_face, project_fit, retarget
from mien.faces.linear.landmark_map import MAP_FILE, LandmarkMap
from mien.faces.linear.state import gaze_coefficients

LEFT_EYE, RIGHT_EYE, NOSE_TIP, CHIN, UPPER_LIP, LOWER_LIP = 263, 33, 1, 152, 13, 14


@pytest.fixture(scope="module")
def face() -> LinearFace:
    return LinearFace.load()


def test_what_ships_is_small_and_carries_the_notice() -> None:
    assert FACE_FILE.stat().st_size < 300_000 and MAP_FILE.stat().st_size < 50_000
    assert "MIT License" in (FACE_FILE.parent / "LICENSE-ICT-FaceKit").read_text()


def test_landmarks_look_like_a_face(face: LinearFace) -> None:
    points = face.landmarks()
    assert points.shape == (478, 3) and points.dtype == np.float32
    assert points[LEFT_EYE, 0] > 64 > points[RIGHT_EYE, 0], "the subject's left is right in the picture"
    assert points[CHIN, 1] > points[NOSE_TIP, 1] > points[LEFT_EYE, 1]
    assert points[NOSE_TIP, 2] == points[:, 2].min() or points[NOSE_TIP, 2] < -10
    height = points[:, 1].max() - points[:, 1].min()
    assert 0.5 * 128 < height < 0.75 * 128 and np.allclose(
        face.landmarks(size=256)[:, :2], 2 * points[:, :2], atol=0.01
    )


def test_pose_gaze_and_expression_move_the_right_way(face: LinearFace) -> None:
    still = face.landmarks()
    assert face.landmarks(pose=(20, 0, 0))[NOSE_TIP, 0] > still[NOSE_TIP, 0] + 3
    up, down = (face.landmarks(pose=(0, pitch, 0)) for pitch in (15, -15))
    assert up[NOSE_TIP, 1] - up[LEFT_EYE, 1] < down[NOSE_TIP, 1] - down[LEFT_EYE, 1]
    tilted = face.landmarks(pose=(0, 0, 15))
    assert tilted[LEFT_EYE, 1] > tilted[RIGHT_EYE, 1], "the left eye sinks to the left shoulder"
    aside = face.landmarks(gaze=(20, 0))
    assert (aside[[468, 473], 0] > still[[468, 473], 0] + 1).all()
    open_mouth = face.landmarks(coefficients=preset_expression("surprise").array())
    assert open_mouth[LOWER_LIP, 1] - open_mouth[UPPER_LIP, 1] > still[LOWER_LIP, 1] - still[UPPER_LIP, 1] + 3


def test_fit_recovers_pose_gaze_and_bones(face: LinearFace) -> None:
    rng = np.random.default_rng(0)
    errors, bones = [], []
    for _ in range(12):
        shape = rng.normal(size=face.shapes)
        pose = tuple(rng.normal(size=3) * (15, 8, 5))
        gaze = tuple(rng.normal(size=2) * (8, 4))
        emotion = ("happy", "surprise", "sad", "anger")[int(rng.integers(4))]
        points = face.landmarks(preset_expression(emotion, 0.7).array(), pose, gaze, shape)
        fit = fit_face(points, face)
        errors.append([*np.subtract(fit.pose, pose), *np.subtract(fit.gaze, gaze)])
        bones.append(np.corrcoef(fit.shape[:15], shape[:15])[0, 1])
        assert fit.residual < 0.5
        assert np.abs(project_fit(face, fit) - points)[:, :2].mean() < 0.3
    assert (np.sqrt(np.square(errors).mean(0)) < (2, 2, 2, 3, 4)).all()
    assert np.mean(bones) > 0.8


def test_exact_landmarks_give_back_what_they_were_made_of(face: LinearFace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_NOISE", 1e-4)  # without the pull of the priors there is one answer
    rng = np.random.default_rng(5)
    for _ in range(4):
        gaze = (float(rng.normal() * 8), float(rng.normal() * 4))
        lids = gaze_coefficients(gaze)
        drawn = np.clip(rng.normal(size=len(KIT_NAMES)) * 0.3, 0, 1)  # half of them lie on the bound
        truth = LinearFit(
            shape=rng.normal(size=face.shapes),
            coefficients=np.array([
                lids.get(name, 0.0) if name.startswith("eyeLook") else value
                for name, value in zip(KIT_NAMES, drawn, strict=True)
            ]),
            gaze=gaze,
            pose=(float(rng.normal() * 15), float(rng.normal() * 8), float(rng.normal() * 5)),
            scale=6.5,
            translation=np.array([64.0, 70.0]),
            residual=0.0,
        )  # fmt: skip
        found = fit_face(project_fit(face, truth), face)
        for name in ("shape", "coefficients", "gaze", "pose", "scale", "translation"):
            assert getattr(found, name) == pytest.approx(getattr(truth, name), abs=1e-3), name


def noisy_faces(face: LinearFace, count: int) -> list[np.ndarray]:
    """Landmarks of faces with noise that no face has."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(count):
        expression = preset_expression(("happy", "surprise", "sad", "anger")[int(rng.integers(4))], 0.7).array()
        points = face.landmarks(expression, tuple(rng.normal(size=3) * (15, 8, 5)), shape=rng.normal(size=face.shapes))
        found.append(points + rng.normal(size=points.shape) * 0.4)
    return found


def test_fit_ends_where_more_steps_change_nothing(face: LinearFace, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = noisy_faces(face, 6)
    ended = [project_fit(face, fit_face(points, face)) for points in faces]
    monkeypatch.setattr(fitting, "_STEPS", 200)
    monkeypatch.setattr(fitting, "_SETTLED", 1e-9)
    fitting._fitted.cache_clear()
    for points, short in zip(faces, ended, strict=True):
        size = float(np.ptp(points[:, 1]))
        assert np.abs(project_fit(face, fit_face(points, face)) - short).max() < 1e-4 * size


def test_jacobian_is_the_derivative(face: LinearFace) -> None:
    solver = fitting.LandmarkSolver(face, np.asarray(noisy_faces(face, 1)[0], np.float64), None)
    rng = np.random.default_rng(8)
    solver.gaze, solver.shape = np.array([7.0, -4.0]), rng.normal(size=face.shapes)
    solver.driven = rng.uniform(0.2, 0.8, len(solver.driven))
    jacobian, here = solver._jacobian(solver.points(), solver._directions()), solver.project(solver.points())
    parts = ("rigid", "gaze", "shape", "driven")
    unknowns = [(part, index) for part in parts for index in range(len(vars(solver)[part]))]
    assert len(unknowns) == len(jacobian)
    for column, (part, index) in zip(jacobian, unknowns, strict=True):
        getattr(solver, part)[index] += 1e-5
        moved = (solver.project(solver.points()) - here) / 1e-5
        getattr(solver, part)[index] -= 1e-5
        assert np.abs(moved.T - column).max() < 1e-3, (part, index)


def test_one_face_is_fitted_once(face: LinearFace) -> None:
    (points,) = noisy_faces(face, 1)
    fit = fit_face(points, face)
    assert fit_face(points.copy(), face) is fit and fit_face(points, face, fit.shape) is not fit
    assert fit_face(points + 1, face) is not fit
    with pytest.raises(ValueError, match="read-only"):
        fit.shape[0] = 1.0


def test_fit_refuses_nonsense(face: LinearFace) -> None:
    for wrong in (np.zeros((468, 3)), np.full((478, 3), np.nan)):
        with pytest.raises(BadInput, match="478 finite points"):
            fit_face(wrong, face)


def test_retarget_keeps_pose_and_brings_the_bones(face: LinearFace) -> None:
    rng = np.random.default_rng(1)
    mine, theirs = rng.normal(size=(2, face.shapes))
    smile = preset_expression("happy").array()
    target = face.landmarks(smile, (15, 5, 0), shape=theirs)
    moved = retarget(target, mine, face)
    wanted = face.landmarks(smile, (15, 5, 0), shape=mine)
    before, after = (np.linalg.norm((p - wanted)[:, :2], axis=1).mean() for p in (target, moved))
    assert after < 0.35 * before
    assert fit_face(moved, face).pose == pytest.approx((15, 5, 0), abs=2)


def test_map_agrees_with_the_renderer_and_the_linear_face(face: LinearFace, kit_path: Path) -> None:
    from dataclasses import replace

    from mien.faces.linear.view import Camera
    from mien.studio.kit import FaceKit
    from mien.studio.linear_face_build import build_linear_face
    from mien.studio.person import sample_person
    from mien.studio.renderer import Renderer
    from mien.studio.scene import sample_scene

    kit = FaceKit.load(kit_path)
    landmarks = LandmarkMap.load()
    assert landmarks.vertices.max() < len(kit.neutral) and np.allclose(landmarks.weights.sum(1), 1, atol=1e-5)
    built = build_linear_face(kit, landmarks)
    assert np.abs(built.mean - face.mean).max() < 0.01 and np.abs(built.expression - face.expression).max() < 0.01
    assert (built.identity**2).sum() > 0.98 * sum((landmarks.surface(mode) ** 2).sum() for mode in kit.identity)
    renderer = Renderer(kit, size=128)
    for seed in (900_001, 900_002):
        person = sample_person(seed)
        picture = replace(sample_scene(4, person), camera=Camera())
        exact = renderer.render(person, picture).landmarks
        state = picture.expression
        bones = np.tensordot(np.array(person.shape), kit.identity, 1)
        eyes = [bones[kit.vertices_in(region)].mean(0) for region in ("sclera_l", "sclera_r")]
        offset = np.concatenate([landmarks.surface(bones), np.array(eyes)])
        shape = np.array([(offset * d).sum() / (d**2).sum() for d in face.identity])
        close = face.landmarks(state.coefficients, picture.pose, state.gaze, shape)
        assert np.linalg.norm((close - exact)[:, :2], axis=1).mean() < 0.4
