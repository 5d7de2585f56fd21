"""Example workflows on a real ComfyUI server, against the same requests in our pipeline (opt-in)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mien.diffusion.guidance import Difference, Guidance
from mien.generation.conditioning import build_inputs, open_inputs, pipeline_arguments
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from tests.comfyui.server import NODES, Server, running, small_pipeline, where, write_models

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        where() is None,
        reason="MIEN_COMFYUI names no checkout of ComfyUI (and MIEN_COMFYUI_PYTHON its interpreter)",
    ),
]
EXAMPLES = Path(__file__).resolve().parents[2] / "src" / "mien" / "assets" / "examples"
SIDE, STEPS, CFG, SEED = 128, 10, 4.0, 7
EVERYTHING = frozenset({"text", "identity", "landmarks", "emotion"})
"""With the steps of the euler sampler's "normal" schedule at whole timesteps: 999, 888, ..., 0."""


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def base(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def pipeline(base: str) -> Any:
    found = where()
    assert found is not None
    made = small_pipeline(found[0] / "comfy" / "sd1_tokenizer", base == "sdxl")
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def server(base: str, pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = where()
    assert found is not None
    folder = tmp_path_factory.mktemp("comfyui")
    write_models(pipeline, folder / "models", base)
    (folder / "input").mkdir()
    for name in ("person-Ada.png", "template-laugh.png"):
        Image.open(EXAMPLES / name).convert("RGB").save(folder / "input" / name)
    with running(*found, folder) as started:
        yield started


def workflow(base: str, example: str) -> dict[str, Any]:
    """An example workflow with our small files, sizes and steps in it."""
    nodes = json.loads((NODES / "example_workflows" / f"{example}.api.json").read_text())
    for node in nodes.values():
        inputs = node["inputs"]
        match node["class_type"]:
            case "CheckpointLoaderSimple":
                inputs["ckpt_name"] = f"{base}.safetensors"
            case "MienApply":
                inputs["adapter"] = f"{base}.safetensors"
            case "EmptyLatentImage":
                inputs |= {"width": SIDE, "height": SIDE}
            case "MienReadFace":
                inputs["reader"] = "studio"
            case "MienIdentity":
                inputs["embedder"] = "studio"
            case "KSampler":
                inputs |= {"steps": STEPS, "cfg": CFG, "seed": SEED, "sampler_name": "euler", "scheduler": "normal"}
    return nodes


def saver(nodes: dict[str, Any]) -> str:
    (number,) = [number for number, node in nodes.items() if node["class_type"] == "SaveImage"]
    return number


def our_picture(pipeline: Any, nodes: dict[str, Any], guidance: Guidance, conditions: bool = True) -> Any:
    """The same request: the same words, photos, noise and noise levels."""
    texts = [node["inputs"]["text"] for node in nodes.values() if node["class_type"] == "CLIPTextEncode"]
    request = GenerateRequest.checked(
        identity=EXAMPLES / "person-Ada.png", expression=EXAMPLES / "template-laugh.png", emotion="happy:0.8",
        prompt=texts[0], reader="studio",
    )  # fmt: skip
    tools = FaceTools.load("studio", "studio")
    inputs = build_inputs(request, open_inputs(request), tools, 512, frozenset({"landmarks", "emotion", "identity"}))
    arguments = pipeline_arguments([inputs]) if conditions else {"prompt": texts[0]}
    arguments.pop("expression", None)
    times = np.linspace(999, 0, STEPS)
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = np.cumprod(1 - betas)
    sigmas = [*(((1 - kept) / kept) ** 0.5)[times.round().astype(int)], 0.0]
    pipeline.scheduler.register_to_config(timestep_spacing="leading")  # noise that stands beside a picture, as ComfyUI
    noise = torch.randn(1, 4, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(SEED))
    (image,) = pipeline(
        **arguments, negative_prompt=texts[1], guidance=guidance, latents=noise, sigmas=sigmas, height=SIDE, width=SIDE,
    ).images  # fmt: skip
    return np.asarray(image, np.int16)


def test_a_workflow_gives_our_picture_at_equal_guidance(server: Server, pipeline: Any, base: str) -> None:
    nodes = workflow(base, "steer-any-model")
    theirs = np.asarray(server.run(nodes, saver(nodes)), np.int16)
    together = Guidance((Difference("all", CFG, EVERYTHING, frozenset()),))
    ours = our_picture(pipeline, nodes, together)
    plain = our_picture(pipeline, nodes, Guidance((Difference("text", CFG, frozenset({"text"}), frozenset()),)), False)
    largest, moved = int(np.abs(theirs - ours).max()), int(np.abs(ours - plain).max())
    print(f"{base}: largest difference {largest} of 255; the branches move a pixel by up to {moved}")  # noqa: T201
    assert moved > 20  # else the comparison would say nothing of the branches
    assert largest <= 2


def test_conditions_with_weights_of_their_own_give_our_picture(server: Server, pipeline: Any, base: str) -> None:
    nodes = workflow(base, "guidance-of-conditions")
    theirs = np.asarray(server.run(nodes, saver(nodes)), np.int16)
    anchor = frozenset({"text", "identity"})
    guidance = Guidance(
        (
            Difference("text", CFG, anchor, frozenset()),
            Difference("landmarks", 2.0, anchor | {"landmarks"}, anchor),
            Difference("emotion", 2.0, anchor | {"emotion"}, anchor),
        )
    )
    largest = int(np.abs(theirs - our_picture(pipeline, nodes, guidance)).max())
    print(f"{base}: largest difference {largest} of 255")  # noqa: T201
    assert largest <= 2


def test_the_embedded_model_draws(server: Server) -> None:
    nodes = json.loads((NODES / "example_workflows" / "portrait.api.json").read_text())
    for node in nodes.values():
        if node["class_type"] == "MienPortrait":
            node["inputs"]["steps"] = 4
    assert server.run(nodes, saver(nodes)).size == (256, 256)
