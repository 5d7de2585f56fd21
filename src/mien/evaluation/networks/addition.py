"""A network of others beside a face reader: what it tells goes into the face that the reader found."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import BadInput
from mien.evaluation.networks.load import load_networks
from mien.faces.alignment import arcface_matrix
from mien.faces.types import Face


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
        from mien.evaluation.networks.load import network_file

        self.name = name
        self._network = load_networks([name]).faces[name]
        path = network_file(name)
        self.files = {f"{name}/{path.name}": path}

    def add(self, picture: Any, face: Face) -> dict[str, Any]:
        """``identity``, ``emotion`` or ``flame`` of one face in a picture uint8 [H, W, 3].

        Raises:
            BadInput: if the face comes without the landmarks that the network's crop is made from.
        """
        aligned = self._network.layout.crop is arcface_matrix
        points = face.points if aligned and face.points is not None else face.landmarks
        if points is None:
            raise BadInput(f"{self.name} needs landmarks, and {face.reader} gives none: let mediapipe find the face.")
        told = {part: values[0] for part, values in self._network([picture], points[None]).items()}
        if "expression_parameters" in told:
            return {"flame": np.concatenate([told["expression_parameters"], told["pose_parameters"]])}
        return told
