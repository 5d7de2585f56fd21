"""Small line charts as SVG, side by side: text, so that a changed number shows in a diff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 220, 180, 46, 28, 40, 30
COLOURS = ("#b33a3a", "#2f6f9f", "#3a8a4d", "#8a6d3a")
Lines = Mapping[str, Sequence[tuple[float, float]]]


def panels(charts: Mapping[str, Lines], unit: str) -> str:
    """One panel a chart; x values stand at equal distances, y begins at 0.

    Args:
        charts: what x is -> name of a line -> (x, y).
        unit: what y is.
    """
    names = list(dict.fromkeys(name for lines in charts.values() for name in lines))
    colours = dict(zip(names, COLOURS, strict=False))
    step = LEFT + WIDTH + GAP
    parts = [_panel(number * step, axis, lines, colours, unit) for number, (axis, lines) in enumerate(charts.items())]
    legend = [
        f'<text x="{LEFT + 90 * number}" y="14" fill="{colours[name]}">{escape(name)}</text>'
        for number, name in enumerate(names)
    ]
    size = f'width="{step * len(charts)}" height="{TOP + HEIGHT + BOTTOM}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *legend, *parts, "</svg>"]) + "\n"


def _panel(left: float, axis: str, lines: Lines, colours: Mapping[str, str], unit: str) -> str:
    xs = sorted({x for line in lines.values() for x, _ in line})
    top = max(y for line in lines.values() for _, y in line)
    base, start = TOP + HEIGHT, left + LEFT
    place = {x: start + WIDTH * index / max(len(xs) - 1, 1) for index, x in enumerate(xs)}
    parts = [f'<path d="M{start:.0f} {TOP}V{base}H{start + WIDTH:.0f}" fill="none" stroke="#999"/>']
    parts += [f'<text x="{place[x]:.0f}" y="{base + 16}" text-anchor="middle">{x:g}</text>' for x in xs]
    parts += [
        f'<text x="{start - 4:.0f}" y="{base - HEIGHT * share + 4:.0f}" text-anchor="end">{top * share:.3g}</text>'
        for share in (0.0, 0.5, 1.0)
    ]
    parts.append(f'<text x="{start:.0f}" y="{base + 34}">{escape(axis)}; {escape(unit)}</text>')
    for name, line in lines.items():
        points = " ".join(f"{place[x]:.1f},{base - HEIGHT * y / top:.1f}" for x, y in sorted(line))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
    return "\n".join(parts)
