"""The other way to an expression: draw the person from the identity alone, then move the picture's face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.pictures import Finish
from mien.evaluation.control.scene import Pair
from mien.evaluation.control.steer import Look
from mien.faces.observed import largest_face
from mien.generation.blending import framed


def animated(tools: EvaluationContext, wanted: Sequence[Look]) -> Finish:
    """Warp each picture's face onto its target's landmarks in the studio's framing; without a face it stays."""

    def finish(pair: Pair, picture: Image.Image) -> Image.Image:
        face = largest_face(tools.readers[tools.first_reader], picture)
        if face is None or face.landmarks is None:
            return picture
        target = framed(wanted[pair.target].seen, tools.size)
        return Image.fromarray(warp_face(np.asarray(picture), face.landmarks, target))

    return finish


def warp_face(image: NDArray[np.uint8], source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Piecewise-affine warp: what lies at landmarks ``source`` comes to lie at ``target``; the border stays.

    Args:
        image: uint8 [H, W, 3].
        source: [N, 2 or 3] pixels.
        target: as source.

    Returns:
        uint8 [H, W, 3].

    Raises:
        MissingDependency: without scipy.
    """
    from mien.core.optional import require

    spatial, images = (require(f"scipy.{name}", extra="studio") for name in ("spatial", "ndimage"))
    height, width = image.shape[:2]
    sides = [np.linspace(0, side - 1, 5) for side in (width, height)]
    border = [(x, y) for x in sides[0] for y in sides[1] if x in (0, width - 1) or y in (0, height - 1)]
    start, end = (np.concatenate([np.asarray(points)[:, :2], border]) for points in (source, target))
    mesh = spatial.Delaunay(end)
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns, rows], -1).reshape(-1, 2).astype(np.float64)
    triangles = mesh.find_simplex(places)
    affine = mesh.transform[triangles]
    two = np.einsum("nij,nj->ni", affine[:, :2], places - affine[:, 2])
    shares = np.concatenate([two, 1 - two.sum(1, keepdims=True)], 1)
    origin = np.einsum("nk,nkd->nd", shares, start[mesh.simplices[triangles]])
    origin = np.where((triangles >= 0)[:, None] & np.isfinite(origin), origin, places)
    planes = [
        images.map_coordinates(image[..., plane].astype(np.float64), origin.T[::-1], order=1, mode="nearest")
        for plane in range(3)
    ]
    return np.stack(planes, -1).reshape(height, width, 3).round().clip(0, 255).astype(np.uint8)
