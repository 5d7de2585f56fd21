"""What a linear map finds in the expression tokens: the person, and the expression, before and after each stage.

    python benchmarks/probes.py --data FOLDER --held-out FOLDER NAME=PRESET [NAME=PRESET ...]

A PRESET is a run of ``mien train`` whose expression branch is probed; the encoder's own tokens come first. The
regression of the expression is fitted to people of ``--data`` and its R2 is of those of ``--held-out``; the classifier
of the person is fitted to all pictures of each held-out person but one, and tried on that. Intervals: 95 %, bootstrap
over held-out people. Writes ``benchmarks/results/probes.json``.
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from result_files import write_result

from mien.adapters import load_adapter
from mien.data.corpus import Corpus
from mien.evaluation.statistics.bootstrap import estimate, resamples, weighted_means
from mien.pipelines.runs import runs_folder
from mien.training.batches import spread_rows
from mien.training.features import expression_features
from mien.training.probes import ridge

RESULT = Path(__file__).parent / "results" / "probes.json"
KNOWN, DIRECTIONS, DRAWS = 6000, 1024, 1000


def main() -> None:
    """Probe, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("models", nargs="+", metavar="NAME=PRESET")
    asked = parser.parse_args()
    known, held_out = Corpus.load(asked.data), Corpus.load(asked.held_out)
    encoder = runs_folder() / "studio-expression-encoder" / "export" / "expression_encoder"
    rows = spread_rows(len(known), KNOWN)
    features = [torch.from_numpy(expression_features(one, encoder)) for one in (known, held_out)]
    features[0] = features[0][rows]
    found = {"encoder": probed([flat(one.float()) for one in features], known, rows, held_out)}
    for text in asked.models:
        name, _, preset = text.partition("=")
        file = runs_folder() / preset / "export" / "adapters" / "expression.safetensors"
        branch = next(iter(load_adapter(file).values())).float()
        with torch.no_grad():
            tokens = [flat(branch.encode(one.float())) for one in features]
        found[name] = {"preset": preset} | probed(tokens, known, rows, held_out)
    settings = {"known": len(rows), "held_out": len(held_out), "people": held_out.people, "directions": DIRECTIONS}
    command = "python benchmarks/probes.py " + " ".join(sys.argv[1:])
    write_result(RESULT, {"command": command, "settings": settings, "tokens": found})


def flat(tokens: torch.Tensor) -> np.ndarray:
    """All tokens of a picture side by side, [N, D]."""
    return tokens.flatten(1).numpy()


def probed(tokens: list[np.ndarray], known: Corpus, rows: np.ndarray, held_out: Corpus) -> dict[str, Any]:
    """Both probes, on the principal directions of the tokens (so that widths do not matter)."""
    mean = tokens[0].mean(0)
    directions = np.linalg.svd((tokens[0] - mean)[:3000], full_matrices=False)[2][:DIRECTIONS].T
    ours, theirs = ((one - mean) @ directions for one in tokens)
    scale = ours.std()
    ours, theirs = ours / scale, theirs / scale
    people, told = held_out.person_index, {}
    for name, column in (("driven", "coefficients"), ("blendshapes", "blendshapes_mediapipe")):
        truth, wanted = known[column][rows].astype(np.float64), held_out[column].astype(np.float64)
        there, seen = np.isfinite(truth).all(1), np.isfinite(wanted).all(1)
        slope, offset = ridge(ours[there], truth[there], penalty=10.0)
        guess = theirs[seen] @ slope + offset
        rest, spread = np.square(wanted[seen] - guess).sum(1), np.square(wanted[seen] - wanted[seen].mean(0)).sum(1)
        weights = resamples([people[seen]], DRAWS, np.random.default_rng(0))
        told[f"expression_r2_{name}"] = estimate(1 - (weights @ rest) / (weights @ spread))
    last = np.zeros(len(people), bool)
    last[[np.flatnonzero(people == person)[-1] for person in range(held_out.people)]] = True
    slope, offset = ridge(theirs[~last], np.eye(held_out.people)[people[~last]])
    hits = (theirs[last] @ slope + offset).argmax(1) == people[last]
    weights = resamples([people[last]], DRAWS, np.random.default_rng(0))
    return told | {"identity_top1": estimate(weighted_means(hits, weights))}


if __name__ == "__main__":
    main()
