"""What the benchmark says it worked with."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mien.errors import BadInput
from mien.evaluation.context import EvaluationContext, load_tools, with_model
from mien.pipelines.spec import ModelSpec
from tests.evaluation.fake_control import FakeModel, fake_control_tools


def test_the_first_readers_files_are_told(assets_folder: Path) -> None:
    """Its landmarks steer the model: pictures made through another reader are other pictures."""
    pytest.importorskip("mediapipe")
    tools = load_tools("studio", None, rendered=False)
    assert tools.first_reader == "mediapipe"
    assert "face_landmarker.task" in tools.models
    assert not any(name.startswith("reader/") for name in tools.models)


def test_without_mediapipe_they_are_the_studios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    tools = load_tools("studio", None, rendered=False)
    assert tools.first_reader == "studio"
    assert any(name.startswith("reader/face/") for name in tools.models)


@pytest.mark.parametrize("files", [True, False])
def test_another_base_is_steered_by_the_same_reader(files: bool, tmp_path: Path) -> None:
    """Its own file, or the studio's networks where it names none."""
    task, base = tmp_path / "face.task", tmp_path / "base"
    task.write_bytes(b"reader")
    (base / "unet").mkdir(parents=True)
    (base / "unet" / "weights.safetensors").write_bytes(b"unet")
    parts = {"_class_name": "PortraitPipeline", "vae": ["mien.models.autoencoder", "StudioAutoencoder"]}
    (base / "model_index.json").write_text(json.dumps(parts))
    judges = {"judges/face/x.safetensors": "j", "reader/face/x.safetensors": "r"}
    reader = SimpleNamespace(files={"face.task": task} if files else {})
    unet = SimpleNamespace(config=SimpleNamespace(sample_size=8))
    pipeline = SimpleNamespace(unet=unet, vae_scale_factor=8, adapters={}, expression_encoder=None)
    tools = replace(fake_control_tools(FakeModel()), readers={"first": reader}, judges=judges)
    told = with_model(tools, pipeline, ModelSpec(base=str(base))).models  # type: ignore
    assert "unet/weights.safetensors" in told and "judges/face/x.safetensors" not in told
    assert ("face.task" in told) is files and ("reader/face/x.safetensors" in told) is not files


def test_the_reader_that_says_what_is_shown_is_told() -> None:
    """With another first reader the studio's still words the prompt, and names the emotion of a user's own picture."""
    judges = {"judges/face/x.safetensors": "j", "reader/face/x.safetensors": "r"}
    rendered = replace(fake_control_tools(FakeModel()), judges=judges)
    own = replace(rendered, renderer=None)

    def reads(tools: EvaluationContext, *conditions: str) -> bool:
        told = tools.models_for(conditions)
        assert "unet" in told and "judges/face/x.safetensors" not in told
        return "reader/face/x.safetensors" in told

    assert reads(rendered, "identity", "prompt") and reads(own, "prompt") and reads(own, "emotion")
    assert not any(reads(rendered, name) for name in ("identity", "landmarks", "emotion", "expression", "words"))
    assert not any(reads(own, name) for name in ("identity", "landmarks", "expression"))


def test_how_a_part_is_configured_counts_where_the_part_does(tmp_path: Path) -> None:
    folders = {part: tmp_path / part for part in ("text_encoder", "expression_encoder", "scheduler")}
    spec = ModelSpec.model_validate({part: str(folder) for part, folder in folders.items()})
    for part, folder in folders.items():
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / ("scheduler_config.json" if part == "scheduler" else "config.json")).write_text("{}")
    base = {f"{part}/configuration": "base" for part in folders}
    before = spec.hashes(base)
    # of the folder only what is predicted is taken: the solver and its settings stay the base's
    assert before["scheduler/configuration"] == "base" and "scheduler/scheduler_config.json" in before
    (folders["text_encoder"] / "config.json").write_text('{"layers": 2}')
    (folders["expression_encoder"] / "config.json").write_text('{"layers": 2}')
    after = spec.hashes(base)
    changed = ["text_encoder/configuration", "expression_encoder/configuration"]
    assert {name for name in after if after[name] != before[name]} == set(changed)
    tools = replace(fake_control_tools(FakeModel()), models=after)
    assert [name in tools.models_for(["landmarks"]) for name in changed] == [True, False]
    assert [name in tools.models_for(["expression"]) for name in changed] == [True, True]


def test_a_reader_that_is_asked_for_goes_first(assets_folder: Path) -> None:
    """The recipe imports with MediaPipe's networks in torch, and evaluates with them; the studio's reads beside."""
    tools = load_tools("studio", None, False, (), "mediapipe-torch")
    assert list(tools.readers) == ["mediapipe-torch", "studio"] and tools.first_reader == "mediapipe-torch"
    assert "face_landmarker.task" in tools.models
    assert list(load_tools("studio", None, False, (), "studio").readers) == ["studio"]
    with pytest.raises(BadInput, match="no reader called 'nobody'"):
        load_tools("studio", None, False, (), "nobody")
