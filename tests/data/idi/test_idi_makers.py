"""Templates by redraw, by an ONNX swapper, and by the studio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mien.data.idi.filters import Read
from mien.data.idi.makers import Iterated, Job, Oracle
from mien.data.idi.swappers import OnnxSwapper, Redraw, face_region
from mien.data.schema import Sample
from mien.errors import BadInput
from mien.faces.observed import DetectedFace
from mien.faces.types import Face, NoFace, OneFace, Reading
from mien.generation.tools import FaceTools
from tests.synthetic import write_corpus
from tests.tiny import tiny_pipeline


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=512)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from mien.data.shards import read_shard

    folder = write_corpus(tmp_path_factory.mktemp("one"), people=1, per_person=1)
    return next(iter(read_shard(folder / "shard-00000.tar")))


def face_of(entry: Any, side: int) -> Face:
    points = (np.asarray(entry.sample.landmarks) * side / 128).astype(np.float32)
    return Face("t", (0.0, 0.0, side, side), landmarks=points)


def tools(entry: Any, side: int, blind: bool = False) -> FaceTools:
    def read(image: Any, source: str) -> Reading:
        return NoFace(source) if blind else OneFace(face_of(entry, side), source)

    crop = torch.randn(1, 5, 20, generator=torch.Generator().manual_seed(0))
    return FaceTools("t", read, lambda seen: (unit(0), {}), lambda seen: crop, lambda told: "")  # type: ignore[arg-type]


def job(entry: Any, side: int, seed: int = 5) -> Job:
    image = np.asarray(Image.fromarray(entry.image).resize((side, side)))
    target = Read(image, face_of(entry, side), unit(1))
    return Job(target, entry.sample, unit(2), unit(3), entry.sample, seed)


@pytest.mark.parametrize("conditions", [("expression",), ("expression", "landmarks")])
def test_redraw_changes_the_face_and_nothing_else(entry: Any, conditions: tuple[str, ...]) -> None:
    pipeline, own = tiny_pipeline(), tools(entry, 16)
    options: dict[str, Any] = {"num_inference_steps": 3}
    swapper = Redraw(pipeline, own, conditions, 0.7, options)
    maker = Iterated(pipeline, own, swapper, conditions, options)
    made = maker.make([job(entry, 16), job(entry, 16, seed=6)])
    assert maker.name == "redraw" and [one.shape for one in made] == [(16, 16, 3)] * 2
    assert (made[0] != made[1]).any(), "each attempt has noise of its own"
    alone = maker.make([job(entry, 16)])[0].astype(int)
    assert np.abs(alone - made[0]).max() <= 2

    seen = DetectedFace(Image.fromarray(np.full((16, 16, 3), 90, np.uint8)), face_of(entry, 16))
    swapped = [np.asarray(swapper.swap([seen], unit(who)[None], [1])[0]).astype(int) for who in (3, 4)]
    inside = np.asarray(face_region(seen, 0.0)) > 0
    assert np.abs(swapped[0] - swapped[1])[inside].max() > 0, "the third identity is drawn"
    assert 0 < inside.mean() < 1


def test_a_restruct_without_a_face_is_left_to_the_filters(entry: Any) -> None:
    pipeline, blind = tiny_pipeline(), tools(entry, 16, blind=True)
    options: dict[str, Any] = {"num_inference_steps": 2}
    made = Iterated(pipeline, blind, Redraw(pipeline, blind, options=options), options=options).make([job(entry, 16)])
    assert made[0].shape == (16, 16, 3)


def swapper_file(path: Path, size: int, matrix: bool = True) -> Path:
    """A network in the published layout that paints the whole crop with what it finds in the embedding."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[test]'")
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Slice", ["source", "zero", "one", "axis"], ["first"]),
        helper.make_node("Reshape", ["first", "shape"], ["level"]),
        helper.make_node("Mul", ["target", "nothing"], ["black"]),
        helper.make_node("Add", ["black", "level"], ["output"]),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "axis": np.array([1]), "shape": np.array([1, 1, 1, 1])}
    initializers = [numpy_helper.from_array(value.astype(np.int64), name) for name, value in constants.items()]
    initializers.append(numpy_helper.from_array(np.zeros((), np.float32), "nothing"))
    if matrix:
        initializers.append(numpy_helper.from_array(np.eye(512, dtype=np.float32)[::-1].copy(), "emap"))
    inputs = [
        helper.make_tensor_value_info("target", TensorProto.FLOAT, [1, 3, size, size]),
        helper.make_tensor_value_info("source", TensorProto.FLOAT, [1, 512]),
    ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, size, size])
    graph = helper.make_graph(nodes, "swapper", inputs, [output], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("size", [128, 256])
def test_onnx_swappers_of_both_layouts(entry: Any, tmp_path: Path, size: int) -> None:
    swapper = OnnxSwapper(swapper_file(tmp_path / "swapper.onnx", size, matrix=size == 128))
    seen = DetectedFace(Image.fromarray(entry.image), face_of(entry, 128))
    embedding = np.zeros(512, np.float32)
    embedding[-1 if size == 128 else 0] = 1.0  # inswapper's matrix turns it round
    (swapped,) = swapper.swap([seen], embedding[None], [0])
    found, own = np.asarray(swapped), entry.image
    middle = tuple(face_of(entry, 128).landmarks[4, 1::-1].round().astype(int))  # type: ignore[index]
    assert (found[middle] >= 250).all(), "1 in the file's range is white"
    outside = np.asarray(face_region(seen, 0.03)) == 0
    assert outside.any() and (found[outside] == own[outside]).all()
    assert swapper.name == "onnx:swapper"


def test_files_that_are_no_swapper(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="512 x 512 matrix"):
        OnnxSwapper(swapper_file(tmp_path / "a.onnx", 128, matrix=False))
    with pytest.raises(BadInput, match="no face swapper we know"):
        OnnxSwapper(swapper_file(tmp_path / "b.onnx", 64))
    (tmp_path / "c.onnx").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="ONNX"):
        OnnxSwapper(tmp_path / "c.onnx")


def test_the_oracle_knows_its_own_portraits_only(entry: Any) -> None:
    from mien.studio.person import sample_person
    from mien.studio.plans import plan_scene

    drawn: list[tuple[Any, Any]] = []

    class Renderer:
        def render(self, person: Any, picture: Any) -> Any:
            drawn.append((person, picture))
            return type("Render", (), {"image": np.zeros((8, 8, 3), np.uint8)})

    renderer: Any = Renderer()
    with pytest.raises(BadInput, match="no render of this studio"):
        Oracle(renderer).make([job(entry, 16)])
    own = plan_scene(sample_person(7), 4)

    def record(person: int, picture: int) -> Sample:
        shape = list(plan_scene(sample_person(person), picture).expression.coefficients)
        return entry.sample.model_copy(update={"person": person, "picture": picture, "coefficients": shape})

    target = job(entry, 16)
    Oracle(renderer).make([Job(target.target, record(7, 4), unit(1), unit(2), record(9, 1), 0)])
    ((person, picture),) = drawn
    assert person.seed == 9 and picture.expression == own.expression and picture.pose == own.pose
    assert picture.background == plan_scene(sample_person(9), 1).background
