"""A network of others beside a face reader: what it tells goes into the face that the reader found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import BadInput
from mien.faces.alignment import arcface_matrix
from mien.faces.published.load import FACE_NETWORKS, network_file
from mien.faces.published.networks import open_face_network
from mien.faces.types import Face

if TYPE_CHECKING:
    from mien.faces.types import Picture


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

    def add(self, picture: Picture, face: Face) -> dict[str, Any]:
        """``identity``, ``emotion`` or ``flame`` of one face in a picture uint8 [H, W, 3].

        Raises:
            BadInput: if the face comes without the landmarks that the network's crop is made from.
        """
        aligned = self._network.layout.crop is arcface_matrix
        points = face.points if aligned and face.points is not None else face.landmarks
        if points is None:
            raise BadInput(f"{self.name} needs landmarks, and {face.reader} gives none: let mediapipe find the face.")
        outputs = {part: values[0] for part, values in self._network([picture], points[None]).items()}
        if "expression_parameters" in outputs:
            return {"flame": np.concatenate([outputs["expression_parameters"], outputs["pose_parameters"]])}
        return outputs
