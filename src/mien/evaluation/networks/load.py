"""Networks by name, from the assets registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.errors import BadInput
from mien.faces.published.load import FACE_NETWORKS, network_file
from mien.faces.published.networks import SHAPES, Arrays, FaceNetwork, open_face_network

if TYPE_CHECKING:
    from torch import Tensor

    from mien.faces.types import Picture

Features = Callable[[Sequence["Picture"]], NDArray[np.float64]]
"""B whole pictures -> [B, D]."""
Distance = Callable[["Tensor", "Tensor"], NDArray[np.float64]]

SET_NETWORKS = ("inception",)
PAIR_NETWORKS = ("lpips-alex", "lpips-vgg")


@dataclass(frozen=True)
class Networks:
    """Loaded networks.

    Attributes:
        faces: name -> reader of faces.
        sets: name -> features [B, D] of whole pictures, for Frechet distance and KID.
        pairs: name -> distances [B] of two batches of pictures [B, 3, H, W] in [-1, 1].
        files: name -> sha256, for the record.

    Example:
        >>> from mien.evaluation.networks import Networks
        >>> Networks().parts()  # without any network nothing is read
        {}
    """

    faces: Mapping[str, FaceNetwork] = field(default_factory=dict)
    sets: Mapping[str, Features] = field(default_factory=dict)
    pairs: Mapping[str, Distance] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def parts(self) -> dict[str, tuple[int, ...]]:
        """What the face networks tell, such as ``identity.arcface``, and its shape."""
        return {f"{part}.{name}": SHAPES[part] for name, one in self.faces.items() for part in one.layout.parts}

    def read(self, pictures: Sequence[Picture], landmarks: NDArray[np.floating]) -> Arrays:
        """All of that for B pictures with landmarks [B, 478, 2 or 3]; NaN where the landmarks are."""
        readings = ((name, one(pictures, landmarks)) for name, one in self.faces.items())
        return {f"{part}.{name}": values for name, parts in readings for part, values in parts.items()}


AT_ONCE = 32
"""Pictures that a network is given at once."""


def in_batches(features: Features, pictures: Sequence[Picture]) -> NDArray[np.float64]:
    """Features [N, D] of N pictures, `AT_ONCE` at a time."""
    starts = range(0, len(pictures), AT_ONCE)
    return np.concatenate([features(pictures[start : start + AT_ONCE]) for start in starts])


def load_networks(names: Iterable[str]) -> Networks:
    """Load networks from the assets registry.

    Args:
        names: of `FACE_NETWORKS`, `SET_NETWORKS` and `PAIR_NETWORKS`.

    Raises:
        BadInput: for another name, or a broken file.
        MissingAsset: if a file is not there; the message has the command that gets it.
        MissingDependency: if a package is not there.

    Example:
        >>> from mien.errors import BadInput
        >>> from mien.evaluation.networks import load_networks
        >>> try:
        ...     load_networks(["arcfase"])
        ... except BadInput as error:
        ...     print(str(error)[:34])
        There is no network 'arcfase'; cho
    """
    from mien.core.io import sha256_of

    names = list(dict.fromkeys(names))
    known = (*FACE_NETWORKS, *SET_NETWORKS, *PAIR_NETWORKS)
    for name in names:
        if name not in known:
            raise BadInput(f"There is no network {name!r}; choose of: {', '.join(known)}.")
    assets = {name: network_file(name) for name in names}
    return Networks(
        {name: open_face_network(name, path) for name, path in assets.items() if name in FACE_NETWORKS},
        {name: _inception(path) for name, path in assets.items() if name in SET_NETWORKS},
        {name: _lpips(name, path) for name, path in assets.items() if name in PAIR_NETWORKS},
        {f"networks/{name}": sha256_of(path) for name, path in assets.items()},
    )


def _inception(path: Path) -> Features:
    from mien.evaluation.networks.inception import Inception

    return Inception(path)


def _lpips(name: str, path: Path) -> Distance:
    from mien.evaluation.networks.lpips import Lpips

    return Lpips.from_file("alex" if name == "lpips-alex" else "vgg", path)
