"""The main job on real photographs: faces found and read, and every person drawn under every expression.

    python benchmarks/photographs.py get
    python benchmarks/photographs.py faces
    python benchmarks/photographs.py reading
    python benchmarks/photographs.py drawing --group held-out

The pictures are those of ``photographs.json``, fetched from public repositories into a folder outside the project. Each
part writes its numbers into ``benchmarks/results/photographs.json``; ``drawing`` writes the sheets, one for the docs
with nothing but what was drawn, and one with the photographs beside it into their folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from docs_parts import write_tables
from exit_codes import exit_codes
from outside import wilson
from photograph_drawing import DRAWN, draw_group
from photograph_set import FOLDER, Photograph, check, faceless, fetch, photographs
from result_files import write_result

from mien.cli.progress import bar
from mien.conditions import EMOTIONS
from mien.core.io import read_json
from mien.evaluation.report.tables import table
from mien.faces.open import open_reader
from mien.faces.scrfd import intersection_over_union
from mien.faces.types import Face, FaceReader
from mien.media.pictures import open_picture

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "photographs.json"
SHEET = ROOT / "docs" / "images" / "photographs.png"
EYES = (33, 263)
PARTS = ("faces", "reading", "words", "drawing")

app = typer.Typer(add_completion=False)
Folder = Annotated[Path, typer.Option("--folder", "-o", help="Where the photographs are.")]


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    rows = []
    for group, drawn in report["drawing"].items():
        for way, one in drawn.items():
            jaw = one["shout"]
            rows.append([
                group, f"`{way}`", f"{one['landmarks']['own_is_nearest']} of {one['count']}",
                f"{one['drawn']['own_is_nearest']} of {one['count']}", f"{jaw['landmarks']:.2f}", f"{jaw['drawn']:.2f}",
            ])  # fmt: skip
    head = ["Photographs", "`--retarget`", "nearest to its own template: landmarks", "drawn",
            "jawOpen of a shout, share of the template's: landmarks", "drawn"]  # fmt: skip
    told = f"{table(head, rows)}\n\nFour templates, so chance is a quarter; MediaPipe judges.{_faces_found(report)}"
    return {ROOT / "docs" / "getting-started.md": ("benchmarks/photographs.py", told)}


def _faces_found(report: dict[str, Any]) -> str:
    """A sentence on the held-out photographs, if they were looked through."""
    found = report.get("faces", {}).get("mediapipe-torch", {}).get("held-out")
    if found is None:
        return " ([Numbers](../benchmarks/results/photographs.json).)"
    people, empty = found["photographs"], found["faceless"]
    return (
        f" The right face is found in {people['right']} of {people['count']} photographs, and a face in "
        f"{empty['found']} of {empty['count']} pictures without one "
        "([numbers](../benchmarks/results/photographs.json))."
    )


def is_right(one: Photograph, face: Face, size: tuple[int, int]) -> bool:
    """Whether a face is the one that is listed: its middle within half a side, its width within a factor of two."""
    x, y, side = one.face[0] * size[0], one.face[1] * size[1], one.face[2] * size[0]
    x0, y0, x1, y1 = face.box
    near = max(abs((x0 + x1) / 2 - x), abs((y0 + y1) / 2 - y)) <= side / 2
    return near and 0.5 <= (x1 - x0) / side <= 2.0


def find_faces(folder: Path, reader: FaceReader, group: str) -> dict[str, Any]:
    """In how many pictures the right face comes first, and in how many without a face there is one."""
    people, misses, several = photographs(group), [], 0
    empty = [path for many in faceless(group) for path in many.paths(folder)]
    invented = []
    with bar(len(people) + len(empty), f"finding faces, {group}") as advance:
        for one in people:
            image = open_picture(one.file(folder))
            faces = reader.read(image).faces
            several += len(faces) > 1
            if not faces or not is_right(one, faces[0], image.size):
                misses.append(one.name)
            advance(1)
        for path in empty:
            if faces := reader.read(open_picture(path)).faces:
                invented.append({"file": path.name, "score": round(faces[0].score, 3)})
            advance(1)
    right = len(people) - len(misses)
    return {
        "photographs": {
            "right": right, "count": len(people), "interval": wilson(right, len(people)), "missed": misses,
            "with_several_faces": several,
        },
        "faceless": {"found": len(invented), "count": len(empty), "which": invented},
    }  # fmt: skip


def compare(folder: Path, reader: FaceReader, reference: FaceReader, group: str) -> dict[str, Any]:
    """Mean differences to another reader: landmarks (shares of the eyes' distance), blendshapes, pose (degrees)."""
    marks, shapes, poses, unread = [], [], [], 0
    for faces, others in _pairs(folder, reader, reference, group):
        near = [(intersection_over_union(a.box, b.box), a, b) for a in faces[:1] for b in others]
        _, mine, its = max(near, key=lambda pair: pair[0], default=(0.0, None, None))
        if mine is None or its is None or mine.landmarks is None or its.landmarks is None:
            unread += bool(others)
            continue
        eyes = float(np.linalg.norm(np.subtract(*its.landmarks[list(EYES), :2])))
        marks.append(float(np.linalg.norm((mine.landmarks - its.landmarks)[:, :2], axis=1).mean()) / eyes)
        if mine.blendshapes is not None and its.blendshapes is not None:
            shapes.append(float(np.abs(mine.blendshapes - its.blendshapes).mean()))
        if mine.pose is not None and its.pose is not None:
            poses.append(np.abs(np.subtract(mine.pose, its.pose)))
    pose = np.mean(poses, axis=0).round(2).tolist() if poses else None
    return {
        "count": len(marks), "not_read": unread, "landmarks": round(float(np.mean(marks)), 5),
        "blendshapes": round(float(np.mean(shapes)), 5), "pose": pose,
    }  # fmt: skip


def _pairs(
    folder: Path, reader: FaceReader, reference: FaceReader, group: str
) -> Iterator[tuple[Sequence[Face], Sequence[Face]]]:
    people = photographs(group)
    with bar(len(people), f"reading, {group}") as advance:
        for one in people:
            image = open_picture(one.file(folder))
            yield reader.read(image).faces, reference.read(image).faces
            advance(1)


def words(folder: Path, group: str) -> dict[str, Any]:
    """How often `mien.read` says what a person wrote down; what it leaves unsaid counts apart."""
    from photograph_drawing import agree

    import mien

    told: dict[str, list[bool | None]] = {}
    people = [one for one in photographs(group) if one.seen]
    with bar(len(people), f"words, {group}") as advance:
        for one in people:
            reading = mien.read(one.file(folder))
            answers = agree(one.seen, reading.faces[0].attributes or {}) if reading.faces else {}
            if reading.faces and "emotion" in one.seen:
                values = reading.faces[0].emotion
                said = None if values is None else EMOTIONS[int(np.argmax(values[2:]))]
                answers["emotion"] = None if said is None else said == one.seen["emotion"]
            for name, answer in answers.items():
                told.setdefault(name, []).append(answer)
            advance(1)
    return {
        name: {"right": sum(one is True for one in answers), "said": sum(one is not None for one in answers),
               "count": len(answers)}
        for name, answers in sorted(told.items())
    }  # fmt: skip


def _keep(part: str, value: dict[str, Any]) -> None:
    """Put a part into the result file, beside the others, and write the table anew."""
    before = read_json(RESULT) if RESULT.is_file() else {}
    report = {name: before[name] for name in PARTS if name in before} | {part: value}
    write_result(RESULT, report)
    if "drawing" in report:
        write_tables(tables(report))


def _merged(part: str, *keys: str, value: Any) -> dict[str, Any]:
    """A part of the result file with one value changed, the first of the keys outermost."""
    whole: dict[str, Any] = (read_json(RESULT) if RESULT.is_file() else {}).get(part, {})
    place = whole
    for key in keys[:-1]:
        place = place.setdefault(key, {})
    place[keys[-1]] = value
    return whole


@app.command()
def get(folder: Folder = FOLDER) -> None:
    """Fetch the photographs; what is there already is only checked."""
    with exit_codes():
        fetch(folder, bar)


@app.command()
def faces(folder: Folder = FOLDER, reader: str = "mediapipe-torch", group: list[str] | None = None) -> None:
    """Is the right face found, and none where there is none?"""
    with exit_codes():
        check(folder)
        opened = open_reader(reader)
        for one in group or ("development", "held-out", "animals"):
            _keep("faces", _merged("faces", reader, one, value=find_faces(folder, opened, one)))


@app.command()
def reading(folder: Folder = FOLDER, reader: str = "mediapipe-torch", group: list[str] | None = None) -> None:
    """How near a reader is to the package mediapipe, and how often words are those of a person."""
    with exit_codes():
        check(folder)
        opened, package = open_reader(reader), open_reader("mediapipe")
        for one in group or ("development", "held-out"):
            found = compare(folder, opened, package, one)
            _keep("reading", _merged("reading", reader, one, value=found))
            _keep("words", _merged("words", one, value=words(folder, one)))


@app.command()
def drawing(folder: Folder = FOLDER, group: str = "held-out", way: list[str] | None = None, seed: int = 1) -> None:
    """Draw every person of a group under its four expressions, measure, and write the sheets."""
    with exit_codes():
        check(folder)
        for one in way or ("coefficients", "difference", "none"):
            report, drawn, whole = draw_group(folder, group, one, seed, bar)
            (folder / "sheets").mkdir(exist_ok=True)
            whole.save(folder / "sheets" / f"{group}-{one}.png")
            if (group, one) == DRAWN:
                drawn.save(SHEET, optimize=True)
            _keep("drawing", _merged("drawing", group, one, value=report))


if __name__ == "__main__":
    app()
