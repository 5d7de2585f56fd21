"""The nodes themselves, on a stand-in of ComfyUI's interface, and the example workflows."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import comfyui
import mien
from comfyui import readings
from mien.adapters import save_adapter
from mien.errors import BadInput, NoFaceFound
from tests.comfyui.stand_in import Patcher, in_comfy_layout, install
from tests.tiny import tiny_branch, tiny_unet

ROOT = Path(comfyui.__file__).parent
EXAMPLES = Path(mien.__file__).parent / "assets" / "examples"
WORKFLOWS = sorted((ROOT / "example_workflows").glob("*.api.json"))
CORE = {
    "CheckpointLoaderSimple",
    "CLIPTextEncode",
    "LoadImage",
    "EmptyLatentImage",
    "KSampler",
    "VAEDecode",
    "SaveImage",
}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Node classes by id, with one adapter in models/mien."""
    install(monkeypatch, tmp_path)
    (tmp_path / "mien").mkdir()
    unet = tiny_unet()
    save_adapter(tmp_path / "mien" / "tiny.safetensors", {k: tiny_branch(unet, k) for k in ("landmarks", "emotion")})
    module = importlib.import_module("comfyui.nodes")
    module.register_folder()
    return {one.define_schema().node_id: one for one in module.NODES}


def image(name: str) -> torch.Tensor:
    return readings.to_images([Image.open(EXAMPLES / name).convert("RGB")])


def test_each_node_says_what_it_does_and_each_number_what_it_means(nodes: dict[str, Any]) -> None:
    for name, node in nodes.items():
        schema = node.define_schema()
        assert schema.description and schema.display_name and schema.category == "mien", name
        assert name.startswith("Mien")  # ids of all packages share one space
        silent = [one.id for one in schema.inputs if one.words.get("optional") and not one.words.get("tooltip")]
        assert not silent, name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_example_workflows_fit_the_schemas(file: Path, nodes: dict[str, Any]) -> None:
    graph = json.loads(file.read_text(encoding="utf-8"))
    for number, node in graph.items():
        if node["class_type"] in CORE:
            continue
        schema = nodes[node["class_type"]].define_schema()
        known = {one.id for one in schema.inputs}
        needed = {one.id for one in schema.inputs if not one.words.get("optional")}
        assert needed <= set(node["inputs"]) <= known, number
        for value in node["inputs"].values():
            if isinstance(value, list) and graph[value[0]]["class_type"] in nodes:
                assert value[1] < len(nodes[graph[value[0]]["class_type"]].define_schema().outputs)


def test_a_graph_from_photos_to_a_steered_model(nodes: dict[str, Any]) -> None:
    def run(name: str, **given: Any) -> Any:
        return nodes[name].execute(**given).args

    person, shown, words = run("MienReadFace", image=image("person-Ada.png"), reader="studio")
    donor, *_ = run("MienReadFace", image=image("template-laugh.png"), reader="studio")
    assert shown.shape == image("person-Ada.png").shape and "yaw" in words
    (who,) = run("MienIdentity", face=person, embedder="studio")
    assert who.embedding.norm().item() == pytest.approx(1, abs=1e-4) and who.face.shape == (1, 3, 224, 224)
    angles = {"use_angles": False, "yaw": 0.0, "pitch": 0.0, "roll": 0.0}
    points, drawn = run("MienLandmarks", size=128, identity=person, expression=donor, **angles)
    assert points.shape == (478, 3) and drawn.shape == (1, 128, 128, 3)
    (feeling,) = run("MienEmotion", emotion="happy", strength=0.8, valence=0.0, arousal=0.0)
    model = Patcher(in_comfy_layout(tiny_unet()))
    (steered,) = run(
        "MienApply", model=model, adapter="tiny.safetensors", strength=1.0, start=0.0, end=1.0,
        landmark_image=drawn, emotion=feeling,
    )  # fmt: skip
    assert len(steered.model_options["transformer_options"]["patches_replace"]["attn2"]) == 7
    (weighed,) = run("MienGuidance", model=steered, landmarks=2.0, expression=2.0, emotion=2.0)
    assert len(weighed.post) == 1


def test_landmarks_are_those_of_our_own_request(nodes: dict[str, Any]) -> None:
    person = readings.read_faces(image("person-Ada.png"), "studio")
    turned = readings.landmarks_for(128, person, None, None, (20.0, 0.0, 0.0), {"jaw": 0.5}, None)
    front = readings.landmarks_for(128, person, None, None, None, {}, None)
    nose, eyes = 1, (33, 263)

    def sideways(points: torch.Tensor) -> float:
        return float(points[nose, 0] - points[list(eyes), 0].mean())

    assert abs(sideways(front)) < 2 < sideways(turned)  # the subject's left is the right of the picture
    lips = 13, 14

    def opened(points: torch.Tensor) -> float:
        return float(points[lips[1], 1] - points[lips[0], 1])

    assert opened(turned) > opened(front) + 2


def test_what_cannot_be_is_said_in_one_sentence(nodes: dict[str, Any]) -> None:
    with pytest.raises(NoFaceFound):
        readings.read_faces(torch.zeros(1, 64, 64, 3), "studio")
    with pytest.raises(BadInput, match="Connect a face"):
        readings.wanted_emotion("as read", 1.0, None, (0.0, 0.0))


def test_pictures_go_to_comfyui_and_back_unchanged() -> None:
    picture = Image.open(EXAMPLES / "person-Ada.png").convert("RGB")
    assert np.array_equal(np.asarray(readings.to_pictures(readings.to_images([picture]))[0]), np.asarray(picture))


def test_the_portrait_is_that_of_generate_with_the_watermark(nodes: dict[str, Any]) -> None:
    from mien.provenance import Record, detect_watermark

    picture = image("person-Ada.png")
    drawn, record = nodes["MienPortrait"].execute(
        seed=1, steps=2, speed="fast", prompt="", use_angles=True, yaw=20.0, pitch=0.0, roll=0.0, identity=picture
    ).args  # fmt: skip
    found = detect_watermark(readings.to_pictures(drawn)[0])
    assert found is not None and found.id == Record.parse(record, "it").watermark_id
    (plain,) = mien.generate(identity=readings.to_pictures(picture)[0], yaw=20, pitch=0, roll=0, steps=2, seed=1)
    error = np.asarray(plain, float) - np.asarray(readings.to_pictures(drawn)[0], float)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 38


def test_the_registry_gets_what_it_asks_for() -> None:
    """docs.comfy.org/registry/specifications, but for the repository's public address, which there is none of yet."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    package = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    project, comfy = entry["project"], entry["tool"]["comfy"]
    assert project["version"] == package["project"]["version"] and re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert re.fullmatch(r"[a-z](?:[-_.]?[a-z0-9])*", project["name"]) and "comfyui" not in project["name"]
    assert project["license"] == {"text": package["project"]["license"]}
    assert project["requires-python"] == package["project"]["requires-python"]
    assert project["description"] and project["classifiers"] == ["Operating System :: OS Independent"]
    assert [one.partition(">=")[0] for one in project["dependencies"]] == [package["project"]["name"]]
    assert comfy["PublisherId"] and comfy["DisplayName"] and re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
