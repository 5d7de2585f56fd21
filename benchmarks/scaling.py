"""How much faster several processes are than one, on a real stage, and whether they write the same bytes.

    python benchmarks/scaling.py -o benchmarks/results/scaling.json        # 12 minutes of two cores
    python benchmarks/scaling.py --executor ray --pictures 24 -o ...     # on a local Ray cluster of as many workers

The stage is the import of a folder of renders (``mien data import``): each process finds the faces, reads
landmarks, blendshapes and pose, embeds and squares them. Each number of workers makes a dataset of its own, in turns;
what counts is the median of the ratios. Of a turn stand the wall-clock seconds and how many of the machine's cores
others had meanwhile: with other programs beside it the ratio says nothing. It needs MediaPipe's landmarker
(``MIEN_ASSETS``, or ``mien assets get``).
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from docs_parts import RESULTS, ROOT, write_tables
from PIL import Image
from result_files import write_result

from mien.core.io import read_json
from mien.core.processes import available_cores
from mien.data.importing.job import UNIT, ImportJob
from mien.data.importing.reading import ImportTools
from mien.demo.examples import Examples
from mien.evaluation.report.tables import table
from mien.media.pictures import open_picture

RESULT, PAGE = RESULTS / "scaling.json", ROOT / "docs" / "how-to-gpus.md"
READER = "mediapipe-torch"
SIDE = 512


def write_pictures(folder: Path, count: int) -> None:
    """Copies of the studio's people, each with an edge of its own colour."""
    people = [open_picture(one.path).resize((SIDE, SIDE)) for one in Examples.load().people]
    for number in range(count):
        own = Image.new("RGB", (SIDE + 8, SIDE + 8), (number % 256, number // 256, 90))
        own.paste(people[number % len(people)], (4, 4))
        place = folder / f"person-{number % len(people)}" / f"{number:05d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        own.save(place, compress_level=1)


def imported(source: Path, folder: Path, workers: int, executor: str) -> dict[str, float]:
    """Import into a new folder; wall-clock seconds, and of how many cores others had the use."""
    opened = partial(ImportTools.load, READER, "sd15")
    job = ImportJob.open(
        source, folder, opened(), layout="folder", every=1.0, size=SIDE, framing="studio", ending="jpg", min_face=48,
        reader=READER, same=0.4, per_shard=64,
    )  # fmt: skip
    spent, start = _processor(), time.monotonic()
    busy = sum(psutil.cpu_times()[:3])
    job.run(opened, executor=executor, workers=workers)
    seconds = time.monotonic() - start
    others = max(0.0, sum(psutil.cpu_times()[:3]) - busy - (_processor() - spent))
    job.summary()
    return {"seconds": round(seconds, 2), "cores_of_others": round(others / seconds, 2)}


def _processor() -> float:
    """Of this process and the children that have ended."""
    used = psutil.Process().cpu_times()
    return used.user + used.system + used.children_user + used.children_system


def same_bytes(one: Path, other: Path) -> int:
    """Number of files of two datasets, all equal.

    Raises:
        SystemExit: if they are not.
    """
    names = [sorted(path.name for path in folder.iterdir() if path.is_file()) for folder in (one, other)]
    if names[0] != names[1] or any((one / name).read_bytes() != (other / name).read_bytes() for name in names[0]):
        raise SystemExit(f"{one} and {other} differ.")
    return len(names[0])


def tables(found: Mapping[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    rows = [
        [f"{turn['one']['seconds']:.0f}", f"{turn['several']['seconds']:.0f}", f"{turn['ratio']:.2f}"]
        for turn in found["turns"]
    ]
    text = (
        f"{found['pictures']:,} pictures of {SIDE} px imported by one process and by {found['workers']}, on "
        f"{found['cores']} cores without a GPU; {found['equal_files']} files, the same bytes "
        "([JSON](../benchmarks/results/scaling.json)):"
    )
    head = ["one process, seconds", f"{found['workers']} processes, seconds", "times as fast"]
    return {PAGE: ("python benchmarks/scaling.py", f"{text}\n\n{table(head, rows)}")}


def main(
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The report, a JSON file.")] = None,
    pictures: Annotated[int, typer.Option(help="How many copies.")] = 32 * UNIT,
    workers: Annotated[int, typer.Option(help="Compared with one.")] = 2,
    turns: Annotated[int, typer.Option(help="How often each.")] = 2,
    executor: Annotated[str, typer.Option(help="Of the several: local or ray.")] = "local",
) -> None:
    """Import the same folder by one process and by several, in turns."""
    os.environ["OMP_NUM_THREADS"] = "1"  # a process a core, whatever their number
    import torch

    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    files = 0
    with tempfile.TemporaryDirectory(prefix="scaling-") as name:
        folder = Path(name)
        write_pictures(folder / "raw", pictures)
        for turn in range(turns):
            one = imported(folder / "raw", folder / "one", 1, "local")
            several = imported(folder / "raw", folder / "several", workers, executor)
            files = same_bytes(folder / "one", folder / "several")
            found.append({"one": one, "several": several, "ratio": round(one["seconds"] / several["seconds"], 3)})
            typer.echo(f"turn {turn + 1}: {found[-1]}; {files} files are the same")
            for name in ("one", "several"):
                shutil.rmtree(folder / name)
    report = {
        "pictures": pictures, "reader": READER, "executor": executor, "workers": workers, "cores": available_cores(),
        "equal_files": files, "turns": found, "ratio": statistics.median(one["ratio"] for one in found),
    }  # fmt: skip
    typer.echo(f"{workers} workers: {report['ratio']:.2f} times one")
    if output is not None:
        write_result(output, report)
        if output.resolve() == RESULT:
            write_tables(tables(read_json(RESULT)))


if __name__ == "__main__":
    typer.run(main)
