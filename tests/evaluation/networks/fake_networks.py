"""Networks that see the colours of the fake benchmark's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mien.evaluation.networks import Networks
from mien.faces.published.networks import LAYOUTS, FaceNetwork


def colour_embedding(batch: Any) -> dict[str, Any]:
    """The direction of the crop's upper half from grey, [B, 512]."""
    colours = batch[:, :, : batch.shape[2] // 4].mean((2, 3)) + 0.6
    return {"683": np.pad(colours, ((0, 0), (0, 509))).astype(np.float32)}


def level_emotion(batch: Any) -> dict[str, Any]:
    """Valence from the brightness of the lower half; always neutral."""
    level = batch[:, :, -batch.shape[2] // 4 :].mean((1, 2, 3))
    logits = np.tile(np.eye(8)[0] * 20, (len(batch), 1))
    return {"expression": logits, "valence": 2 * level - 1, "arousal": 0 * level}


def level_parameters(batch: Any) -> dict[str, Any]:
    level = batch.mean((1, 2, 3))[:, None]
    return {"expression_params": np.repeat(level, 50, 1), "pose_params": np.repeat(level * 0, 3, 1)}


def far(a: Any, b: Any) -> Any:
    return (a - b).abs().mean((1, 2, 3))


def mean_features(images: Any) -> Any:
    return np.stack([np.asarray(image, np.float64).mean((0, 1)) for image in images])


def fake_networks(faces: Sequence[str] = ("arcface", "emonet", "smirk")) -> Networks:
    runs = {"arcface": colour_embedding, "emonet": level_emotion, "smirk": level_parameters}
    return Networks(
        faces={name: FaceNetwork(name, replace(LAYOUTS[name], size=32), runs[name]) for name in faces},
        sets={"inception": mean_features},
        pairs={"lpips-alex": far},
    )
