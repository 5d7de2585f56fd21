"""What readers and judges see in pictures: arrays with one row a picture, NaN where no face was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.control.readings import READ, Readings, store, whole_rows
from mien.evaluation.control.tools import EvaluationContext
from mien.faces.observed import largest_face

if TYPE_CHECKING:
    pass

Floats = NDArray[np.float32]
Told = Callable[[int], Any]

JUDGED = {"coefficients": (53,), "pose": (3,), "emotion": (10,)}
"""What the face judge tells; ``emotion`` is valence, arousal and eight probabilities. Its gaze tells nothing."""

_BATCH = 32


def observe(tools: EvaluationContext, pictures: Sequence[Any], told: Told = lambda _: None) -> Readings:
    """Read and judge pictures.

    Args:
        tools: readers and judges.
        pictures: N pictures, PIL or uint8 [S, S, 3].
        told: called with the number of pictures done.
    """
    count = len(pictures)
    values = {
        f"{reader}.{part}": np.full((count, *shape), np.nan, np.float32)
        for reader in tools.readers
        for part, shape in READ.items()
    }
    values |= {f"judge.{part}": np.full((count, *shape), np.nan, np.float32) for part, shape in JUDGED.items()}
    values |= {name: np.full((count, *shape), np.nan, np.float32) for name, shape in tools.networks.parts().items()}
    identities: list[Floats] = []
    looks = tools.looks()
    whole: dict[str, list[Floats]] = {f"features.{name}": [] for name in looks}
    for start in range(0, count, _BATCH):
        rows = range(start, min(start + _BATCH, count))
        for row in rows:
            for name, look in looks.items():
                whole[f"features.{name}"].append(look(pictures[row]))
            for name, reader in tools.readers.items():
                store(values, row, largest_face(reader, pictures[row]), f"{name}.")
        points = values[f"{tools.first_reader}.landmarks"][rows.start : rows.stop]
        judged = judge(tools, [pictures[row] for row in rows], points)
        identities.append(judged.pop("identity"))
        for name, part in judged.items():
            values[f"judge.{name}"][rows.start : rows.stop] = part
        for name, part in tools.networks.read([pictures[row] for row in rows], points).items():
            values[name][rows.start : rows.stop] = part
        told(len(rows))
    values["identity"] = np.concatenate(identities)
    return Readings(values | {name: np.concatenate(rows) for name, rows in whole.items()})


def judge(tools: EvaluationContext, pictures: Sequence[Any], points: Floats) -> dict[str, Floats]:
    """Judges' outputs for pictures with landmarks [B, 478, 3]; NaN for rows whose landmarks are NaN."""
    import torch

    from mien.core.pixels import pictures_to_tensor
    from mien.faces.alignment import CROP, judge_face_matrix, judge_identity_matrix, warp

    there = whole_rows(points)
    # a picture without a face goes through with somebody's landmarks, so that batches keep their shape
    filled = torch.from_numpy(np.where(there[:, None, None], points, _anybody(points.shape[1:])))
    images = pictures_to_tensor(pictures)
    with torch.no_grad():
        told = tools.judge_face.predict(warp(images, judge_face_matrix(filled), CROP))
        told = {name: told[name] for name in JUDGED}
        told["identity"] = tools.judge_identity(warp(images, judge_identity_matrix(filled), CROP))
    return {name: np.where(there[:, None], part.numpy(), np.nan).astype(np.float32) for name, part in told.items()}


def _anybody(shape: tuple[int, ...]) -> Floats:
    """Landmarks that are no face but can be aligned: points on a circle."""
    angle = np.linspace(0, 2 * np.pi, shape[0], endpoint=False)
    return np.stack([64 + 32 * np.cos(angle), 64 + 32 * np.sin(angle), 0 * angle], 1).astype(np.float32)
