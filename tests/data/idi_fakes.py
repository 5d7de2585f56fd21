"""A build of pairs without networks; run as a script it builds until it is killed or done."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mien.data.idi.build import Builder
from mien.data.idi.makers import Job
from mien.data.idi.request import PairsRequest
from mien.data.idi.source import Portraits
from mien.faces.observed import DetectedFace
from mien.faces.types import Face, NoFace, OneFace, Reading
from mien.generation.tools import FaceTools


def read(image: Any, source: str) -> Reading:
    """A face wherever the first pixel is not black: blendshapes from the second pixel, landmarks in a circle."""
    pixels = np.asarray(image)
    if not pixels[0, 0].any():
        return NoFace(source)
    angle = np.linspace(0, 2 * np.pi, 478)
    points = np.stack([64 + 30 * np.cos(angle), 64 + 30 * np.sin(angle), 0 * angle], 1).astype(np.float32)
    shapes = np.full(52, pixels[0, 1, 0] / 255, np.float32)
    return OneFace(Face("fake", (30, 30, 100, 100), landmarks=points, blendshapes=shapes), source)


def embed(seen: DetectedFace) -> tuple[np.ndarray, dict[str, Any]]:
    """From the colour of the first pixel."""
    vector = np.random.default_rng(np.asarray(seen.image)[0, 0].astype(int)).normal(size=512)
    return (vector / np.linalg.norm(vector)).astype(np.float32), {}


TOOLS = FaceTools("fake", read, embed, crop=lambda seen: None, describe=lambda attributes: "")  # type: ignore[arg-type]


@dataclass
class Recolour:
    """Some attempts lose the face, some the expression, some keep the person; the others are good."""

    pause: float = 0.0
    name: str = "recolour"
    made: int = 0

    def make(self, jobs: Sequence[Job]) -> list[np.ndarray]:
        """See TemplateMaker."""
        self.made += len(jobs)
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> np.ndarray:
        time.sleep(self.pause)
        image, kind = job.target.image.copy(), job.seed % 5
        if kind == 0:
            image[0, 0] = 0
        elif kind != 1:
            image[0, 0] = np.random.default_rng(job.seed).integers(1, 256, 3)
        image[0, 1] = job.target.image[0, 1] + (60 if kind == 2 else 1)
        return image


def builder(data: Path, pause: float = 0.0, **settings: Any) -> Builder:
    """A builder of pairs for a synthetic data set."""
    portraits = Portraits(data)
    values = {"targets": len(portraits), "attempts": 2, "batch": 4, "per_shard": 10, "seed": 3} | settings
    request = PairsRequest.checked(**values, data=portraits.sha256, models={"fake": "0" * 64})
    return Builder(request, portraits, Recolour(pause), TOOLS)


def reopened(data: Path) -> Any:
    """What another process opens: an order whose builder is that of before."""
    return SimpleNamespace(open=lambda: builder(data))


if __name__ == "__main__":
    builder(Path(sys.argv[1]), pause=float(sys.argv[3])).build(Path(sys.argv[2]))
