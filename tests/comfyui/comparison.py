"""What a real ComfyUI server draws of an example workflow, against what our pipeline draws of the same request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mien.diffusion.guidance import Difference, Guidance
from mien.generation.conditioning import build_inputs, open_inputs, pipeline_arguments
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from tests.comfyui.server import NODES, Server, running, small_pipeline, write_models

EXAMPLES = Path(__file__).resolve().parents[2] / "src" / "mien" / "assets" / "examples"
SIDE, STEPS, CFG, SEED = 128, 10, 4.0, 7
"""With the steps of the euler sampler's "normal" schedule at whole timesteps: 999, 888, ..., 0."""
ANCHOR = frozenset({"text", "identity"})
PLAIN = Guidance((Difference("text", CFG, frozenset({"text"}), frozenset()),))
GUIDANCE = {
    "steer-any-model": Guidance((Difference("all", CFG, ANCHOR | {"landmarks", "emotion"}, frozenset()),)),
    "guidance-of-conditions": Guidance(
        (
            Difference("text", CFG, ANCHOR, frozenset()),
            Difference("landmarks", 2.0, ANCHOR | {"landmarks"}, ANCHOR),
            Difference("emotion", 2.0, ANCHOR | {"emotion"}, ANCHOR),
        )
    ),
}
"""Example workflow -> the guidance of our pipeline that is equal to it."""


@dataclass(frozen=True)
class PictureDifference:
    """How far two pictures are apart.

    Attributes:
        largest: of any pixel and channel, of 255.
        mean: of all, of 255.
        moved: how far the branches move a pixel at most: without them the comparison would say nothing.
    """

    largest: int
    mean: float
    moved: int


@contextmanager
def small_server(source: Path, python: str, base: str, folder: Path) -> Iterator[tuple[Server, Any]]:
    """A server with small random models of a base, ``sd15`` or ``sdxl``, and our pipeline of the same models.

    Args:
        source: a checkout of ComfyUI.
        python: an interpreter with its requirements.
        base: ``sd15`` or ``sdxl``.
        folder: for its models and pictures.
    """
    pipeline: Any = small_pipeline(source / "comfy" / "sd1_tokenizer", base == "sdxl")
    pipeline.set_progress_bar_config(disable=True)
    write_models(pipeline, folder / "models", base)
    (folder / "input").mkdir()
    for name in ("person-Ada.png", "template-laugh.png"):
        Image.open(EXAMPLES / name).convert("RGB").save(folder / "input" / name)
    with running(source, python, folder) as server:
        yield server, pipeline


def compared(server: Server, pipeline: Any, base: str, example: str) -> PictureDifference:
    """Post an example workflow to the server, and draw the same request by our pipeline."""
    nodes = workflow(base, example)
    theirs = np.asarray(server.run(nodes, saver(nodes)), np.int16)
    ours = our_picture(pipeline, nodes, GUIDANCE[example])
    apart = np.abs(theirs - ours)
    moved = np.abs(ours - our_picture(pipeline, nodes, PLAIN, conditions=False))
    return PictureDifference(int(apart.max()), float(apart.mean()), int(moved.max()))


def embedded_picture(server: Server, steps: int = 4) -> Image.Image:
    """What the example with the embedded model draws."""
    nodes = json.loads((NODES / "example_workflows" / "portrait.api.json").read_text())
    for node in nodes.values():
        if node["class_type"] == "MienPortrait":
            node["inputs"]["steps"] = steps
    return server.run(nodes, saver(nodes))


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
