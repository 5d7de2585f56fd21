"""Are the pairs of IDI as good as exact ones? Judges that took no part in making them look at both.

    python benchmarks/pairs.py NAME=FOLDER [NAME=FOLDER ...]

A FOLDER is what ``mien pairs build`` or ``mien studio pairs`` wrote; each set is looked at on the targets that the
first holds. The last is what the others are held against: ``precision`` is the share of a set's pairs whose expressions
differ no more, and whose people are no more alike, than in nine of ten of the last set's. Writes
``benchmarks/results/pairs.json`` and ``docs/images/emojidiff-pairs.png``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from result_files import write_result

from mien.core.io import read_json
from mien.data.idi.source import Portraits
from mien.evaluation.context import load_tools
from mien.evaluation.readings.read import read_images
from mien.evaluation.statistics.bootstrap import estimate, resamples, weighted_means
from mien.generation.sweep import mount
from mien.metrics.expression import coefficient_distance, exp_distance
from mien.metrics.identity import cosine
from mien.provenance.png import write_picture

ROOT = Path(__file__).resolve().parents[1]
RESULT, IMAGE = ROOT / "benchmarks" / "results" / "pairs.json", ROOT / "docs" / "images" / "emojidiff-pairs.png"
MOST, SHOWN, DRAWS = 400, 9, 1000


def main() -> None:
    """Look, and write."""
    folders = dict(text.split("=", 1) for text in sys.argv[1:])
    tools = load_tools("studio", None, rendered=False)
    wanted: list[str] = []
    sets: dict[str, Any] = {}
    seen: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]] = {}
    for name, folder in folders.items():
        portraits = Portraits(Path(folder))
        entries = [portraits[row] for row in range(len(portraits))]
        wanted = wanted or [entry.sample.key for entry in entries][:MOST]
        chosen = [entry for entry in entries if entry.sample.key in set(wanted)]
        told = Path(folder) / "report.json"
        report = read_json(told) if told.exists() else _exact(len(entries), next(iter(sets.values()))["report"])
        seen[name] = looked(tools, chosen)
        judged = {key: averaged(value, seen[name][0]) for key, value in seen[name][1].items()}
        sets[name] = {"report": report, "looked_at": len(chosen), "judged": judged}
        if len(sets) == 1:
            shown = chosen[:: max(1, len(chosen) // SHOWN)][:SHOWN]
            pictures = [Image.fromarray(p) for side in ("template", "image") for p in (getattr(e, side) for e in shown)]
            write_picture(IMAGE, mount(pictures, [""] * len(pictures), len(shown)), None)
    oracle = next(reversed(seen.values()))[1]
    bounds = {key: float(np.nanpercentile(oracle[key], 90)) for key in ("coefficients", "identity")}
    for name, (weights, values) in seen.items():
        good = np.all([values[key] <= bound for key, bound in bounds.items()], 0).astype(float)
        sets[name]["precision"] = averaged(good, weights)
    command = "python benchmarks/pairs.py " + " ".join(f"{name}=FOLDER" for name in folders)
    write_result(RESULT, {"command": command, "sets": sets})


def _exact(count: int, like: dict[str, Any]) -> dict[str, Any]:
    """The report of pairs that nobody had to filter."""
    return {"attempts": count, "pairs": count, "yield": 1.0, "thresholds": like["thresholds"]}


def looked(tools: Any, entries: list[Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Weights of the bootstrap over people, and what readers and judges see of template against target, [N] each."""
    sides = ([getattr(entry, side) for entry in entries] for side in ("template", "image"))
    template, target = (read_images(tools, images) for images in sides)
    weights = resamples([[entry.sample.person for entry in entries]], DRAWS, np.random.default_rng(0))
    first = tools.first_reader
    return weights, {
        "exp": exp_distance(target[f"{first}.blendshapes"], template[f"{first}.blendshapes"]),
        "coefficients": coefficient_distance(target["judge.coefficients"], template["judge.coefficients"]),
        "identity": cosine(target["identity"], template["identity"]),
    }


def averaged(values: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Mean over pairs with a face in both, 95 % interval over people."""
    return estimate(weighted_means(values, weights)) | {"n_failed": int(np.isnan(values).sum())}


if __name__ == "__main__":
    main()
