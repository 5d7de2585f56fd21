from pathlib import Path

import numpy as np
import pytest

from mien.errors import MienError
from mien.faces.linear.arkit import KIT_NAMES
from mien.studio.kit import FaceKit


@pytest.fixture(scope="module")
def kit(kit_path: Path) -> FaceKit:
    return FaceKit.load(kit_path)


def test_shapes_and_names(kit: FaceKit) -> None:
    vertices = len(kit.neutral)
    assert kit.identity.shape == (100, vertices, 3)
    assert kit.expression.shape == (53, vertices, 3)
    assert kit.expression_names == tuple(KIT_NAMES)
    assert kit.triangles.max() < len(kit.vertex_of_render)
    assert kit.mesh_triangles.max() < vertices
    assert len(kit.sha256) == 64


def test_linear_combinations(kit: FaceKit) -> None:
    np.testing.assert_array_equal(kit.shape([0.0] * 100), kit.neutral)
    coefficients = np.zeros(53, np.float32)
    coefficients[[3, 7]] = 0.5, 0.25
    wanted = 0.5 * kit.expression[3] + 0.25 * kit.expression[7]
    np.testing.assert_allclose(kit.offsets(coefficients), wanted, atol=1e-6)


def test_normals_point_outwards(kit: FaceKit) -> None:
    normals = kit.normals(kit.neutral)
    nose = int(np.argmax(kit.neutral[:, 2]))
    assert normals[nose, 2] > 0.8
    np.testing.assert_allclose(np.linalg.norm(normals[kit.vertices_in("face")], axis=1), 1.0, atol=1e-3)


def test_the_left_is_the_subjects_left(kit: FaceKit) -> None:
    assert kit.neutral[kit.vertices_in("sclera_l"), 0].min() > 0
    blink = kit.expression[kit.expression_names.index("eyeBlink_L")]
    moved = np.linalg.norm(blink, axis=1) > 0.2
    assert kit.neutral[moved, 0].min() > 0


def test_the_gender_axis_is_one_direction() -> None:
    from mien.studio.gender_axis import FEMININE

    assert abs(np.linalg.norm(FEMININE) - 1.0) < 0.02


def test_no_path_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIEN_FACEKIT", raising=False)
    with pytest.raises(MienError, match="MIEN_FACEKIT"):
        FaceKit.load()


def test_the_variable_is_used(kit_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_FACEKIT", str(kit_path))
    assert len(FaceKit.load().neutral) > 20_000


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(MienError, match=r"No face kit at .*absent\.npz"):
        FaceKit.load(tmp_path / "absent.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"hello"])
def test_files_that_are_no_kit(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "kit.npz"
    file.write_bytes(content)
    with pytest.raises(MienError, match="face kit"):
        FaceKit.load(file)


def test_an_npz_of_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "kit.npz", tri=np.zeros(3))
    with pytest.raises(MienError, match="lacks"):
        FaceKit.load(tmp_path / "kit.npz")
