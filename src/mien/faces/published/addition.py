"""A network of others beside a face reader: what it tells goes into the face that the reader found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import BadInput
from mien.faces.alignment import arcface_matrix
from mien.faces.published.load import FACE_NETWORKS, network_file
from mien.faces.published.networks import open_face_network
from mien.faces.types import Face

if TYPE_CHECKING:
    from mien.faces.types import Picture

AT_ONCE = 32
"""Faces that a network is given at once."""


class NetworkAddition:
    """A `mien.faces.joined.Addition` by a network of `FACE_NETWORKS`.

    Args:
        name: of the network.

    Raises:
        MissingAsset: if its file is not here.
        MissingDependency: without onnxruntime.
        BadInput: if there is no such network, or its file is broken.
    """

    def __init__(self, name: str) -> None:
        if name not in FACE_NETWORKS:
            raise BadInput(f"There is no network {name!r}; choose of: {', '.join(FACE_NETWORKS)}.")
        self.name = name
        path = network_file(name)
        self._network = open_face_network(name, path)
        self.files = {f"{name}/{path.name}": path}

    def add(self, pictures: Sequence[Picture], faces: Sequence[Face]) -> list[dict[str, Any]]:
        """``identity``, ``emotion`` or ``flame`` of B faces, each in a picture uint8 [H, W, 3], `AT_ONCE` at a time.

        Raises:
            BadInput: if a face comes without the landmarks that the network's crop is made from.
        """
        found: list[dict[str, Any]] = []
        for start in range(0, len(faces), AT_ONCE):
            found += self._add(pictures[start : start + AT_ONCE], faces[start : start + AT_ONCE])
        return found

    def _add(self, pictures: Sequence[Picture], faces: Sequence[Face]) -> list[dict[str, Any]]:
        outputs = self._network.read_each(pictures, [self._points(face) for face in faces])
        if "expression_parameters" in outputs:
            outputs = {"flame": np.concatenate([outputs["expression_parameters"], outputs["pose_parameters"]], 1)}
        return [{part: values[row] for part, values in outputs.items()} for row in range(len(faces))]

    def _points(self, face: Face) -> NDArray[np.float32]:
        """Five points [5, 2] where the network's crop is made from them and they are known, else landmarks [478, 3]."""
        aligned = self._network.layout.crop is arcface_matrix
        points = face.points if aligned and face.points is not None else face.landmarks
        if points is None:
            raise BadInput(f"{self.name} needs landmarks, and {face.reader} gives none: let mediapipe find the face.")
        return points
