"""What was read in pictures: arrays with one row a picture, NaN where no face was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mien.faces.types import Face

READ = {"blendshapes": (52,), "landmarks": (478, 3), "pose": (3,)}
"""What readers tell, and its shape."""


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


def whole_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows of [N, ...] have no NaN, [N]."""
    return np.asarray(np.isfinite(values.reshape(len(values), -1)).all(axis=1))


def store(values: Mapping[str, NDArray[Any]], row: int, face: Face | None, prefix: str = "") -> None:
    """Write what a reader reads of a face into a row of ``values[prefix + part]`` for each part of `READ`."""
    for part in READ if face is not None else ():
        value = getattr(face, part)
        if value is not None:
            values[prefix + part][row] = value
