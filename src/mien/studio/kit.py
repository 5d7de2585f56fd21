"""The morphable model (ICT-FaceKit Light): loading, linear shapes, normals, regions."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.core.io import sha256_of
from mien.core.optional import require
from mien.errors import MienError, MissingAsset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_KEYS = ("tri", "vert_of_render", "uv", "neutral", "ident", "expr", "step", "expr_names", "landmarks68", "groups")
_HOW = "pass --facekit PATH or set MIEN_FACEKIT to the .npz that 'mien facekit convert DIR' writes"


def kit_file(path: str | Path | None = None) -> Path:
    """The kit's file: ``path``, else the one named by the variable ``MIEN_FACEKIT``.

    Raises:
        MissingAsset: if no path is known, or the file is absent.
    """
    chosen = path or os.environ.get("MIEN_FACEKIT")
    if not chosen:
        raise MissingAsset(f"The studio needs the face kit: {_HOW}.")
    file = Path(chosen)
    if not file.is_file():
        raise MissingAsset(f"No face kit at {file}: {_HOW}.")
    return file


@dataclass(frozen=True, eq=False)
class FaceKit:
    """A triangulated head with 100 identity and 53 expression directions; 1 unit is about 1 cm, +z faces the camera.

    +x is the subject's left (right in the picture). V mesh vertices, R render vertices (split at texture seams),
    T triangles.

    Attributes:
        neutral: [V, 3] mean head.
        identity: [100, V, 3] offsets for one standard deviation each.
        expression: [53, V, 3] offsets at coefficient 1.
        expression_names: the 53 names (ARKit names with ``_L``/``_R``).
        triangles: [T, 3] into render vertices, sorted by region.
        vertex_of_render: [R] mesh vertex of each render vertex.
        uv: [R, 2] texture coordinates.
        groups: region name -> (first, last + 1) triangle.
        landmarks68: [68] mesh vertices of the 68 usual face points.
        region: [V] index into ``region_names``.
        sha256: hash of the file it was read from.

    Example:
        >>> from mien.studio import FaceKit
        >>> kit = FaceKit.load()
        >>> kit.identity.shape[0], len(kit.expression_names)
        (100, 53)
    """

    neutral: Floats
    identity: Floats
    expression: Floats
    expression_names: tuple[str, ...]
    triangles: Ints
    vertex_of_render: Ints
    uv: Floats
    groups: dict[str, tuple[int, int]]
    landmarks68: Ints
    region: NDArray[np.uint8]
    region_names: tuple[str, ...]
    sha256: str = field(repr=False)

    @classmethod
    def load(cls, path: str | Path | None = None) -> FaceKit:
        """Read the kit from ``path``, else from the file named by the variable ``MIEN_FACEKIT``.

        Raises:
            MienError: if no path is known, the file is absent, or it is not a kit.
        """
        file = kit_file(path)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                missing = [key for key in (*_KEYS, "vregion", "region_names") if key not in arrays]
                if missing:
                    raise MienError(f"{file} is not a face kit (it lacks {', '.join(missing)}): {_HOW}.")
                return cls._from_arrays(arrays, sha256_of(file))
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise MienError(f"{file} cannot be read as a face kit ({error}): {_HOW}.") from error

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, NDArray[Any]], digest: str) -> FaceKit:
        step = np.float32(arrays["step"])

        def offsets(key: str) -> Floats:
            # Stored [N, 3, V] as integers because that compresses best.
            return np.ascontiguousarray((arrays[key].astype(np.float32) * step).transpose(0, 2, 1))

        groups = json.loads(str(arrays["groups"]))
        return cls(
            neutral=arrays["neutral"].astype(np.float32),
            identity=offsets("ident"),
            expression=offsets("expr"),
            expression_names=tuple(str(name) for name in arrays["expr_names"]),
            triangles=arrays["tri"].astype(np.int32),
            vertex_of_render=arrays["vert_of_render"].astype(np.int32),
            uv=arrays["uv"].astype(np.float32),
            groups={name: (int(first), int(last)) for name, (first, last) in groups.items()},
            landmarks68=arrays["landmarks68"].astype(np.int32),
            region=arrays["vregion"],
            region_names=tuple(str(name) for name in arrays["region_names"]),
            sha256=digest,
        )

    @cached_property
    def mesh_triangles(self) -> Ints:
        """[T, 3] triangles into mesh vertices."""
        return self.vertex_of_render[self.triangles]

    @cached_property
    def vertex_uv(self) -> Floats:
        """[V, 2] one texture coordinate per mesh vertex (arbitrary side at seams; fine inside the face)."""
        uv = np.zeros((len(self.neutral), 2), np.float32)
        uv[self.vertex_of_render] = self.uv
        return uv

    @cached_property
    def _incidence(self) -> csr_matrix:
        sparse = require("scipy.sparse", extra="studio")
        triangles = self.mesh_triangles
        columns = np.tile(np.arange(len(triangles)), 3)
        ones = np.ones(len(columns), np.float32)
        return sparse.csr_matrix((ones, (triangles.T.ravel(), columns)), shape=(len(self.neutral), len(triangles)))

    def vertices_in(self, *regions: str) -> NDArray[np.bool_]:
        """[V] true for the vertices of the named regions (``face``, ``head``, ``teeth``, ``sclera_l``, ...)."""
        return np.isin(self.region, [self.region_names.index(name) for name in regions])

    def triangles_in(self, *regions: str) -> Ints:
        """[n, 3] render triangles of the named regions."""
        return np.concatenate([self.triangles[slice(*self.groups[name])] for name in regions])

    def normals(self, points: Floats) -> Floats:
        """Unit normals [V, 3] (area weighted) of the mesh with vertices ``points`` [V, 3]."""
        triangles = self.mesh_triangles
        origin = points[triangles[:, 0]]
        a = points[triangles[:, 1]] - origin
        b = points[triangles[:, 2]] - origin
        faces = np.empty_like(a)
        faces[:, 0] = a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]
        faces[:, 1] = a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]
        faces[:, 2] = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
        normals = self._incidence @ faces
        normals /= np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None] + 1e-9
        return normals

    def shape(self, coefficients: Sequence[float] | Floats) -> Floats:
        """Vertices [V, 3] of a neutral head with the given identity coefficients [<= 100] (standard deviations)."""
        return self.neutral + _combine(self.identity, coefficients)

    def offsets(self, coefficients: Sequence[float] | Floats) -> Floats:
        """Offsets [V, 3] of an expression with the given coefficients [53], in the order of ``expression_names``."""
        return _combine(self.expression, coefficients)


def _combine(basis: Floats, coefficients: Sequence[float] | Floats) -> Floats:
    weights = np.asarray(coefficients, np.float32)
    active = np.nonzero(weights)[0]
    if not len(active):
        return np.zeros(basis.shape[1:], np.float32)
    # Sum in coefficient order: a matrix product's order of additions depends on the number of threads.
    total = weights[active[0]] * basis[active[0]]
    for index in active[1:]:
        total += weights[index] * basis[index]
    return total
