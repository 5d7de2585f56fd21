"""What readers and judges see in pictures: arrays with one row a picture, NaN where no face was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.control.tools import ControlTools
from mien.toolbox import largest_face

if TYPE_CHECKING:
    from mien.faces.types import Face

Floats = NDArray[np.float32]
Told = Callable[[int], Any]

READ = {"blendshapes": (52,), "landmarks": (478, 3), "pose": (3,)}
"""What readers tell, and its shape."""

JUDGED = {"coefficients": (53,), "pose": (3,), "emotion": (10,)}
"""What the face judge tells; ``emotion`` is valence, arousal and eight probabilities. Its gaze tells nothing."""

_BATCH = 32


@dataclass(frozen=True, eq=False)
class Readings:
    """Readings of N pictures.

    Attributes:
        values: such as ``"mediapipe.blendshapes"`` [N, 52], ``"judge.coefficients"`` [N, 53], ``"identity"`` [N, D] of
            the judge, ``"identity.arcface"`` [N, 512]; NaN in rows without a face, and where a reader does not tell
            this; and ``"features.studio"`` [N, D] of whole pictures.
    """

    values: dict[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.values[name]

    def found(self, reader: str) -> NDArray[np.bool_]:
        """In which pictures a reader found a face, [N]."""
        return whole_rows(self.values[f"{reader}.landmarks"])


def observe(tools: ControlTools, pictures: Sequence[Any], told: Told = lambda _: None) -> Readings:
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


def whole_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows of [N, ...] have no NaN, [N]."""
    return np.asarray(np.isfinite(values.reshape(len(values), -1)).all(axis=1))


def store(values: Mapping[str, NDArray[Any]], row: int, face: Face | None, prefix: str = "") -> None:
    """Write what a reader tells of a face into a row of ``values[prefix + part]`` for each part of `READ`."""
    for part in READ if face is not None else ():
        told = getattr(face, part)
        if told is not None:
            values[prefix + part][row] = told


def judge(tools: ControlTools, pictures: Sequence[Any], points: Floats) -> dict[str, Floats]:
    """Judges' outputs for pictures with landmarks [B, 478, 3]; NaN for rows whose landmarks are NaN."""
    import torch

    from mien.faces.alignment import CROP, judge_face_matrix, judge_identity_matrix, warp
    from mien.pixels import pictures_to_tensor

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
