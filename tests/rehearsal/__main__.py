"""Both recipes typed for real, on made-up raw data and tiny networks of the published layouts.

    python -m tests.rehearsal FOLDER [--short] [--paper facecrafter] [--result benchmarks/results/rehearsal.json]

The commands are those of docs/recipe-facecrafter.md and docs/recipe-emojidiff.md. The same command goes on where it was
stopped. What was done is written to the result. It needs the face kit (``MIEN_FACEKIT``) and MediaPipe's landmarker (in
``MIEN_ASSETS``, or got).
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.bench.stamp import stamp
from mien.core.io import read_json, write_json
from mien.errors import MienError
from mien.studio.kit import kit_file
from tests.raw_data import rendered_faces
from tests.rehearsal.made_up import SHORT, WHOLE, Size, write_networks, write_raw
from tests.rehearsal.play import Rehearsal
from tests.rehearsal.recipe import PAGES


def make(folder: Path, size: Size) -> dict[str, float]:
    """Make what is rehearsed with; what it took, the first time."""
    file = folder / "made.json"
    if not file.exists():
        began, used = time.monotonic(), time.process_time()
        faces = rendered_faces(kit_file(None))
        (folder / "assets").mkdir(exist_ok=True)
        write_networks(folder / "assets", size.pixels, faces)
        write_raw(folder, size, faces)
        spent = {"seconds": time.monotonic() - began, "processor": time.process_time() - used}
        write_json(file, {name: round(value, 1) for name, value in spent.items()})
    return read_json(file)


def write_result(
    file: Path, form: str, size: Size, made: dict[str, float], papers: Sequence[Rehearsal], right: bool
) -> None:
    """Write the numbers of a rehearsal.

    Args:
        file: JSON.
        form: ``short`` or ``whole``.
        size: of the form.
        made: what making it up took.
        papers: as far as they were played.
        right: whether all of them were, and proved what they should.
    """
    told: dict[str, Any] = {"form": form, "pixels": size.pixels, "passed": right, "made": made, "papers": {}}
    for paper in papers:
        steps = [{name: value for name, value in row.items() if name != "command"} for row in paper.rows]
        spent = {name: round(sum(row[name] for row in steps), 1) for name in ("seconds", "processor")}
        told["papers"][paper.paper] = {**spent, "steps": [row | {"typed": first_line(row["typed"])} for row in steps]}
    command = ["python", "-m", "tests.rehearsal", "build/rehearsal", *["--short"] * (form == "short")]
    command += [word for paper in papers for word in ("--paper", paper.paper) if len(papers) < len(PAGES)]
    command += ["--result", "benchmarks/results/rehearsal.json"]
    write_json(file, {**told, "made_by": stamp(shlex.join(command))})


def first_line(text: str) -> str:
    """Of a script, how it is run."""
    return text.partition("\n")[0]


def main() -> int:
    """Everything; 1 where a command failed or did not prove what it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--short", action="store_true", help="fewer and smaller pictures")
    parser.add_argument("--paper", choices=PAGES, action="append")
    parser.add_argument("--result", type=Path, help="a JSON file for what was typed, proved and spent")
    asked = parser.parse_args()
    size, folder = SHORT if asked.short else WHOLE, asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made = make(folder, size)
    except MienError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    papers = [Rehearsal(paper, folder) for paper in asked.paper or PAGES]
    right = all(paper.play() for paper in papers)
    if asked.result is not None:
        write_result(asked.result, "short" if asked.short else "whole", size, made, papers, right)
    sys.stdout.write("\n" + "".join(paper.table() for paper in papers))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
