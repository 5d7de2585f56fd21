"""Are the pairs of IDI as good as exact ones? Judges that took no part in making them look at both.

    python benchmarks/pairs.py NAME=FOLDER [NAME=FOLDER ...]

A FOLDER is what ``mien pairs build`` or ``mien studio pairs`` wrote; each set is looked at on the targets that the
first holds. Writes ``benchmarks/results/pairs.json`` and ``docs/images/emojidiff-pairs.png``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.data.idi.source import Portraits
from mien.evaluation.bootstrap import resamples, weighted_means
from mien.evaluation.control.observe import observe
from mien.evaluation.control.summary import estimate
from mien.evaluation.control.tools import load_tools
from mien.evaluation.metrics.expression import coefficient_distance, exp_distance
from mien.evaluation.metrics.identity import cosine
from mien.io import read_json, write_json
from mien.provenance.png import write_picture
from mien.sweep import mount

ROOT = Path(__file__).resolve().parents[1]
RESULT, IMAGE = ROOT / "benchmarks" / "results" / "pairs.json", ROOT / "docs" / "images" / "emojidiff-pairs.png"
MOST, SHOWN, DRAWS = 400, 9, 1000


def main() -> None:
    """Look, and write."""
    folders = dict(text.split("=", 1) for text in sys.argv[1:])
    tools = load_tools("studio", None, rendered=False)
    wanted: list[str] = []
    sets: dict[str, Any] = {}
    for name, folder in folders.items():
        portraits = Portraits(Path(folder))
        entries = [portraits[row] for row in range(len(portraits))]
        wanted = wanted or [entry.sample.key for entry in entries][:MOST]
        chosen = [entry for entry in entries if entry.sample.key in set(wanted)]
        told = Path(folder) / "report.json"
        report = read_json(told) if told.exists() else _exact(len(entries), next(iter(sets.values()))["report"])
        sets[name] = {"report": report, "looked_at": len(chosen), "judged": judged(tools, chosen)}
        if len(sets) == 1:
            shown = chosen[:: max(1, len(chosen) // SHOWN)][:SHOWN]
            pictures = [Image.fromarray(p) for side in ("template", "image") for p in (getattr(e, side) for e in shown)]
            write_picture(IMAGE, mount(pictures, [""] * len(pictures), len(shown)), None)
    command = "python benchmarks/pairs.py " + " ".join(f"{name}=FOLDER" for name in folders)
    write_json(RESULT, {"command": command, "sets": sets})


def _exact(count: int, like: dict[str, Any]) -> dict[str, Any]:
    """The report of pairs that nobody had to filter."""
    return {"attempts": count, "pairs": count, "yield": 1.0, "thresholds": like["thresholds"]}


def judged(tools: Any, entries: list[Any]) -> dict[str, Any]:
    """What readers and judges see of template against target, where there is a face in both; 95 %, over people."""
    template, target = (observe(tools, [getattr(entry, side) for entry in entries]) for side in ("template", "image"))
    weights = resamples([[entry.sample.person for entry in entries]], DRAWS, np.random.default_rng(0))
    first = tools.first_reader
    values = {
        "exp": exp_distance(target[f"{first}.blendshapes"], template[f"{first}.blendshapes"]),
        "coefficients": coefficient_distance(target["judge.coefficients"], template["judge.coefficients"]),
        "identity": cosine(target["identity"], template["identity"]),
    }
    return {
        name: estimate(weighted_means(rows, weights)) | {"n_failed": int(np.isnan(rows).sum())}
        for name, rows in values.items()
    }


if __name__ == "__main__":
    main()
