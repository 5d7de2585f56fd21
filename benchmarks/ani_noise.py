"""How noisy ICA's loss and gradient are with adaptive noise inversion, without any bound, and with steps left out.

    python benchmarks/ani_noise.py --data FOLDER [--batches 64]

Nothing is trained: every inversion sees the same batches (pictures, timesteps, noise) from the same checkpoint, on the
base that predicts v and on the one that predicts noise, for three seeds. Needs the runs that ``studio-alignment`` and
``studio-alignment-epsilon`` need. Writes ``benchmarks/results/ani_noise.json``; of each inversion and seed

- the mean of the two terms and of their weighted sum, and their spread (standard deviation over mean) over batches;
- the noise of the sum's gradient against its mean, over batches; nothing where these are too few to tell the mean.
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

from mien.data.corpus import Corpus
from mien.diffusion.inversion import SD_F_MAX, timestep_of_f
from mien.pipelines.runs import runs_folder
from mien.training.presets import PRESETS
from mien.training.run import build_objective

RESULT = Path(__file__).parent / "results" / "ani_noise.json"
BASES = {"v_prediction": "studio-alignment", "epsilon": "studio-alignment-epsilon"}
INVERSIONS = ("ani", "none", "drop")
SEEDS, BATCH = (0, 1, 2), 16


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=64)
    asked = parser.parse_args()
    corpus, found = Corpus.load(asked.data), {}
    for kind, preset in BASES.items():
        objective: Any = build_objective(PRESETS[preset], runs_folder())
        objective.prepare(corpus, runs_folder() / preset)
        objective.train()
        found[kind] = {inversion: [] for inversion in INVERSIONS}
        for seed in SEEDS:
            for inversion in INVERSIONS:
                objective.inversion = inversion
                found[kind][inversion].append(noise(objective, corpus, seed, asked.batches))
        found[kind]["timestep_of_f_max"] = timestep_of_f(objective.base.scheduler, SD_F_MAX)
    settings = {"batches": asked.batches, "batch": BATCH, "seeds": list(SEEDS)}
    command = "python benchmarks/ani_noise.py " + " ".join(sys.argv[1:])
    write_result(RESULT, {"command": command, "settings": settings, "bases": found})


def gradient_noise(squares: float, mean: float, batches: int) -> float | None:
    """sqrt(E |g - E g|^2) / |E g|, both without bias; None where the noise buries the mean.

    The squared mean of n gradients holds a share 1/n of their noise: the plain ratio never exceeds sqrt(n - 1).

    Args:
        squares: mean over batches of |g|^2.
        mean: |mean over batches of g|^2.
        batches: n.
    """
    signal, spread = (batches * mean - squares) / (batches - 1), batches * (squares - mean) / (batches - 1)
    return float(np.sqrt(spread / signal)) if signal > 0 else None


def noise(objective: Any, corpus: Corpus, seed: int, batches: int) -> dict[str, float | None]:
    """Spread of the two terms and noise of their gradient over batches."""
    trained = [one for one in objective.parameters() if one.requires_grad]
    terms: list[dict[str, float]] = []
    total, squares = [torch.zeros_like(one) for one in trained], 0.0
    for index in range(batches):
        rng = np.random.default_rng([seed, index])
        batch = objective.batch(corpus, rng, BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            _, identity, expression = objective.terms(batch, torch.Generator().manual_seed(1000 * seed + index))
            both = objective.w_id * identity + objective.w_exp * expression
        gradient = torch.autograd.grad(both, trained)
        for sum_, one in zip(total, gradient, strict=True):
            sum_ += one
        squares += sum(float(one.double().square().sum()) for one in gradient)
        terms.append({"terms": float(both), "identity": float(identity), "expression": float(expression)})
    mean = sum(float((one.double() / batches).square().sum()) for one in total)
    values = {name: np.array([one[name] for one in terms]) for name in terms[0]}
    told: dict[str, float | None] = {f"{name}_mean": one.mean() for name, one in values.items()}
    told |= {f"{name}_spread": one.std(ddof=1) / one.mean() for name, one in values.items()}
    told["gradient_noise"] = gradient_noise(squares / batches, mean, batches)
    return {name: None if value is None else float(f"{value:.4g}") for name, value in told.items()}


if __name__ == "__main__":
    main()
