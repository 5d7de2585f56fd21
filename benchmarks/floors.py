"""Exp and LMS without any model: the levels that every score must be compared with.

    python benchmarks/floors.py --renders RENDERS [PHOTO ...]

From renders read by MediaPipe (``mien studio render --read``): random pairs of people and expressions, the same person
under another expression, two people whose faces are at rest, and the same picture after JPEG and a change of size,
which is the reader's own noise. Photographs add their pairs and their noise. Writes ``benchmarks/results/floors.json``
and the table in ``docs/metrics.md``.
"""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from docs_parts import RESULTS, ROOT, write_tables
from PIL import Image
from result_files import write_result

from mien.data.corpus import Corpus
from mien.evaluation.report.tables import table
from mien.faces.mediapipe import MediaPipeReader
from mien.media.pictures import open_picture
from mien.metrics.emotion import distribution_distance
from mien.metrics.expression import exp_distance, lms_distance

RESULT = RESULTS / "floors.json"
RESTING = 0.1  # the share of renders with the smallest driven coefficients


def told(exp: np.ndarray, lms: np.ndarray) -> dict[str, Any]:
    return {
        "pairs": len(exp),
        "exp": round(float(np.mean(exp)), 4),
        "exp_sum": round(float(np.mean(exp)) * 52, 3),
        "lms": round(float(np.mean(lms)), 4),
    }


def scores(corpus: Corpus, a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    blend, points = corpus["blendshapes_mediapipe"], corpus["landmarks_mediapipe"]
    return told(exp_distance(blend[a], blend[b]), lms_distance(points[a], points[b]))


def noise(reader: MediaPipeReader, pictures: list[Image.Image]) -> dict[str, Any]:
    """The same picture as JPEG of quality 80, three quarters the size."""
    exp, lms = [], []
    for picture in pictures:
        stream = io.BytesIO()
        small = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS)
        small.save(stream, "JPEG", quality=80)
        faces = [next(iter(reader.read(one).faces), None) for one in (picture, Image.open(stream).convert("RGB"))]
        if faces[0] is not None and faces[1] is not None:
            exp.append(exp_distance(faces[0].blendshapes, faces[1].blendshapes))  # type: ignore[arg-type]
            lms.append(lms_distance(faces[0].landmarks, faces[1].landmarks))  # type: ignore[arg-type]
    return told(np.array(exp), np.array(lms))


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    rows = {
        "random pairs of two people": report["random_pairs"],
        "one person under another expression": report["same_person_other_expression"],
        "two people, faces at rest": report["two_people_both_at_rest"],
        "the reader's own noise": report["reader_noise"],
    }
    if "photographs" in report:
        rows["two photographs"] = report["photographs"]["random_pairs"]
        rows["the reader's own noise on photographs"] = report["photographs"]["reader_noise"]
    cells = [
        [what, str(one["pairs"]), f"{one['exp']:.3f}", f"{one['exp_sum']:.2f}", f"{one['lms']:.3f}"]
        for what, one in rows.items()
    ]
    source = "benchmarks/floors.py"
    return {ROOT / "docs" / "metrics.md": (source, table(["Pairs", "N", "Exp", "Exp, sum", "LMS"], cells))}


def main(
    renders: Annotated[Path, typer.Option(help="Renders of mien studio render --read.")],
    photographs: Annotated[list[Path] | None, typer.Argument(help="Photographs with a face.")] = None,
    pairs: int = 4000,
    pictures: Annotated[int, typer.Option(help="Pictures for the reader's noise.")] = 200,
    output: Annotated[Path, typer.Option("-o", "--output")] = RESULT,
) -> None:
    """Measure the levels."""
    corpus, rng = Corpus.load(renders), np.random.default_rng(0)
    read = np.flatnonzero(np.isfinite(corpus["blendshapes_mediapipe"]).all(1))
    a, b = rng.choice(read, (2, pairs))
    strangers = corpus.person_index[a] != corpus.person_index[b]
    a, b = a[strangers], b[strangers]
    rows = rng.choice(read, pairs)
    other = corpus.same_person(rows, rng)
    whole = np.isin(other, read)
    driven = corpus["coefficients"][read].sum(1)
    calm = read[driven <= np.quantile(driven, RESTING)]
    c, d = rng.choice(calm, (2, pairs))
    apart = corpus.person_index[c] != corpus.person_index[d]
    reader = MediaPipeReader(max_faces=1)
    chosen = rng.choice(read, min(pictures, len(read)), replace=False)
    probabilities = corpus["emotion"][:, 2:]
    report: dict[str, Any] = {
        "renders": len(corpus), "read": len(read),
        "random_pairs": scores(corpus, a, b),
        "same_person_other_expression": scores(corpus, rows[whole], other[whole]),
        "two_people_both_at_rest": scores(corpus, c[apart], d[apart]),
        "reader_noise": noise(reader, [Image.fromarray(corpus["images"][row]) for row in chosen]),
        "emotion_random_pairs": {
            kind: round(float(distribution_distance(probabilities[a], probabilities[b], kind).mean()), 4)
            for kind in ("l2", "rmse")
        },
    }  # fmt: skip
    if photographs:
        images = [open_picture(path) for path in photographs]
        faces = [reader.read(image).face() for image in images]
        both = list(combinations(faces, 2))
        report["photographs"] = {
            "files": [path.name for path in photographs],
            "random_pairs": told(
                np.array([exp_distance(x.blendshapes, y.blendshapes) for x, y in both]),  # type: ignore[arg-type]
                np.array([lms_distance(x.landmarks, y.landmarks) for x, y in both]),  # type: ignore[arg-type]
            ),
            "reader_noise": noise(reader, images),
        }
    write_result(output, report)
    write_tables(tables(report))
    typer.echo(output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    typer.run(main)
