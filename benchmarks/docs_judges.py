"""What the face judge can read of a face, for ``docs/results.md``: from its own configuration and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs_parts import ROOT

from mien.core.io import read_json
from mien.evaluation.report.tables import table
from mien.faces.networks.judges import JudgeFace

STUDIO = ROOT / "src" / "mien" / "assets" / "studio"
ASKED = 0.75
"""R2 of all coefficients together that was asked of the face judge before it was trained."""
COLUMNS = 3


def judge_section(studio: Path = STUDIO) -> list[str]:
    """Heading, paragraphs and table.

    Args:
        studio: the model folder that ships, with its ledger.
    """
    read: Mapping[str, float] = read_json(studio / "judges" / "face" / "config.json")["determination"] or {}
    ledger: Mapping[str, Any] = read_json(studio / "training.json")["studio-judge-face"]
    pooled, least = ledger["validation"]["r2"], JudgeFace.LEGIBLE
    unseen = [f"`{name}`" for name, value in read.items() if value < least]
    ordered = sorted(read.items(), key=lambda one: -one[1])
    height = -(-len(ordered) // COLUMNS)
    rows = [
        [cell for name, value in ordered[row::height] for cell in (_named(name, value, least), f"{value:.2f}")]
        for row in range(height)
    ]
    rows = [row + ["-"] * (2 * COLUMNS - len(row)) for row in rows]
    seen = f"of {len(read)} coefficients {len(read) - len(unseen)} are read with an R2 of at least {least:g}"
    return [
        "## What the face judge sees",
        f"Coefficient of determination (R2) on exact renders of held-out people, all coefficients together: asked "
        f"{ASKED:g}, measured {pooled:.3f}: {'reached' if pooled >= ASKED else 'not reached'}. Alone, {seen}. "
        f"No score counts the others: {', '.join(unseen) or 'none'} "
        "([training](../src/mien/assets/studio/training.json), "
        "[each](../src/mien/assets/studio/judges/face/config.json)).",
        table(["coefficient", "R2"] * COLUMNS, rows),
    ]


def _named(name: str, value: float, least: float) -> str:
    """Its name, marked where no score counts it."""
    return f"`{name}`" if value >= least else f"`{name}` (not counted)"
