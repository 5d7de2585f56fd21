"""The page of a comparison: its table, the trade of identity against control, and the pictures behind the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mien.evaluation.control.pictures import read_png, write_png
from mien.evaluation.control.report import comparison, number
from mien.evaluation.control.run import Performance, Stage
from mien.io import atomic_path

_STYLE = """
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; background: #faf8f4; color: #211e1b; }
body { font: 16px/1.5 Georgia, serif; }
h1, h2 { font-weight: normal; } table { border-collapse: collapse; font-size: 14px; } .wide { overflow-x: auto; }
td, th { border-bottom: 1px solid #d9d3c8; padding: 4px 10px; text-align: left; white-space: nowrap; }
figure { display: inline-block; margin: 6px; } img { width: 128px; border-radius: 3px; } figcaption { font-size: 13px; }
"""


def write_report(
    folder: Path, report: Mapping[str, Any], done: Mapping[str, Performance], stage: Stage, measure: str
) -> None:
    """Write ``report.json``, ``report.md``, ``index.html`` and ``pictures/``.

    Args:
        folder: where to.
        report: of `mien.evaluation.compare.compare`.
        done: what each model drew.
        stage: what they were held against.
        measure: blendshapes' name in the readings, by which cases are best, median and worst.
    """
    from mien.io import write_json

    write_json(folder / "report.json", report)
    _write(folder / "report.md", comparison(report))
    parts = [f"<h1>{escape(report['protocol'])}</h1>", _table(comparison(report)), *_pareto(report)]
    for name, one in done.items():
        parts.append(f"<h2>{escape(name)}</h2><p>By Exp, as {escape(measure.partition('.')[0])} reads it.</p>")
        parts += _cases(folder, name, one, stage, measure)
    page = f"<!doctype html><meta charset=utf-8><title>mien evaluate</title><style>{_STYLE}</style>{''.join(parts)}"
    _write(folder / "index.html", page)


def exp_rows(done: Performance, stage: Stage, measure: str) -> np.ndarray:
    """Exp of each pair; NaN where a face is missing."""
    from mien.evaluation.metrics.expression import exp_distance

    targets = stage.goals[measure][[pair.target for pair in stage.pairs]]
    return np.asarray(exp_distance(targets, done.outputs[measure]))


def chosen_rows(rows: np.ndarray, each: int = 4) -> dict[str, list[int]]:
    """Indices of the best, median and worst cases; pictures without a face are the worst of all."""
    order = np.argsort(np.where(np.isnan(rows), np.inf, rows), kind="stable")
    middle = max(0, len(order) // 2 - each // 2)
    return {
        "best": order[:each].tolist(),
        "median": order[middle : middle + each].tolist(),
        "worst": order[::-1][:each].tolist(),
    }


def _cases(folder: Path, name: str, done: Performance, stage: Stage, measure: str) -> list[str]:
    rows = exp_rows(done, stage, measure)
    place = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
    parts = []
    for case, indices in chosen_rows(rows).items():
        figures = []
        for index in indices:
            pair = stage.pairs[index]
            columns = [stage.people[pair.person].image, stage.wanted[pair.target].image, read_png(done.files[index])]
            file = f"pictures/{place}/{pair.name}.png"
            write_png(folder / file, np.concatenate([np.asarray(column) for column in columns], 1))
            told = "no face" if np.isnan(rows[index]) else f"Exp {rows[index]:.3f}"
            figures.append(
                f'<figure><img style="width:330px" src="{file}" alt="{case}"><figcaption>{told}</figcaption></figure>'
            )
        parts.append(f"<h3>{case}: person, target, output</h3>{''.join(figures)}")
    return parts


def _table(markdown: str) -> str:
    """The Markdown table of ours as HTML."""
    words, _, lines = markdown.partition("\n\n")
    rows = [line.strip("| ").split(" | ") for line in lines.strip().splitlines()]
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[2:])
    return f"<p>{escape(words)}</p><div class=wide><table><tr>{head}</tr>{body}</table></div>"


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


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
