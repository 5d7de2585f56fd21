"""The API on the embedded weights: what a user of diffusers meets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import mien
from mien.assets import embedded

EXAMPLES = Path(mien.__file__).parent / "assets" / "examples"
ADA, LAUGH = EXAMPLES / "person-Ada.png", EXAMPLES / "template-laugh.png"


@pytest.fixture(scope="module")
def pipe() -> Any:
    found = mien.load("studio", device="cpu", reader="studio")
    found.set_progress_bar_config(disable=True)
    return found


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_pipeline_and_generate_draw_the_same(pipe: Any) -> None:
    conditions: dict[str, Any] = {"identity": ADA, "expression": LAUGH, "pose": mien.Pose(yaw=20), "emotion": "happy"}
    (drawn,) = mien.generate(**conditions, seed=3, steps=2, speed="exact", pipeline=pipe)
    (called,) = pipe(**conditions, generator=seeded(3), num_inference_steps=2).images
    np.testing.assert_array_equal(np.asarray(drawn), np.asarray(called))  # the same calls, one after the other
    (other,) = pipe(**conditions | {"pose": mien.Pose(yaw=-20)}, generator=seeded(3), num_inference_steps=2).images
    assert np.abs(np.asarray(other, float) - np.asarray(called)).mean() > 2


def test_rows_of_pictures_are_people(pipe: Any) -> None:
    rows: dict[str, Any] = {"identity": [ADA, LAUGH], "pose": mien.Pose(yaw=10), "num_inference_steps": 2}
    both = pipe(**rows, generator=seeded(1, 2), output_type="pt").images
    assert both.shape == (2, 3, 256, 256)
    alone = pipe(**rows | {"identity": LAUGH}, generator=seeded(2), output_type="pt").images
    torch.testing.assert_close(both[1:], alone, atol=2 / 255, rtol=0)  # another partition of the batch
    with pytest.raises(mien.MienError, match="different lengths"):
        pipe(**rows | {"expression": [ADA, ADA, ADA]})


def test_a_picture_without_a_face_is_named(pipe: Any) -> None:
    with pytest.raises(mien.NoFaceFound, match="no face found in the picture"):
        pipe(identity=Image.new("RGB", (64, 64)))


def test_diffusers_loads_it_as_a_custom_pipeline(pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import DiffusionPipeline
    from diffusers.utils import dynamic_modules_utils

    from mien.generation import custom_pipeline

    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path))
    found: Any = DiffusionPipeline.from_pretrained(
        str(embedded("studio")), custom_pipeline=custom_pipeline.__file__, trust_remote_code=True
    )
    found.set_progress_bar_config(disable=True)
    assert isinstance(found, mien.PortraitPipeline) and found.adapters.keys() == pipe.adapters.keys()
    asked: dict[str, Any] = {"emotion": "happy", "prompt": "red hair", "num_inference_steps": 1, "output_type": "pt"}
    ours, theirs = pipe(**asked, generator=seeded(0)).images, found(**asked, generator=seeded(0)).images
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)  # layers may be loaded in another memory layout
    assert found(identity=ADA, num_inference_steps=1).images[0].size == (256, 256)


def test_read_keeps_order_and_outcomes() -> None:
    blank = Image.new("RGB", (64, 64))
    first, nobody, second = mien.read([ADA, blank, np.asarray(Image.open(LAUGH).convert("RGB"))], reader="studio")
    assert isinstance(first.outcome, mien.OneFace) and isinstance(nobody.outcome, mien.NoFace)
    assert nobody.faces == ()
    with pytest.raises(mien.NoFaceFound):
        _ = nobody.pose
    assert first.identity is not None and second.emotion is not None and first.blendshapes is not None
    assert np.linalg.norm(first.identity.vector()) == pytest.approx(1, abs=1e-3)
    assert second.emotion.label == "happy"
    assert second.blendshapes["mouthSmileLeft"] > first.blendshapes["mouthSmileLeft"]  # type: ignore[index]
    assert first.attributes


def test_what_another_reader_does_not_know_is_read_by_the_studio(assets_folder: Path) -> None:
    pytest.importorskip("mediapipe")
    face = mien.read(ADA, reader="mediapipe")
    assert face.face.reader == "mediapipe"
    assert face.identity is not None and face.emotion is not None and face.attributes
    assert face.face.read_by["identity"] == face.face.read_by["emotion"] == "studio"
    assert face.embedding is face.face.identity


def test_an_embedding_is_of_the_studios_network_whoever_read_the_face(monkeypatch: pytest.MonkeyPatch) -> None:
    first = mien.read(ADA, reader="studio")
    assert first.embedding.shape == (512,) and first.embedding.dtype == np.float32
    assert np.linalg.norm(first.embedding) == pytest.approx(1, abs=1e-5)
    assert first.identity is not None and np.array_equal(first.identity.vector(), first.embedding)

    foreign = np.eye(512, dtype=np.float32)[0]  # as of another network
    known = replace(first.face, reader="other", identity=foreign)
    reader = SimpleNamespace(read=lambda image, source: mien.OneFace(known, source))
    monkeypatch.setattr("mien.faces.read._reader", lambda name: reader)
    face = mien.read(ADA, reader="other")
    assert face.identity is not None and np.array_equal(face.identity.vector(), foreign)
    assert face.embedding @ first.embedding > 0.99
    assert face.embedding is face.embedding  # computed once


def test_score_takes_pictures_in_memory_and_refuses_what_does_not_pair(tmp_path: Path) -> None:
    files = mien.score(reference=str(ADA), generated=LAUGH, reader="studio")
    memory = mien.score(reference=[Image.open(ADA)], generated=[np.asarray(Image.open(LAUGH))], reader="studio")
    assert memory == files
    same = mien.score(reference=[ADA], generated=[ADA], reader="studio")
    assert same["metrics"]["exp"]["value"] == 0 < files["metrics"]["exp"]["value"]
    for wrong, message in (
        ((tmp_path, [ADA]), "not one of each"),
        (([ADA], [ADA, LAUGH]), "1 references and 2 generated"),
        (([], []), "0 references"),
    ):
        with pytest.raises(mien.MienError, match=message):
            mien.score(reference=wrong[0], generated=wrong[1])
