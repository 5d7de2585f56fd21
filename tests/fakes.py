"""A pipeline and readers small enough for tests: deterministic, and every condition shows in the pixels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from mien.faces.observed import DetectedFace
from mien.faces.types import Face, OneFace, Reading
from mien.generation.tools import FaceTools

if TYPE_CHECKING:
    from typing import Any as Anything  # for pyright: stands in for a PortraitPipeline
else:
    Anything = object

SIZE = 128
READABLE = 200


class FakePipeline(Anything):
    """Draws coloured noise from its generators and adds the mean of each condition; remembers its calls."""

    vae_scale_factor = 8
    device = torch.device("cpu")

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "unet.safetensors").write_bytes(b"weights")
        self.folder = folder
        self.parts: dict[str, Path] = {}
        self.adapters = {
            kind: SimpleNamespace(kind=kind) for kind in ("landmarks", "expression", "emotion", "identity")
        }
        self.expression_encoder = object()
        self.unet = SimpleNamespace(config=SimpleNamespace(sample_size=SIZE // 8), named_modules=lambda: [])
        self.tokenizer = SimpleNamespace(tokenize=lambda word: [word])
        self.calls: list[dict[str, Any]] = []

    def readable_prompt(self, prompt: str, identity: bool = False) -> str:
        """The base reads `READABLE` letters, and one fewer beside a face."""
        return prompt[: READABLE - identity]

    def __call__(self, *, generator: list[torch.Generator], **arguments: Any) -> Any:
        self.calls.append(arguments)
        callback = arguments.get("callback_on_step_end")
        for step in range(arguments["num_inference_steps"]):
            if callback:
                callback(self, step, None, {})
        images = []
        for row, one in enumerate(generator):
            noise = torch.rand(16, 16, 3, generator=one)
            for name in ("identity", "landmarks", "expression", "emotion"):
                if arguments.get(name) is not None:
                    noise = noise + arguments[name][row].float().mean()
            pixels = (noise.clamp(0, 1) * 255).byte().numpy()
            images.append(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        return SimpleNamespace(images=images)


def landmarks() -> np.ndarray:
    """A real face's points, in a picture of 128 px."""
    from mien.faces.linear.face import LinearFace

    return LinearFace.load().landmarks(pose=(5.0, 0.0, 0.0))


def fake_tools() -> FaceTools:
    """Readers that see the same face in every picture, and an identity that depends on the pixels."""

    def read(image: Any, source: str) -> Reading:
        return OneFace(Face("studio", (24, 24, 104, 104), landmarks=landmarks(), pose=(0.0, 0.0, 0.0)), source)

    def embed(seen: DetectedFace) -> tuple[np.ndarray, dict[str, Any]]:
        vector = np.resize(np.asarray(seen.image, np.float32).mean((0, 1)), 512) + 1
        return (vector / np.linalg.norm(vector)).astype(np.float32), {"age": 30}

    def crop(seen: DetectedFace) -> torch.Tensor:
        return torch.full((1, 3, 96, 96), float(np.asarray(seen.image).mean()) / 255)

    return FaceTools("studio", read, embed, crop, lambda attributes: "portrait of a person")
