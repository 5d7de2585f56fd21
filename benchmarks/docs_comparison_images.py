"""The pictures of docs/facecrafter.md and docs/emojidiff.md, as ``mien evaluate`` kept them; none is chosen.

    python benchmarks/docs_comparison_images.py

Reads ``table1.json``, ``table2.json`` and ``expression.json`` in ``benchmarks/results/`` for where pictures are, and
takes people at even distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mien.core.io import cache_folder, read_json
from mien.evaluation.control.pictures import open_folder
from mien.generation.sweep import mount
from mien.provenance.png import write_picture

ROOT = Path(__file__).resolve().parents[1]
RESULTS, IMAGES = ROOT / "benchmarks" / "results", ROOT / "docs" / "images"
KEPT = cache_folder() / "benchmarks" / "control"
EVERY = 20
PEOPLE, PICTURES = 2, 8
SHOWN = 5


def opened(files: list[Path]) -> list[Image.Image]:
    """RGB pictures."""
    found = []
    for file in files:
        with Image.open(file) as image:
            found.append(image.convert("RGB"))
    return found


def drawn_last(folder: Path, pairs: str = "*") -> list[Path]:
    """Of each pair the picture drawn last, in order: what was shown for it before may have left one beside it."""
    files = sorted(folder.glob(f"{pairs}.png"), key=lambda file: file.stat().st_mtime_ns)
    found = {tuple(file.stem.split("-")[:2]): file for file in files}
    return [found[pair] for pair in sorted(found)]


def control(report: dict[str, Any], rows: Sequence[int] | None = None) -> Image.Image:
    """A row a pair: the exact render, then what each model drew of the same person under the same target.

    Args:
        report: of a protocol with targets.
        rows: which pairs; the first of every twentieth person when None.
    """
    models = {name: one["made_with"] for name, one in report["models"].items()}
    first = next(iter(models.values()))
    exact = {name: first[name] for name in ("mien", "kit", "inputs")} | {"what": "exact"}
    folders = {"exact render": open_folder(KEPT, exact)}
    folders |= {name: open_folder(KEPT, made_with) for name, made_with in models.items()}
    names = [file.name for file in drawn_last(folders[next(iter(models))])]
    each = len(names) // report["settings"]["people"]
    chosen = [names[row] for row in rows or range(0, len(names), each * EVERY)]
    files = [folder / name for name in chosen for folder in folders.values()]
    captions = [title if row == 0 else "" for row in range(len(chosen)) for title in folders]
    return mount(opened(files), captions, len(folders))


def diversity(report: dict[str, Any]) -> Image.Image:
    """For some people a row of each model: all its pictures of that person, from the identity alone."""
    files, captions = [], []
    for person in range(0, PEOPLE * 10, 10):
        for name, one in report["models"].items():
            folder = open_folder(KEPT, one["made_with"])
            own = drawn_last(folder, f"{person:04d}-*")[:PICTURES]
            files += own
            captions += [f"{name}", *[""] * (len(own) - 1)]
    return mount(opened(files), captions, PICTURES)


def expression(report: dict[str, Any]) -> Image.Image:
    """The same, each person under another template."""
    settings = report["settings"]
    people, each = settings["people"], settings["pairs_per_person"] or settings["targets"]
    return control(report, [k * people // SHOWN * each + 2 * k % each for k in range(SHOWN)])


def main() -> None:
    """Write them."""
    drawn = {"facecrafter-table1": control, "facecrafter-table2": diversity, "emojidiff-expression": expression}
    for name, draw in drawn.items():
        report = read_json(RESULTS / f"{name.partition('-')[2]}.json")
        write_picture(IMAGES / f"{name}.png", draw(report), None)


if __name__ == "__main__":
    main()
