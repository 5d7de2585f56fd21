"""The report of a set of pairs: yield, what the filters saw, and the first pairs."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.io import write_json, write_text
from mien.core.pages import page
from mien.data.idi.request import PairsRequest
from mien.data.shards import Entry, encode_png

_BINS, _WIDTH, _HEIGHT = 30, 300, 110
"""Bars of a histogram, and its size in px."""


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
    for name in ("exp", "lms", "identity", "identity_third", "sharpness", "quality"):
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
    seen = {name: [row[name] for row in rows if row[name] is not None] for name in ("exp", "lms", "identity")}
    text = page(
        "mien.data.idi",
        "report.html.j2",
        figures=figures,
        request=request,
        histograms=[_histogram(name, values, getattr(limits, name)) for name, values in seen.items() if values],
        pairs=[{"key": entry.sample.key, "pngs": [_base64(entry.template), _base64(entry.image)]} for entry in shown],
    )
    write_text(folder / "report.html", text)


def _base64(pixels: np.ndarray | None) -> str:
    assert pixels is not None
    return base64.b64encode(encode_png(pixels)).decode()


def _histogram(name: str, values: Sequence[float], limit: float) -> dict[str, Any]:
    """Bars (left end, height) in px and the place of the threshold, for the template."""
    low, high = min(*values, limit, 0.0), max(*values, limit, 1e-6) * 1.02
    counts, _ = np.histogram(values, bins=_BINS, range=(low, high))
    step, tall = _WIDTH / _BINS, _HEIGHT / max(int(counts.max()), 1)
    return {
        "name": name,
        "width": _WIDTH,
        "height": _HEIGHT,
        "step": step - 1,
        "bars": [(round(i * step, 1), round(count * tall, 1)) for i, count in enumerate(counts)],
        "limit": round((limit - low) / (high - low) * _WIDTH, 1),
        "caption": f"{name}: median {np.median(values):.3f}, threshold {limit:.3f}",
    }
