"""The demo's page: one HTML file with everything in it, light and dark, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from mien.demo.examples import Example, Examples
from mien.demo.measure import Metric
from mien.demo.plan import POSES, Cell, Section, signed

READERS = {
    "studio": "the studio's own reader",
    "mediapipe": "MediaPipe",
    "mediapipe-torch": "MediaPipe's networks in PyTorch",
}
LOST = "In a dashed frame the reader found no face."
CIRCULAR = (
    "The reader that measured these pictures also read the templates whose landmarks steer them, so the numbers are"
    " kinder than a judge that took no part would be; benchmarks/ measures with separate judges."
)


def page(
    cells: Sequence[Cell],
    pictures: Sequence[bytes],
    examples: Examples,
    metrics: Sequence[Metric],
    numbers: Sequence[dict[str, float | None]],
    facts: dict[str, Any],
) -> str:
    """The page's HTML.

    Args:
        cells: what was asked for.
        pictures: PNG files of the outputs with their records, in the same order.
        examples: the inputs.
        metrics: lines of the table.
        numbers: each output's own numbers, in the same order.
        facts: "reader", "base", "speed", "steps", "seed", "pictures" and "seconds", as in metrics.json.
    """
    sources = [_data_uri(picture) for picture in pictures]
    shown = list(zip(cells, sources, numbers, strict=True))
    reader = READERS.get(facts["reader"]) or str(facts["reader"])
    seconds = facts["seconds"]["all"]
    steps = "" if facts["steps"] is None else f" in {facts['steps']} steps"
    how = (
        f"mien {facts['mien']}, base {facts['base']}, seed {facts['seed']}, {facts['pictures']} pictures,"
        f" speed {facts['speed']}{steps}; drawn and measured in {seconds:.0f} seconds."
    )
    return Template(_resource("page.html")).substitute(
        style=_resource("style.css").strip(),
        hero="".join(
            f'<img src="{source}" alt="">' for cell, source, _ in shown if cell.section == "expression" and not cell.row
        ),
        expression=_grid("expression", shown, [_template_head(template) for template in examples.templates]),
        pose=_grid("pose", shown, [_pose_head(*pose) for pose in POSES]),
        emotion=_grid("emotion", shown, [escape(label) for label in _labels(cells, "emotion")]),
        measured_by=f"Read by {escape(reader)}.",
        rows="\n".join(_row(metric) for metric in metrics),
        circular=CIRCULAR,
        facts=escape(how),
    )


def _resource(name: str) -> str:
    return (files("mien.demo") / name).read_text(encoding="utf-8")


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _picture(example: Example, alt: str) -> str:
    return f'<img src="{_data_uri(example.path.read_bytes())}" alt="{escape(alt)}">'


def _template_head(template: Example) -> str:
    return escape(template.name) + _picture(template, f"{template.name}, on another person")


def _pose_head(label: str, yaw: float, pitch: float) -> str:
    return f"{escape(label)}<small>{_angle(yaw)} / {_angle(pitch)}</small>"


def _angle(degrees: float) -> str:
    return signed(degrees).replace("-", "&minus;") + "&deg;"


def _labels(cells: Sequence[Cell], section: Section) -> list[str]:
    return list(dict.fromkeys(cell.label for cell in cells if cell.section == section))


def _grid(section: Section, shown: Sequence[tuple[Cell, str, dict[str, float | None]]], heads: Sequence[str]) -> str:
    """A table of pictures, people down and settings across."""
    rows: dict[int, list[tuple[Cell, str, dict[str, float | None]]]] = {}
    shown_here = [entry for entry in shown if entry[0].section == section]
    for entry in shown_here:
        rows.setdefault(entry[0].row, []).append(entry)
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    body = []
    for entries in rows.values():
        person = entries[0][0].person
        first = f'<th scope="row">{_picture(person, person.name)}<span>{escape(person.name)}</span></th>'
        body.append(f"<tr>{first}{''.join(_cell(*entry) for entry in entries)}</tr>")
    plain = "" if section == "expression" else ' class="words"'  # on a narrow page each picture has its own words
    note = f'<p class="note">{LOST}</p>' if any(_is_lost(numbers) for _, _, numbers in shown_here) else ""
    top = f"<thead{plain}><tr><td></td>{head}</tr></thead>"
    return f'<table class="grid">{top}<tbody>{"".join(body)}</tbody></table>{note}'


def _cell(cell: Cell, source: str, numbers: dict[str, float | None]) -> str:
    words = (
        f"<strong>{escape(cell.person.name)}, {escape(cell.label)}</strong><br><span>{escape(_said(numbers))}</span>"
    )
    lost = " lost" if _is_lost(numbers) else ""
    alt = f"{cell.person.name}, {cell.label}"
    return (
        f'<td><button class="cell{lost}" type="button"><img src="{source}" alt="{escape(alt)}" loading="lazy">'
        f'<span class="words">{words}</span></button><span class="setting">{escape(cell.label)}</span></td>'
    )


def _is_lost(numbers: dict[str, float | None]) -> bool:
    """Whether nothing could be measured, since no face was found."""
    return all(value is None for value in numbers.values())


def _said(numbers: dict[str, float | None]) -> str:
    """A picture's numbers as words."""
    names = {
        "exp": "Exp",
        "lms": "LMS",
        "yaw_error": "yaw off by",
        "pitch_error": "pitch off by",
        "identity": "identity",
    }
    parts = []
    for name, label in names.items():
        value = numbers[name]
        if value is not None:
            parts.append(f"{label} {value:+.1f}\u00b0" if name.endswith("error") else f"{label} {value:.2f}")
    return ", ".join(parts) or "no face found"


def _row(metric: Metric) -> str:
    better = "" if metric.baseline is None and metric.name == "faces" else f" {metric.better.capitalize()} is better."
    share = metric.name in ("faces", "identity_top1")
    control = metric.control
    bar = ""
    if control is not None:
        bar = f'<span class="bar"><i style="width:{control:.0%}"></i></span><small>{control:.0%}</small>'
    return (
        f"<tr><td><strong>{escape(metric.title)}</strong><small>{escape(metric.meaning)}{better}</small></td>"
        f'<td class="right">{_number(metric.value, metric.unit, share)}</td>'
        f'<td class="right">{_number(metric.baseline, metric.unit, share)}</td>'
        f'<td>{bar}</td><td class="right">{metric.pictures}</td></tr>'
    )


def _number(value: float | None, unit: str, share: bool) -> str:
    if value is None:
        return "&ndash;"
    text = f"{value:.0%}" if share else f"{value:.1f}" if unit else f"{value:.3f}"
    text = text.replace("-", "&minus;")
    return text + (f' <span class="unit">{escape(unit)}</span>' if unit else "")
