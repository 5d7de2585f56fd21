"""The reader on top of uniface, with small files in the layout of its weights in the place of the real ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import MissingAsset
from mien.faces import FaceReader
from mien.faces.types import NoFace
from mien.faces.uniface import WEIGHTS, UnifaceReader
from tests.published import write_arcface
from tests.scrfd import EDGES, POINTS, write_scrfd

package: Any = pytest.importorskip("uniface", reason="uniface is not installed: pip install 'mien[uniface]'")
onnx: Any = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[test]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from uniface import constants  # noqa: E402


def save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: dict[str, list[Any]], constant: dict[str, Any]
) -> None:
    values = [numpy_helper.from_array(np.asarray(array), name) for name, array in constant.items()]
    seen = [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)]
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    graph = helper.make_graph([helper.make_node(*node[:-1], **node[-1]) for node in nodes], "g", seen, told, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


def write_mesh(path: Path) -> None:
    """All 478 points in the middle of the crop, a tenth of it in front; the presence is sure."""
    nodes = [
        ("ReduceMean", ["x"], ["m"], {"axes": [1, 2, 3], "keepdims": 1}),
        ("Mul", ["m", "zero"], ["none"], {}),
        ("Reshape", ["none", "flat"], ["row"], {}),
        ("Add", ["row", "points"], ["landmarks"], {}),
        ("Reshape", ["row", "column"], ["score0"], {}),
        ("Add", ["score0", "sure"], ["score"], {}),
    ]
    constant = {
        "zero": np.float32(0), "flat": np.array([-1, 1, 1]), "column": np.array([-1, 1]), "sure": np.float32(20),
        "points": np.tile(np.array([128, 128, -25.6], np.float32), (1, 478, 1)),
    }  # fmt: skip
    save(path, nodes, ["N", 3, 256, 256], {"landmarks": ["N", 478, 3], "score": ["N", 1]}, constant)


def write_bisenet(path: Path) -> None:
    """Skin where the picture is red, hair where it is not."""
    weight, bias = np.zeros((19, 3, 1, 1), np.float32), np.full(19, -100, np.float32)
    weight[1, 0], bias[1], bias[17] = 1, 0, 1
    save(
        path,
        [("Conv", ["x", "w", "b"], ["y"], {})],
        [1, 3, 512, 512],
        {"y": [1, 19, 512, 512]},
        {"w": weight, "b": bias},
    )


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UnifaceReader:
    monkeypatch.setenv("UNIFACE_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # the package hands BGR to SCRFD
    writers: dict[str, Any] = {
        "SCRFD": lambda path: write_scrfd(path, 2),
        "FaceMesh": write_mesh,
        "ArcFace": write_arcface,
        "BiSeNet": write_bisenet,
    }
    for kind, (enumeration, member) in WEIGHTS.items():
        weights = getattr(getattr(constants, enumeration), member)
        path = tmp_path / f"{weights.value}.onnx"
        writers[kind](path)
        known = constants.ModelInfo(
            url=constants.MODEL_REGISTRY[weights].url, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
        )
        monkeypatch.setitem(constants.MODEL_REGISTRY, weights, known)
    return UnifaceReader()


def test_a_face_has_box_points_landmarks_identity_and_mask(reader: UnifaceReader) -> None:
    assert isinstance(reader, FaceReader)
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[128:160, 160:192, 0] = 255
    face = reader.read(pixels).face()
    anchor = np.array([160.0, 128.0])
    box = np.array([*anchor - 32 * np.array(EDGES[:2]), *anchor + 32 * np.array(EDGES[2:])])
    np.testing.assert_allclose(face.box, box)
    assert face.points is not None
    np.testing.assert_allclose(face.points, anchor + 32 * np.array(POINTS).reshape(5, 2), atol=1e-3)
    middle = (box[:2] + box[2:]) / 2
    assert face.landmarks is not None and face.landmarks.shape == (478, 3)
    np.testing.assert_allclose(face.landmarks[:, :2], np.tile(middle, (478, 1)), atol=0.01)
    side = 1.5 * max(box[2:] - box[:2])
    np.testing.assert_allclose(face.landmarks[:, 2], -0.1 * side, rtol=1e-4)
    assert face.identity is not None
    assert np.linalg.norm(face.identity) == pytest.approx(1) and face.identity.dtype == np.float32
    assert face.mask is not None and face.mask.shape == (480, 640) and set(np.unique(face.mask)) == {0, 255}
    red = pixels[..., 0] == 255
    assert (face.mask[129:159, 161:191] == 255).all() and np.count_nonzero(
        (face.mask == 255) != red
    ) < 4 * 32  # its edge
    assert sorted(reader.files) == sorted(f"uniface/{path.name}" for path in reader.files.values())
    assert len(reader.files) == 4 and all(path.is_file() for path in reader.files.values())


def test_identity_is_the_one_of_our_own_arcface_on_the_same_points(reader: UnifaceReader, shared: Path) -> None:
    from PIL import Image

    from mien.faces.published.networks import open_face_network

    photo = Image.open(shared / "photos" / "portrait_a.png").convert("RGB").resize((256, 256))
    points = np.array([[100, 110], [150, 108], [126, 140], [104, 165], [148, 163]], np.float32)
    theirs = reader._networks["ArcFace"].get_normalized_embedding(np.asarray(photo)[..., ::-1], points)
    path = next(path for name, path in reader.files.items() if "arcface" in name)
    ours = open_face_network("arcface", path)([photo], points[None])["identity"][0]
    assert float(theirs @ ours) > 0.999


def test_nothing_is_found_and_batches_keep_their_order(reader: UnifaceReader) -> None:
    black = np.zeros((480, 640, 3), np.uint8)
    red = black.copy()
    red[128:160, 160:192, 0] = 255
    assert [len(reading.faces) for reading in reader.read_batch([black, red, black])] == [0, 1, 0]
    assert isinstance(reader.read(black), NoFace)


def test_without_the_weights_and_the_network_the_sentence_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIFACE_CACHE_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingAsset, match=r"scrfd_10g\.onnx of uniface are not in .*HF_HUB_OFFLINE"):
        UnifaceReader()
