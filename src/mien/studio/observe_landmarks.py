"""Renders with MediaPipe's readings, and the command that fits the shipped landmark map and linear face from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mien.errors import MienError
from mien.faces.linear.arkit import KIT_INDEX
from mien.faces.linear.face import FACE_FILE
from mien.faces.linear.landmark_map import MAP_FILE, SURFACE_POINTS, LandmarkMap
from mien.faces.mediapipe import MediaPipeReader
from mien.studio.expression_sampling import sample_expression
from mien.studio.fit_landmarks import Observations, fit_map
from mien.studio.kit import FaceKit
from mien.studio.linear_face_build import build_linear_face
from mien.studio.person import HAIR_LENGTHS, sample_person
from mien.studio.renderer import Renderer
from mien.studio.scene import sample_scene

FIRST_SEED = 700_000
"""Seeds of the people that the map is fitted on: neither training nor benchmark people."""

_KINDS = ("neutral", "speech", "emotion")
_REGIONS = {
    "all": range(478),
    "surface": range(SURFACE_POINTS),
    "irises": range(SURFACE_POINTS, 478),
}


def observe(kit: FaceKit, reader: MediaPipeReader, count: int, size: int = 384) -> Observations:
    """Render `count` pictures (no glasses, hair off the face, moderate poses) and read them.

    Pictures in which no face is found are left out.
    """
    renderer = Renderer(kit, size=size)
    rows: list[tuple[np.ndarray, ...]] = []
    seed = FIRST_SEED
    while len(rows) < count:
        person = sample_person(seed)
        seed += 1
        if HAIR_LENGTHS[person.hair_style] not in ("bald", "very short", "short") and person.hair_style != "bun":
            person = replace(person, hair_style="bun")
        for number, kind in enumerate(_KINDS):
            rng = np.random.default_rng([seed, number])
            yaw, pitch, roll = (float(v) for v in rng.normal(size=3) * (12.0, 7.0, 4.0))
            picture = replace(
                sample_scene(number, person),
                glasses=None,
                pose=(yaw, pitch, roll),
                expression=sample_expression(rng, kind),
            )
            render = renderer.render(person, picture)
            faces = reader.read(render.image).faces
            if not faces or faces[0].landmarks is None:
                continue
            head, c = render.head, picture.expression.coefficients
            shut = max(c[KIT_INDEX["eyeBlink_L"]], c[KIT_INDEX["eyeBlink_R"]])
            rows.append(
                (
                    head.world.astype(np.float32),
                    head.view.matrix,
                    head.eye_centers,
                    head.eye_rotations,
                    np.asarray(head.eye_sizes),
                    np.asarray(shut < 0.3),
                    faces[0].landmarks.astype(np.float64),
                )
            )
    columns = [np.stack(column) for column in zip(*rows[:count], strict=True)]
    return Observations(*columns, size=size)  # type: ignore[arg-type]


def reprojection_errors(landmarks: LandmarkMap, seen: Observations) -> np.ndarray:
    """Distances [N, 478] in px of 128 px pictures between the projected map and MediaPipe's readings."""
    mine = [
        landmarks.project(
            seen.vertices[i], seen.eye_centres[i], seen.eye_rotations[i], seen.matrices[i], 128, seen.eye_scales[i]
        )
        for i in range(len(seen.readings))
    ]
    return np.linalg.norm(np.array(mine)[:, :, :2] - seen.targets()[:, :, :2], axis=2)


def main(
    facekit: Annotated[Path | None, typer.Option(help="Face kit .npz; otherwise MIEN_FACEKIT.")] = None,
    count: Annotated[int, typer.Option(help="Renders to fit on.")] = 450,
    checks: Annotated[int, typer.Option(help="Further renders to measure on.")] = 60,
    map_file: Annotated[Path, typer.Option(help="Where the map goes.")] = MAP_FILE,
    face_file: Annotated[Path, typer.Option(help="Where the linear face goes.")] = FACE_FILE,
) -> None:
    """Fit the landmark map and derive the linear face (minutes on one core)."""
    kit, reader = FaceKit.load(facekit), MediaPipeReader(max_faces=1)
    seen = observe(kit, reader, count + checks)
    landmarks = fit_map(seen.first(count), kit.mesh_triangles[slice(*kit.groups["face"])])
    landmarks.save(map_file)
    errors = reprojection_errors(landmarks, seen)[count:]
    for name, points in _REGIONS.items():
        typer.echo(f"{name}: {errors[:, list(points)].mean():.2f} px of 128 on {checks} renders that were not fitted")
    build_linear_face(kit, landmarks).save(face_file)


if __name__ == "__main__":
    try:
        typer.run(main)
    except MienError as error:
        raise SystemExit(str(error)) from None
