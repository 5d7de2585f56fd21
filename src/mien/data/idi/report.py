"""The report of a set of pairs: yield, what the filters saw, and the first pairs."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.io import write_json, write_text
from mien.data.idi.request import PairsRequest
from mien.data.shards import Entry, encode_png

_STYLE = """
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: #faf8f4; color: #211e1b; }
body { font: 16px/1.5 Georgia, serif; } h1, h2 { font-weight: normal; } table { border-collapse: collapse; }
td, th { border-bottom: 1px solid #d9d3c8; padding: 4px 12px; text-align: left; } td + td { text-align: right; }
figure { display: inline-block; margin: 6px; } figure img { width: 96px; } figcaption { font-size: 13px; }
svg { background: #fff; margin-right: 12px; }
"""
_BINS = 30


def summary(request: PairsRequest, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers: attempts, targets with a pair, reasons, and percentiles of what the filters measured."""
    kept = sum(bool(row["kept"]) for row in rows)
    reasons = Counter(str(row["reason"]) for row in rows)
    figures: dict[str, Any] = {
        "targets": request.targets,
        "attempts": len(rows),
        "pairs": kept,
        "yield": round(kept / max(len(rows), 1), 4),
        "reasons": dict(sorted(reasons.items())),
        "thresholds": request.thresholds.model_dump(),
    }
    for name in ("exp", "lms", "identity", "identity_third", "sharpness"):
        values = [row[name] for row in rows if row[name] is not None]
        if values:
            quartiles = np.percentile(values, (10, 50, 90))
            figures[name] = {f"p{p}": round(float(v), 4) for p, v in zip((10, 50, 90), quartiles, strict=True)}
    return figures


def write_report(
    folder: Path, request: PairsRequest, rows: Sequence[Mapping[str, Any]], shown: Sequence[Entry]
) -> None:
    """Write ``report.json`` and ``report.html`` (one file, pictures inside).

    Args:
        folder: where to.
        request: of the pairs.
        rows: of the manifest.
        shown: pairs to show.
    """
    figures = summary(request, rows)
    write_json(folder / "report.json", figures)
    limits = request.thresholds
    lines = [
        f"<h1>{figures['pairs']} pairs from {figures['attempts']} attempts</h1>",
        f"<p>Made by {escape(request.maker)}, {request.steps} steps, {request.targets} targets.</p>",
        "<table><tr><th>outcome</th><th>attempts</th></tr>",
        *(f"<tr><td>{escape(name)}</td><td>{count}</td></tr>" for name, count in figures["reasons"].items()),
        "</table><h2>What the filters saw</h2>",
        *(_histogram(name, [row[name] for row in rows if row[name] is not None], limit)
          for name, limit in (("exp", limits.exp), ("lms", limits.lms), ("identity", limits.identity))),
        "<h2>The first pairs: the template, and the picture it is to lead to</h2>",
        *(_figure(entry) for entry in shown),
    ]  # fmt: skip
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pairs</title><style>{_STYLE}</style>'
    write_text(folder / "report.html", page + "\n".join(lines) + "</html>\n")


def _figure(entry: Entry) -> str:
    assert entry.template is not None
    pictures = "".join(
        f'<img alt="" src="data:image/png;base64,{base64.b64encode(encode_png(pixels)).decode()}">'
        for pixels in (entry.template, entry.image)
    )
    return f"<figure>{pictures}<figcaption>{escape(entry.sample.key)}</figcaption></figure>"


def _histogram(name: str, values: Sequence[float], limit: float) -> str:
    """An SVG with a line at the threshold."""
    if not values:
        return ""
    low, high = min(*values, limit, 0.0), max(*values, limit, 1e-6) * 1.02
    counts, _ = np.histogram(values, bins=_BINS, range=(low, high))
    width, height = 300, 110
    step, tall = width / _BINS, height / max(int(counts.max()), 1)
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{height - count * tall:.1f}" width="{step - 1:.1f}" height="{count * tall:.1f}"/>'
        for i, count in enumerate(counts)
    )
    line = (limit - low) / (high - low) * width
    return (
        f'<svg width="{width}" height="{height + 22}" fill="#7a8f9c"><title>{name}</title>{bars}'
        f'<line x1="{line:.1f}" x2="{line:.1f}" y1="0" y2="{height}" stroke="#b3402a" stroke-width="2"/>'
        f'<text x="4" y="{height + 16}" font-size="13" fill="#211e1b">{name}: median {np.median(values):.3f}, '
        f"threshold {limit:.3f}</text></svg>"
    )
