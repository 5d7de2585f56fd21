"""Curves of runs as SVG: text, so that it is small, sharp, and opens in any browser."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from mien.training.history import Curve

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 300, 160, 56, 30, 34, 26
COLUMNS = 3
COLOURS = ("#b33a3a", "#2f6f9f", "#3a8a4d", "#8a6d3a", "#6b4a9e", "#555555")
POINTS = 400
"""Largest number of points of a curve; more are thinned."""
Lines = Mapping[str, Curve]


def panels(charts: Mapping[str, Lines], axis: str = "pictures") -> str:
    """One panel a chart, three in a row.

    Args:
        charts: title -> name of a line -> its points.
        axis: what x is.
    """
    names = list(dict.fromkeys(name for lines in charts.values() for name in lines))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    across, down = min(len(charts), COLUMNS) or 1, -(-len(charts) // COLUMNS) or 1
    wide, high, head = LEFT + WIDTH + GAP, TOP + HEIGHT + BOTTOM, 24 * (len(names) > 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide * across}" height="{high * down + head}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    if head:
        parts += _legend(names, colours)
    for number, (title, lines) in enumerate(charts.items()):
        left, top = number % COLUMNS * wide + LEFT, number // COLUMNS * high + TOP + head
        parts += _panel(left, top, title, axis, lines, colours)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(names: Sequence[str], colours: Mapping[str, str]) -> list[str]:
    parts, left = [], LEFT
    for name in names:
        parts.append(f'<text x="{left}" y="16" fill="{colours[name]}">{escape(name)}</text>')
        left += 8 * len(name) + 24
    return parts


def _panel(left: int, top: int, title: str, axis: str, lines: Lines, colours: Mapping[str, str]) -> list[str]:
    points = [point for line in lines.values() for point in line if math.isfinite(point[1])]
    base = top + HEIGHT
    parts = [
        f'<text x="{left}" y="{top - 10}" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{left} {top}V{base}H{left + WIDTH}" fill="none" stroke="#999"/>',
    ]
    if not points:
        return [*parts, f'<text x="{left + 8}" y="{top + 20}" fill="#777">nothing logged</text>']
    end = max(x for x, _ in points) or 1.0
    low, high = min(y for _, y in points), max(y for _, y in points)
    low = min(low, 0.0) if low < 0.5 * high else low  # curves that come near zero show it
    span = (high - low) or abs(high) or 1.0

    def place(x: float, y: float) -> str:
        return f"{left + WIDTH * x / end:.1f},{base - HEIGHT * (y - low) / span:.1f}"

    for share in (0.0, 0.5, 1.0):
        y, value = base - HEIGHT * share, low + span * share
        parts.append(f'<text x="{left - 4}" y="{y + 4:.0f}" text-anchor="end">{value:.3g}</text>')
        anchor = ("start", "middle", "end")[round(2 * share)]
        parts.append(
            f'<text x="{left + WIDTH * share:.0f}" y="{base + 15}" text-anchor="{anchor}">{_count(end * share)}</text>'
        )
    parts.append(f'<text x="{left + WIDTH}" y="{base + 29}" text-anchor="end" fill="#777">{escape(axis)}</text>')
    for name, line in lines.items():
        kept = [point for point in line if math.isfinite(point[1])]
        kept = kept[:: max(1, len(kept) // POINTS)] + kept[-1:]
        drawn = " ".join(place(x, y) for x, y in kept)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colours[name]}" stroke-width="1.5"/>')
        if len({x for x, _ in kept}) == 1:
            x, y = place(*kept[0]).split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colours[name]}"/>')
    return parts


def _count(value: float) -> str:
    """A number of pictures, short."""
    for unit, word in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{word}"
    return f"{value:.3g}"
