"""FaceCrafter's stages on full-size bases, as they are published; here with few channels and random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.adapters import load_adapter
from mien.data.corpus import Corpus
from mien.errors import BadInput, ConfigError, MissingAsset
from mien.training.bases import base_parts
from mien.training.presets import preset
from mien.training.run import build_objective, train
from tests.published import write_arc2face, write_sd15
from tests.synthetic import write_corpus

STEPS = {"pictures": 4, "batch": 2, "log_every": 1, "precision": "no"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'mien[test]'")
    folder = tmp_path_factory.mktemp("published")
    write_sd15(folder / "sd15")
    write_arc2face(folder / "arc2face")
    write_corpus(folder / "data", people=3, per_person=2)
    return folder


def test_every_stage_runs_on_arc2face(published: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same command as in the studio with another --base: landmarks, emotion, then both together."""
    monkeypatch.setenv("MIEN_ASSETS", str(published))
    for name in ("facecrafter-landmarks", "facecrafter-emotion", "facecrafter-joint"):
        done = train(name, data=published / "data", base="arc2face", runs=tmp_path, overrides=STEPS)
        assert done["finished"] and np.isfinite(done["logs"]["loss"]), name
    joint = tmp_path / "facecrafter-joint" / "export"
    assert {path.name for path in joint.iterdir()} == {"adapters", "text_encoder"}
    branch = load_adapter(tmp_path / "facecrafter-landmarks" / "export" / "adapters" / "landmarks.safetensors")
    encoder = branch["landmarks"].encoder
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(5.3e6, rel=0.02)  # the full-size network


def test_the_base_is_used_as_it_was_trained(published: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own noise schedule, prediction type, latents and face network; pictures at the size it draws."""
    monkeypatch.setenv("MIEN_ASSETS", str(published))
    arc: Any = build_objective(preset("facecrafter-landmarks"), tmp_path, "arc2face")
    assert arc.base.scheduler.config["prediction_type"] == "epsilon" and arc.base.scheduler.config["steps_offset"] == 1
    arc.prepare(Corpus.load(published / "data"), tmp_path)
    examples = arc.base.examples
    assert examples.latents.shape == (6, 4, 64, 64) and examples.size == 512
    batch = arc.batch(Corpus.load(published / "data"), np.random.default_rng(0), 2)
    assert batch["condition"].shape == (2, 512, 512, 3) and batch["places"].shape == (2, 64, 64)
    np.testing.assert_allclose(batch["identity"].norm(dim=1), 1, atol=1e-3)
    # one token of the prompt is the face, padded with zeros from 512 to 768
    assert int((batch["ids"][0] == examples.prompts.id_token).sum()) == 1
    states = arc.base.text_states(batch)
    other = arc.base.text_states(batch | {"identity": batch["identity"].roll(1, 0)})
    assert states.shape == (2, 77, 768) and not torch.equal(states, other)


def test_a_folder_is_a_base_too(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_sd15(folder)
    with pytest.raises(BadInput, match=r"lacks identity or arcface\.onnx"):
        base_parts(str(folder))
    (folder / "arcface.onnx").write_bytes((published / "arc2face" / "arcface.onnx").read_bytes())
    assert base_parts(str(folder))["unet"] == folder / "unet"
    with pytest.raises(BadInput, match="lacks unet, vae"):
        base_parts(str(tmp_path / "nowhere"))


def test_what_cannot_be_trained_on_a_base_is_said(
    published: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    with pytest.raises(MissingAsset, match="mien assets get sd15"):
        build_objective(preset("facecrafter-landmarks"), tmp_path, "arc2face")
    with pytest.raises(ConfigError, match="leave --base out"):
        build_objective(preset("studio-reader"), tmp_path, "arc2face")
    monkeypatch.setenv("MIEN_ASSETS", str(published))
    with pytest.raises(MissingAsset, match=r"adapters/landmarks\.safetensors"):
        build_objective(preset("facecrafter-joint"), tmp_path, "arc2face")
