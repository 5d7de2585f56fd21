"""From the public ICT-FaceKit Light folder of .obj files to the one compact file that ``FaceKit.load`` reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.core.io import atomic_path, read_json
from mien.core.progress import Bar, silent
from mien.errors import BadInput

STEP: Final = 0.004
"""Quantum of the stored offsets, in units of about 1 cm."""

# Vertex ranges of the kit's parts (ICT-FaceKit Light, README of the public repository).
_REGIONS: Final = (
    ("face", 9409), ("head", 11248), ("mouth_socket", 13294), ("eye_socket_l", 13678), ("eye_socket_r", 14062),
    ("gums_tongue", 17039), ("teeth", 21451), ("sclera_l", 22221), ("iris_l", 23021), ("sclera_r", 23791),
    ("iris_r", 24591), ("lacrimal_l", 24795), ("lacrimal_r", 24999), ("eyeblend_l", 25023), ("eyeblend_r", 25047),
    ("eyeocc_l", 25199), ("eyeocc_r", 25351), ("lash_l", 26035), ("lash_r", 26719),
)  # fmt: skip
_HIDDEN_REGIONS: Final = (
    "eye_socket_l", "eye_socket_r", "iris_l", "iris_r", "lacrimal_l", "lacrimal_r", "eyeblend_l", "eyeblend_r",
)  # fmt: skip
_BACK_TEETH: Final = ((17039, 17416), (18870, 19602), (21096, 21451))


@dataclass(frozen=True, eq=False)
class _Obj:
    """A triangulated .obj: positions [V, 3], texture coordinates [U, 2], [T, 3] indices into each."""

    points: NDArray[np.float32]
    uv: NDArray[np.float32]
    triangles: NDArray[np.int32]
    uv_triangles: NDArray[np.int32]


def convert_facekit(folder: str | Path, output: str | Path, bar: Bar = silent) -> Path:
    """Read the kit's .obj files, drop what a picture never shows, and write one .npz (about 20 MB).

    Args:
        folder: the public repository or its ``FaceXModel`` folder.
        output: the file to write; ``.npz`` is appended if it is missing.
        bar: makes progress bars.

    Returns:
        The path written.

    Raises:
        BadInput: if the folder is not the kit or a file in it is damaged.
    """
    root = Path(folder)
    root = root / "FaceXModel" if (root / "FaceXModel").is_dir() else root
    neutral_file, names_file = root / "generic_neutral_mesh.obj", root / "vertex_indices.json"
    for file in (neutral_file, names_file):
        if not file.is_file():
            raise BadInput(
                f"{folder} is not the ICT-FaceKit folder ({file.name} is missing): give the folder FaceXModel of "
                "https://github.com/ICT-VGL/ICT-FaceKit."
            )
    indices = read_json(names_file)
    try:
        listed, landmarks = list(indices["expressions"]), np.asarray(indices["idx_to_landmark_verts"], np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{names_file} is not the kit's list of expressions: download the kit again.") from error
    identities = sorted(root.glob("identity*.obj"))
    expressions = sorted(file for file in root.glob("*.obj") if file.stem in set(listed))
    missing = sorted(set(listed) - {file.stem for file in expressions})
    if missing or not identities:
        absent = f"{missing[0]}.obj" if missing else "identity000.obj"
        raise BadInput(f"{root} lacks {absent}: download the kit again.")
    base = _read_obj(neutral_file)
    offsets = []
    with bar(len(identities) + len(expressions), "reading") as advance:
        for file in (*identities, *expressions):
            offsets.append(_quantised(_read_points(file, len(base.points)) - base.points, file))
            advance(1)
    arrays = _assemble(base, landmarks, np.stack(offsets), len(identities), [file.stem for file in expressions])
    target = Path(output)
    target = target if target.suffix == ".npz" else target.with_name(target.name + ".npz")
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    return target


def _read_points(file: Path, expected: int) -> NDArray[np.float32]:
    points = []
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("v "):
                points.append(line.split()[1:4])
            elif points:
                break
    try:
        array = np.asarray(points, np.float32)
    except ValueError as error:
        raise BadInput(f"{file} is damaged ({error}): download the kit again.") from error
    if array.shape != (expected, 3):
        raise BadInput(f"{file} has {len(points)} vertices instead of {expected}: download the kit again.")
    return array


def _read_obj(file: Path) -> _Obj:
    points, uv, faces = [], [], []
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, rest = line.partition(" ")
                if key == "v":
                    points.append([float(value) for value in rest.split()[:3]])
                elif key == "vt":
                    uv.append([float(value) for value in rest.split()[:2]])
                elif key == "f":
                    faces.append([tuple(int(i) - 1 for i in corner.split("/")[:2]) for corner in rest.split()])
        fan = np.asarray(list(_fan(faces)), np.int32)
        result = _Obj(np.asarray(points, np.float32), np.asarray(uv, np.float32), fan[..., 0], fan[..., 1])
    except (ValueError, IndexError) as error:
        raise BadInput(f"{file} is damaged ({error}): download the kit again.") from error
    if result.triangles.max() >= len(points) or result.uv_triangles.max() >= len(uv) or fan.min() < 0:
        raise BadInput(f"{file} is damaged (a face names a vertex that is not there): download the kit again.")
    return result


def _fan(faces: list[list[tuple[int, ...]]]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Polygons to triangles."""
    for face in faces:
        for second, third in pairwise(face[1:]):
            yield face[0], second, third


