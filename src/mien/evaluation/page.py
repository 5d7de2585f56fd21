"""The page of a comparison: its table, the trade of identity against control, and the pictures behind the numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.core.io import write_json, write_text
from mien.evaluation.control.pictures import read_png
from mien.evaluation.control.report import comparison, number
from mien.evaluation.control.run import Benchmark, ModelRun

if TYPE_CHECKING:
    from mien.provenance.record import Record

_STYLE = """
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; background: #faf8f4; color: #211e1b; }
body { font: 16px/1.5 Georgia, serif; }
h1, h2 { font-weight: normal; } table { border-collapse: collapse; font-size: 14px; } .wide { overflow-x: auto; }
td, th { border-bottom: 1px solid #d9d3c8; padding: 4px 10px; text-align: left; white-space: nowrap; }
figure { display: inline-block; margin: 6px; } img { width: 110px; } figcaption { font-size: 13px; }
"""


@dataclass(frozen=True, eq=False)
class Case:
    """A row of pictures behind a number.

    Attributes:
        name: of its file.
        pictures: uint8 [S, S, 3] each; others than the last are brought to its size.
        caption: what it says.
        drawn: how many of them, the last ones, a model drew; the others are renders, or a user's own.
    """

    name: str
    pictures: Sequence[Any]
    caption: str
    drawn: int = 1


Cases = Mapping[str, Sequence[Case]]
"""Heading -> rows of pictures."""


def write_report(folder: Path, report: Mapping[str, Any], cases: Mapping[str, Cases]) -> None:
    """Write ``report.json``, ``report.md``, ``index.html`` and ``pictures/``.

    The pictures that a model drew carry a record, a declaration and the invisible mark here, and not where they are
    kept: the mark would count in the numbers of a later run.

    Args:
        folder: where to.
        report: of a protocol.
        cases: model -> the pictures to show.
    """
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", comparison(report))
    parts = [f"<h1>{escape(report['protocol'])}</h1>", _blocks(comparison(report)), *_pareto(report)]
    for name, headings in cases.items():
        record = drawn_record(report, name)
        parts.append(f"<h2>{escape(name)}</h2>")
        for heading, rows in headings.items():
            parts.append(f"<h3>{escape(heading)}</h3>")
            parts += [_figure(folder, name, case, record) for case in rows]
    page = f"<!doctype html><meta charset=utf-8><title>mien evaluate</title><style>{_STYLE}</style>{''.join(parts)}"
    write_text(folder / "index.html", page)


def drawn_record(report: Mapping[str, Any], model: str) -> Record:
    """Where the pictures of a report come from that a model drew: its files, and what it was asked.

    Args:
        report: of a protocol.
        model: name of one in it; it stays out of the record, since it may be somebody's.
    """
    from mien import __version__
    from mien.provenance.record import Record

    made = report["models"][model]["made_with"]
    used = made.get("models", made)
    hashes = {name: digest for name, digest in used.items() if re.fullmatch("[0-9a-f]{64}", digest)}
    told = {name: value for name, value in used.items() if name not in hashes}  # such as the precision
    asked = {"asked": made.get("settings", {}), "conditions": made.get("conditions", [])}
    return Record(
        mien=__version__,
        settings={"evaluation": report["protocol"], **asked, **told},
        index=0,
        inputs={},
        models=hashes,
        environment=made.get("environment", {}),
    )


def control_cases(done: ModelRun, stage: Benchmark, measure: str) -> Cases:
    """Person, target and output of the best, median and worst pairs by Exp.

    Args:
        done: what a model drew.
        stage: what it was held against.
        measure: blendshapes' name in the readings.
    """
    rows, reader = exp_rows(done, stage, measure), measure.partition(".")[0]
    return {
        f"{place} by Exp, as {reader} reads it: person, target, output": [
            Case(
                stage.pairs[index].name,
                [stage.people[stage.pairs[index].person].image, stage.wanted[stage.pairs[index].target].image,
                 read_png(done.files[index])],
                "no face" if np.isnan(rows[index]) else f"Exp {rows[index]:.3f}",
            )
            for index in indices
        ]
        for place, indices in chosen_rows(rows).items()
    }  # fmt: skip


def exp_rows(done: ModelRun, stage: Benchmark, measure: str) -> np.ndarray:
    """Exp of each pair; NaN where a face is missing."""
    from mien.metrics.expression import exp_distance

    targets = stage.goals[measure][[pair.target for pair in stage.pairs]]
    return np.asarray(exp_distance(targets, done.outputs[measure]))


def chosen_rows(rows: np.ndarray, each: int = 4) -> dict[str, list[int]]:
    """Indices of the best, median and worst cases (lowest is best); NaN is the worst of all."""
    order = np.argsort(np.where(np.isnan(rows), np.inf, rows), kind="stable")
    middle = max(0, len(order) // 2 - each // 2)
    return {
        "best": order[:each].tolist(),
        "median": order[middle : middle + each].tolist(),
        "worst": order[::-1][:each].tolist(),
    }


def _figure(folder: Path, model: str, case: Case, record: Record) -> str:
    """A row of pictures, each a file of its own, and its caption."""
    from mien.provenance.png import write_picture

    place = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in model)
    side = len(case.pictures[-1])
    told, shown = escape(case.caption), []
    for column, pixels in enumerate(case.pictures, 1):
        file = f"pictures/{place}/{case.name}-{column}.png"
        image = Image.fromarray(np.asarray(pixels)).resize((side, side), Image.Resampling.LANCZOS)
        is_drawn = column > len(case.pictures) - case.drawn
        write_picture(folder / file, image, record if is_drawn else None)
        shown.append(f'<img src="{file}" alt="{told}">')
    return f"<figure>{''.join(shown)}<figcaption>{told}</figcaption></figure>"


def _blocks(markdown: str) -> str:
    """The paragraphs and Markdown tables of ours as HTML."""
    return "".join(
        _table(block) if block.startswith("|") else f"<p>{escape(block)}</p>"
        for block in markdown.strip().split("\n\n")
    )


def _table(lines: str) -> str:
    rows = [line.strip("| ").split(" | ") for line in lines.splitlines()]
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[2:])
    return f"<div class=wide><table><tr>{head}</tr>{body}</table></div>"


def _pareto(report: Mapping[str, Any]) -> list[str]:
    """Identity against transfer, one curve a sweep."""
    parts = []
    for name, sweep in report.get("sweeps", {}).items():
        points = [(one["transfer"]["value"], one["identity"]["value"]) for one in sweep["points"]]
        rows = [[f"{one['scale']:g}", number(one["transfer"]), number(one["identity"])] for one in sweep["points"]]
        lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        head = "<tr><th>scale</th><th>transfer of Exp</th><th>cosine to the person</th></tr>"
        parts.append(
            f"<h2>{escape(name)}: scale of {escape(sweep['branch'])}</h2>{_curve(points)}<table>{head}{lines}</table>"
        )
    return parts


def _curve(points: Sequence[tuple[float | None, float | None]]) -> str:
    """A small plot: transfer to the right, identity upwards, both from 0 to 1."""
    seen = [(x, y) for x, y in points if x is not None and y is not None]
    places = " ".join(f"{20 + 260 * min(max(x, 0), 1):.1f},{180 - 160 * min(max(y, 0), 1):.1f}" for x, y in seen)
    dots = "".join(f'<circle cx="{place.split(",")[0]}" cy="{place.split(",")[1]}" r="3"/>' for place in places.split())
    return (
        '<svg width="300" height="200" role="img" aria-label="identity against transfer" fill="none" stroke="#9a3f2b">'
        f'<path d="M20 20V180H280" stroke="#211e1b"/><polyline points="{places}"/>{dots}</svg>'
    )
