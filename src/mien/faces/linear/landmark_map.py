"""MediaPipe's 478 face points on the studio's head, so that every render has them exactly.

468 points lie on triangles of the face mesh, 10 (two irises) on the eyeballs. The map was fitted once against
MediaPipe on renders (`mien.studio.fit_landmarks`) and ships as a small file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from mien.core.io import atomic_path

DATA = Path(__file__).parent / "data"
MAP_FILE = DATA / "landmark_map.safetensors"
POINTS = 478
SURFACE_POINTS = 468


@dataclass(frozen=True, eq=False)
class LandmarkMap:
    """Where MediaPipe's points are on the head.

    Attributes:
        vertices: int32 [468, 3], mesh vertices (order of the kit) around each surface point.
        weights: float32 [468, 3], not negative, rows sum to 1.
        iris: float32 [10, 3], offsets from the eyeball's centre in kit units, looking straight ahead. Rows 0..4
            (points 468..472) belong to the subject's right eye, rows 5..9 (473..477) to the left.
        depth_offset: MediaPipe's origin of depth lies this far behind the mean of the surface points, in kit units.
    """

    vertices: NDArray[np.int32]
    weights: NDArray[np.float32]
    iris: NDArray[np.float32]
    depth_offset: float

    @classmethod
    @cache
    def load(cls) -> Self:
        """The map that ships with the package."""
        with safe_open(MAP_FILE, framework="numpy") as stored:
            arrays = {name: stored.get_tensor(name) for name in ("vertices", "weights", "iris")}
            return cls(**arrays, depth_offset=float(stored.metadata()["depth_offset"]))

    def save(self, path: Path) -> None:
        """Write the map."""
        arrays = {"vertices": self.vertices, "weights": self.weights, "iris": self.iris}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, metadata={"depth_offset": f"{self.depth_offset:.5f}"})

    def surface(self, vertices: ArrayLike) -> NDArray[np.float64]:
        """The 468 surface points [468, 3] of a mesh [V, 3] in any frame (also of offsets [V, 3]: it is linear)."""
        return np.einsum("pkc,pk->pc", np.asarray(vertices)[self.vertices], self.weights, dtype=np.float64)

    def place(
        self,
        vertices: ArrayLike,
        eye_centres: ArrayLike,
        eye_rotations: ArrayLike,
        eye_scales: ArrayLike = (1.0, 1.0),
    ) -> NDArray[np.float64]:
        """The 478 points in the frame of the vertices, [478, 3].

        Args:
            vertices: [V, 3] posed mesh vertices.
            eye_centres: [2, 3] eyeball centres in the same frame: the subject's left, then right.
            eye_rotations: [2, 3, 3] rotations of the eyeballs into that frame (head times gaze), left then right.
            eye_scales: [2] size of each eyeball against the kit's.
        """
        centres, turns = np.asarray(eye_centres, np.float64), np.asarray(eye_rotations, np.float64)
        scales = np.asarray(eye_scales, np.float64)
        eyes = [centres[side] + scales[side] * rows @ turns[side].T for side, rows in self._iris_of_sides()]
        return np.concatenate([self.surface(vertices), *eyes])

    def _iris_of_sides(self) -> tuple[tuple[int, NDArray[np.float32]], ...]:
        return (1, self.iris[:5]), (0, self.iris[5:])

    def project(
        self,
        vertices: ArrayLike,
        eye_centres: ArrayLike,
        eye_rotations: ArrayLike,
        view_projection: ArrayLike,
        size: int,
        eye_scales: ArrayLike = (1.0, 1.0),
    ) -> NDArray[np.float32]:
        """The 478 points of a posed head in a picture, float32 [478, 3].

        x and y are px of a picture of `size` x `size` (x right, y down, pixel centres at .5). z has MediaPipe's
        sense: px at the head's scale, smaller is nearer to the camera, 0 at about the centre of the head; it is
        approximate, as MediaPipe's own.

        Args:
            vertices: [V, 3] posed mesh vertices in the world.
            eye_centres: [2, 3] in the world, left then right.
            eye_rotations: [2, 3, 3], left then right.
            view_projection: [4, 4] OpenGL clip matrix, applied to column vectors.
            size: side of the picture in px.
            eye_scales: [2], left then right.
        """
        points = self.place(vertices, eye_centres, eye_rotations, eye_scales)
        return project_points(points, view_projection, size, self.depth_offset)


def project_points(
    points: ArrayLike, view_projection: ArrayLike, size: int, depth_offset: float = 0.0
) -> NDArray[np.float32]:
    """World points [478, 3] to px and MediaPipe-like depth, float32 [478, 3]; see `LandmarkMap.project`."""
    world, matrix = np.asarray(points, np.float64), np.asarray(view_projection, np.float64)
    clip = np.c_[world, np.ones(len(world))] @ matrix.T
    depth = clip[:, 3]
    x = (clip[:, 0] / depth * 0.5 + 0.5) * size
    y = (0.5 - clip[:, 1] / depth * 0.5) * size
    origin = depth[:SURFACE_POINTS].mean() + depth_offset
    scale = 0.5 * size * np.linalg.norm(matrix[0, :3]) / origin
    return np.stack([x, y, (depth - origin) * scale], 1).astype(np.float32)
