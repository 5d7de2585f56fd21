"""Evaluation and IDI on SD1.5 and SDXL, from the shell, on files in the published layouts of few channels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.cli.main import main
from mien.data.corpus import Corpus
from mien.errors import MissingAsset
from mien.faces.arcface_embedder import ArcFaceEmbedder
from mien.pipelines import load
from mien.pipelines.base_facts import base_hashes, base_identity_mode, base_picture_size
from mien.pipelines.load_options import Loading
from mien.pipelines.runs import runs_folder
from mien.pipelines.spec import ModelSpec
from tests.full_size_assets import FEATURES, write_full_size_assets
from tests.published import write_arcface
from tests.raw_data import example_faces, write_ffhq


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``mien assets get`` fetches; bases of 128 pixels."""
    return write_full_size_assets(tmp_path_factory.mktemp("assets"), {"sd15": 16, "sdxl": 16}, write_arcface)


@pytest.fixture(autouse=True)
def _found(assets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(assets))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))


def spec_of(folder: Path, base: str) -> Path:
    """Both branches of EmojiDiff's first stage, by the names of assets."""
    adapters = {"identity": f"ip-adapter-faceid-{base}", "expression": f"ip-adapter-{base}"}
    path = folder / f"{base}.json"
    path.write_text(json.dumps({"base": base, "adapters": adapters, "scales": {"expression": 1.0}}))
    return path


def pictures(folder: Path, numbers: tuple[int, ...]) -> Path:
    folder.mkdir()
    faces = example_faces()
    for number in numbers:
        faces(number, number, 256).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("base", ["sd15", "sdxl"])
def test_a_spec_takes_assets_and_brings_the_image_encoder(tmp_path: Path, base: str) -> None:
    spec = ModelSpec.model_validate(json.loads(spec_of(tmp_path, base).read_text()))
    spec.check()
    pipeline = spec.load()
    assert set(pipeline.adapters) == {"identity", "expression"}
    assert pipeline.expression_encoder.config.projection_dim == FEATURES[base]
    assert spec.mode == pipeline.config["identity_mode"] == "branch"
    own = base_hashes(base)
    assert own.items() <= spec.hashes(own).items() and "adapters/expression.safetensors" in spec.hashes(own)


@pytest.mark.parametrize(("dtype", "precision"), [("float32", "fp32"), ("float16", "fp16"), ("bfloat16", "bf16")])
def test_a_spec_is_opened_in_its_own_dtype(
    tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, precision: str
) -> None:
    """Also on a GPU, where ``auto`` would round the weights before e(0) is computed from them."""
    plain, seen = load.load_pipeline, list[Any]()

    def spied(base: str, loading: Loading) -> Any:
        pipeline: Any = plain(base, loading)
        encode = pipeline.encode_null
        seen.append(loading.precision)
        pipeline.encode_null = lambda: seen.append(str(pipeline.text_encoder.dtype)) or encode()
        return pipeline

    monkeypatch.setattr(load, "load_pipeline", spied)
    trained = tmp_path / "text_encoder"
    plain("sd15", Loading(precision="fp32")).text_encoder.save_pretrained(trained)
    pipeline = ModelSpec.model_validate({"base": "sd15", "dtype": dtype, "text_encoder": str(trained)}).load()
    assert seen == [precision, f"torch.{dtype}"]
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    assert {str(part.dtype) for part in parts} == {f"torch.{dtype}"}


def test_facts_are_those_of_the_opened_base() -> None:
    assert [base_identity_mode(base) for base in ("studio", "sd15", "sdxl", "arc2face")] == [
        "prompt", "branch", "branch", "prompt",
    ]  # fmt: skip
    assert [base_picture_size(base) for base in ("studio", "sd15", "sdxl", "arc2face")] == [256, 512, 1024, 512]


def test_a_preset_is_looked_for_among_the_runs_on_its_base(tmp_path: Path, assets: Path) -> None:
    spec = ModelSpec(base="sd15", adapters={"landmarks": "facecrafter-landmarks"})
    with pytest.raises(MissingAsset, match="mien train facecrafter-landmarks --data FOLDER --base sd15"):
        spec.check()
    place = runs_folder("sd15") / "facecrafter-landmarks" / "export" / "adapters" / "landmarks.safetensors"
    place.parent.mkdir(parents=True)
    place.touch()
    assert spec.adapter_file("landmarks") == place


def test_evaluate_embeds_with_the_bases_arcface(
    tmp_path: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = spec_of(tmp_path, "sd15"), tmp_path / "report"
    words = ["evaluate", "control", "--model", f"own={spec}", "--identities", pictures(tmp_path / "people", (0, 1)),
             "--targets", pictures(tmp_path / "targets", (5, 6)), "--steps", "2", "--draws", "10",
             "-o", out]  # fmt: skip
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    report = json.loads((out / "report.json").read_text())
    made = report["models"]["own"]["made_with"]
    assert made["conditions"] == ["identity", "expression"]
    assert made["settings"]["identity_mode"] == "branch" and made["prompt"] == "portrait photo of a person"
    assert {"identity/arcface.onnx", "image_encoder/model.safetensors"} <= set(made["models"])


def test_arcface_is_called_as_the_studios_embedder(assets: Path) -> None:
    embedder = ArcFaceEmbedder(assets / "arcface-r50" / "w600k_r50.onnx")
    found = embedder(torch.rand(3, 3, 112, 112) * 2 - 1)
    np.testing.assert_allclose(found.norm(dim=1).numpy(), 1, atol=1e-5)


def test_pairs_are_built_on_sd15(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Raw pictures to pairs: imported, redrawn, swapped, judged; every attempt has a row.

    A made-up base draws no face, so none is kept, which is said.
    """
    data, spec = tmp_path / "data", spec_of(tmp_path, "sd15")
    write_ffhq(tmp_path / "raw", example_faces(), people=4, side=256)
    words = ["data", "import", tmp_path / "raw", "--layout", "ffhq", "--size", "128", "--reader", "studio", "-o", data]
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    assert len(Corpus.load(data)) == 4
    words = ["pairs", "build", "--data", data, "--model", spec, "--reader", "studio", "--steps", "2", "--targets", "2",
             "-o", tmp_path / "pairs"]  # fmt: skip
    assert main([str(word) for word in words]) == 2
    assert "None of 2 attempts was kept as a pair (no face 2)" in capsys.readouterr().err
    report = json.loads((tmp_path / "pairs" / "report.json").read_text())
    assert report["targets"] == report["attempts"] == 2
    words = ["data", "import", tmp_path / "raw", "--layout", "ffhq", "--size", "64", "--reader", "studio",
             "-o", tmp_path / "small"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    words = [
        "pairs",
        "build",
        "--data",
        tmp_path / "small",
        "--model",
        spec,
        "-o",
        tmp_path / "other",
        "--reader",
        "studio",
    ]
    assert main([str(word) for word in words]) == 2
    assert "import them with --size 128" in capsys.readouterr().err
