import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from mien.errors import BadInput
from mien.studio.convert import STEP, convert_facekit
from mien.studio.kit import FaceKit

POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 2, 0]], float)


def write_obj(file: Path, points: np.ndarray) -> None:
    lines = [f"v {x} {y} {z}" for x, y, z in points]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1", "vt 0.5 0.5", "usemtl skin", "f 1/1 2/2 3/3 4/4", "f 1/5 3/3 4/4"]
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "kit" / "FaceXModel"
    root.mkdir(parents=True)
    write_obj(root / "generic_neutral_mesh.obj", POINTS)
    for index in range(3):
        write_obj(root / f"identity{index:03d}.obj", POINTS + 0.1 * (index + 1))
    for index, name in enumerate(("browDown_L", "jawOpen")):
        write_obj(root / f"{name}.obj", POINTS + np.array([0, -0.2 * (index + 1), 0]))
    indices = {"expressions": ["jawOpen", "browDown_L"], "idx_to_landmark_verts": [0, 2]}
    (root / "vertex_indices.json").write_text(json.dumps(indices))
    return tmp_path / "kit"


def test_a_tiny_kit(folder: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    file = convert_facekit(
        folder, tmp_path / "out" / "kit", lambda total, label: nullcontext(lambda count, note="", /: seen.append(count))
    )
    assert file.name == "kit.npz"
    assert seen == [1] * 5
    kit = FaceKit.load(file)
    # The fifth vertex is in no face, and the corner with two texture coordinates is split.
    np.testing.assert_allclose(kit.neutral, POINTS[:4])
    assert len(kit.vertex_of_render) == 5
    assert kit.triangles.shape == (3, 3)
    assert kit.groups["face"] == (0, 3)
    assert kit.expression_names == ("browDown_L", "jawOpen")
    np.testing.assert_allclose(kit.identity[2], 0.3, atol=STEP)
    np.testing.assert_allclose(kit.expression[1][:, 1], -0.4, atol=STEP)
    assert kit.landmarks68.tolist() == [0, 2]


def test_the_same_bytes_twice(folder: Path, tmp_path: Path) -> None:
    first, second = (convert_facekit(folder, tmp_path / name) for name in ("a.npz", "b.npz"))
    assert FaceKit.load(first).neutral.tobytes() == FaceKit.load(second).neutral.tobytes()


def test_the_inner_folder_works_too(folder: Path, tmp_path: Path) -> None:
    assert convert_facekit(folder / "FaceXModel", tmp_path / "kit.npz").is_file()


def test_another_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not the ICT-FaceKit folder"):
        convert_facekit(tmp_path, tmp_path / "kit.npz")


def test_a_missing_expression(folder: Path, tmp_path: Path) -> None:
    (folder / "FaceXModel" / "jawOpen.obj").unlink()
    with pytest.raises(BadInput, match=r"lacks jawOpen\.obj"):
        convert_facekit(folder, tmp_path / "kit.npz")
    assert not (tmp_path / "kit.npz").exists()


def test_a_truncated_file(folder: Path, tmp_path: Path) -> None:
    write_obj(folder / "FaceXModel" / "identity001.obj", POINTS[:3])
    with pytest.raises(BadInput, match="3 vertices instead of 5"):
        convert_facekit(folder, tmp_path / "kit.npz")


def test_damaged_numbers(folder: Path, tmp_path: Path) -> None:
    (folder / "FaceXModel" / "generic_neutral_mesh.obj").write_text("v 0 x 0\n")
    with pytest.raises(BadInput, match="damaged"):
        convert_facekit(folder, tmp_path / "kit.npz")
