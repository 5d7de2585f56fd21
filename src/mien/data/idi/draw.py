"""Drawing other people with the expression of a face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.faces.drawing import draw_landmarks
from mien.faces.observed import DetectedFace
from mien.generation.conditioning import PipelineInputs, framed, run_pipeline
from mien.generation.tools import FaceTools
from mien.pipelines.load import picture_size

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline


def drawn(
    pipeline: PortraitPipeline,
    tools: FaceTools,
    seen: Sequence[DetectedFace],
    identities: NDArray[np.float32],
    seeds: Sequence[int],
    conditions: Sequence[str], options: Mapping[str, Any],
) -> list[Image.Image]:  # fmt: skip
    """Pictures of other people with the expressions of some faces.

    Args:
        pipeline: a `PortraitPipeline` with the expression branch.
        tools: what reads faces.
        seen: pictures with the faces whose expressions are wanted.
        identities: embeddings [N, 512] of whom to draw.
        seeds: [N].
        conditions: see `PairsRequest`.
        options: further arguments of the pipeline.
    """
    size = picture_size(pipeline)
    rows = [
        PipelineInputs(
            prompt=tools.plain_prompt,
            identity=identity,
            expression=tools.crop(one),
            landmark_image=draw_landmarks(framed(one, size), size) if "landmarks" in conditions else None,
        )
        for one, identity in zip(seen, identities, strict=True)
    ]
    return run_pipeline(pipeline, rows, seeds, **options)
