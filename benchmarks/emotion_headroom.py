"""What is left for an emotion condition to say where landmarks are given already: the emotion branch's headroom.

    python benchmarks/emotion_headroom.py --train RENDERS --test RENDERS_OF_OTHER_PEOPLE

One small classifier, trained alike on landmarks (as a reader sees them, aligned) and on all driven coefficients with
the flush, guesses the emotion label of people it has not seen. Writes ``benchmarks/results/emotion_headroom.json``
and the table in ``docs/metrics.md``.
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from docs_parts import RESULTS, ROOT, write_tables
from result_files import write_result
from torch import nn
from torch.nn import functional as F

from mien.conditions import EMOTIONS
from mien.data.corpus import Corpus
from mien.evaluation.report.tables import table
from mien.training.features import training_landmarks

EYES = (33, 263)
RESULT = RESULTS / "emotion_headroom.json"


def aligned(corpus: Corpus) -> np.ndarray:
    """Landmarks [N, 956] in the frame of the outer eye corners: place, size and roll taken out."""
    points = training_landmarks(corpus)[..., :2]
    flat = points[..., 0] + 1j * points[..., 1]
    one, other = flat[:, EYES[0], None], flat[:, EYES[1], None]
    flat = (flat - (one + other) / 2) / (other - one)
    return np.concatenate([flat.real, flat.imag], 1).astype(np.float32)


def driven(corpus: Corpus) -> np.ndarray:
    """Driven coefficients and flush [N, 54]."""
    return np.concatenate([corpus["coefficients"], corpus["flush"][:, None]], 1).astype(np.float32)


def guess(train: np.ndarray, labels: np.ndarray, test: np.ndarray, epochs: int, seed: int) -> np.ndarray:
    """Probabilities [M, 8] for ``test`` [M, D] from a classifier fitted to the label distributions [N, 8]."""
    torch.manual_seed(seed)
    mean = train.mean(0)
    _, scale, axes = np.linalg.svd((train - mean)[:4000], full_matrices=False)
    axes = axes[:100] / np.maximum(scale[:100, None], 1e-3 * scale[0]) * len(scale) ** 0.5  # whitened main directions
    x, y, z = (torch.from_numpy(a).float() for a in ((train - mean) @ axes.T, labels, (test - mean) @ axes.T))
    net = nn.Sequential(nn.Linear(x.shape[1], 256), nn.GELU(), nn.Dropout(0.2), nn.Linear(256, 256), nn.GELU(),
                        nn.Dropout(0.2), nn.Linear(256, len(EMOTIONS)))  # fmt: skip
    steps = epochs * -(-len(x) // 128)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(0, len(x), (128,))
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    with torch.no_grad():
        return net.eval()(z).softmax(1).numpy()


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    shares = {
        "landmarks, as a reader finds them": report["landmarks"]["accuracy"],
        "all driven coefficients": report["coefficients"]["accuracy"],
        "nothing: always the most frequent emotion": report["majority"],
    }
    rows = [[what, f"{share:.0%}"] for what, share in shares.items()]
    told = table(["The classifier sees", "emotion named right"], rows)
    return {ROOT / "docs" / "metrics.md": ("benchmarks/emotion_headroom.py", told)}


def main(
    train: Annotated[Path, typer.Option(help="Renders to learn from.")],
    test: Annotated[Path, typer.Option(help="Renders of other people.")],
    epochs: int = 20,
    seed: int = 0,
    output: Annotated[Path, typer.Option("-o", "--output")] = RESULTS / "emotion_headroom.json",
) -> None:
    """Measure the headroom."""
    known, asked = Corpus.load(train), Corpus.load(test)
    labels, truth = known["emotion"][:, 2:], asked["emotion"][:, 2:]
    first = truth.argmax(1)
    report: dict[str, Any] = {
        "train": len(known), "test": len(asked), "epochs": epochs, "seed": seed,
        "majority": float(np.bincount(first).max() / len(first)),
    }  # fmt: skip
    for name, read in (("landmarks", aligned), ("coefficients", driven)):
        found = guess(read(known), labels, read(asked), epochs, seed)
        report[name] = {
            "accuracy": float((found.argmax(1) == first).mean()),
            "distribution_l2": float(np.linalg.norm(found - truth, axis=1).mean()),
            "recall": {e: float((found.argmax(1) == i)[first == i].mean()) for i, e in enumerate(EMOTIONS)},
        }
    write_result(output, report)
    write_tables(tables(report))
    typer.echo(output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    typer.run(main)