def _quantised(offsets: NDArray[np.float32], file: Path) -> NDArray[np.int16]:
    steps = np.round(offsets / STEP)
    if np.abs(steps).max() > np.iinfo(np.int16).max:
        raise BadInput(f"{file} moves vertices too far from the neutral head: download the kit again.")
    return steps.astype(np.int16)


def _assemble(
    base: _Obj, landmarks: NDArray[np.int64], offsets: NDArray[np.int16], identities: int, expressions: list[str]
) -> dict[str, NDArray[Any]]:
    """The arrays of the file: visible triangles sorted by region, and only the vertices they use."""
    names = [name for name, _ in _REGIONS]
    ends = np.array([end for _, end in _REGIONS])
    region = np.minimum(np.searchsorted(ends, np.arange(len(base.points)), side="right"), len(names) - 1)
    # A render vertex for each pair of position and texture coordinate.
    pairs = np.stack([base.triangles.ravel(), base.uv_triangles.ravel()], 1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    triangles = inverse.reshape(-1, 3)
    part = region[base.triangles[:, 0]]
    order = np.argsort(part, kind="stable")
    order = order[_visible(base, part)[order]]
    triangles, mesh, part = triangles[order], base.triangles[order], part[order]
    used, kept = np.unique(mesh), np.unique(triangles)
    new_index = np.full(len(base.points), -1)
    new_index[used] = np.arange(len(used))
    if (landmarks < 0).any() or (landmarks >= len(base.points)).any() or (new_index[landmarks] < 0).any():
        raise BadInput("vertex_indices.json names landmarks that are not on the mesh: download the kit again.")
    groups = {
        name: [int(np.searchsorted(part, index)), int(np.searchsorted(part, index, side="right"))]
        for index, name in enumerate(names)
    }
    by_axis = offsets[:, used].transpose(0, 2, 1)
    return {
        "tri": np.searchsorted(kept, triangles).astype(np.uint16),
        "vert_of_render": new_index[unique[kept, 0]].astype(np.uint16),
        "uv": base.uv[unique[kept, 1]].astype(np.float16),
        "neutral": base.points[used],
        "ident": np.ascontiguousarray(by_axis[:identities]),
        "expr": np.ascontiguousarray(by_axis[identities:]),
        "step": np.asarray(STEP, np.float32),
        "expr_names": np.array(expressions),
        "landmarks68": new_index[landmarks].astype(np.int32),
        "groups": np.array(json.dumps(groups)),
        "vregion": region[used].astype(np.uint8),
        "region_names": np.array(names),
    }


def _visible(base: _Obj, part: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which triangles are shown, [T]: not sockets, irises, back teeth, the throat and the lower back.

    Args:
        base: the neutral mesh.
        part: [T] number of each triangle's region.
    """
    names = [name for name, _ in _REGIONS]
    center = base.points[base.triangles].mean(1)
    back_teeth = np.zeros(len(base.points), bool)
    for first, end in _BACK_TEETH:
        back_teeth[first:end] = True
    keep = ~np.isin(part, [names.index(name) for name in _HIDDEN_REGIONS])
    keep &= ~back_teeth[base.triangles].any(1)
    keep &= ~((part == names.index("gums_tongue")) & (center[:, 2] < 5.5))
    return keep & ~((part == names.index("head")) & (center[:, 1] < -17.5) & (center[:, 2] < -20))
