"""The page of a report: its tables, the trade of identity against control, and the pictures behind the numbers.

``templates/report.html.j2`` is the page; see `mien.core.pages`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.core.io import write_json, write_text
from mien.core.pages import page
from mien.evaluation.report.cases import Case, Cases
from mien.evaluation.report.tables import comparison, number

if TYPE_CHECKING:
    from mien.provenance.record import Record


def write_report(folder: Path, report: Mapping[str, Any], cases: Mapping[str, Cases]) -> None:
    """Write ``report.json``, ``report.md``, ``index.html`` and ``pictures/``.

    The pictures that a model drew carry a record, a declaration and the watermark here, and not where they are kept:
    the watermark would count in the numbers of a later run.

    Args:
        folder: where to.
        report: of a protocol.
        cases: model -> the pictures to show.
    """
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", comparison(report))
    models = {
        name: {heading: [_figure(folder, name, case, drawn_record(report, name)) for case in rows]
               for heading, rows in headings.items()}
        for name, headings in cases.items()
    }  # fmt: skip
    text = page(
        "mien.evaluation.report",
        "report.html.j2",
        protocol=report["protocol"],
        blocks=_blocks(comparison(report)),
        sweeps=_sweeps(report),
        models=models,
    )
    write_text(folder / "index.html", text)


def drawn_record(report: Mapping[str, Any], model: str) -> Record:
    """The record of the pictures of a report that a model drew: its files, and what it was asked.

    Args:
        report: of a protocol.
        model: name of one in it; it stays out of the record, since it may be somebody's.
    """
    from mien import __version__
    from mien.provenance.record import Record

    made = report["models"][model]["made_with"]
    used = made.get("models", made)
    hashes = {name: digest for name, digest in used.items() if re.fullmatch("[0-9a-f]{64}", digest)}
    other = {name: value for name, value in used.items() if name not in hashes}  # such as the precision
    asked = {"asked": made.get("settings", {}), "conditions": made.get("conditions", [])}
    return Record(
        mien=__version__,
        settings={"evaluation": report["protocol"], **asked, **other},
        index=0,
        inputs={},
        models=hashes,
        environment=made.get("environment", {}),
    )


def _figure(folder: Path, model: str, case: Case, record: Record) -> dict[str, Any]:
    """Write a row of pictures, each a file of its own; their places and caption for the template."""
    from mien.provenance.png import write_picture

    place = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in model)
    side, files = len(case.pictures[-1]), []
    for column, pixels in enumerate(case.pictures, 1):
        file = f"pictures/{place}/{case.name}-{column}.png"
        image = Image.fromarray(np.asarray(pixels)).resize((side, side), Image.Resampling.LANCZOS)
        is_drawn = column > len(case.pictures) - case.drawn
        write_picture(folder / file, image, record if is_drawn else None)
        files.append(file)
    return {"files": files, "caption": case.caption}


def _blocks(markdown: str) -> list[dict[str, Any]]:
    """The paragraphs and Markdown tables of a report for the template."""
    return [_table(block) if block.startswith("|") else {"text": block} for block in markdown.strip().split("\n\n")]


def _table(lines: str) -> dict[str, Any]:
    head, _, *rows = [line.strip("| ").split(" | ") for line in lines.splitlines()]
    return {"head": head, "rows": rows}


def _sweeps(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Identity against transfer of each sweep: a curve in a plot of 300 x 200, axes from 0 to 1, and a table."""
    found = []
    for name, sweep in report.get("sweeps", {}).items():
        points = [(one["transfer"]["value"], one["identity"]["value"]) for one in sweep["points"]]
        found.append({
            "model": name,
            "branch": sweep["branch"],
            "curve": [
                (f"{20 + 260 * min(max(x, 0), 1):.1f}", f"{180 - 160 * min(max(y, 0), 1):.1f}")
                for x, y in points if x is not None and y is not None
            ],
            "rows": [[f"{one['scale']:g}", number(one["transfer"]), number(one["identity"])]
                     for one in sweep["points"]],
        })  # fmt: skip
    return found
