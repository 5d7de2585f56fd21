"""How strongly should the identity be guided? The control protocol on development people, under several weights.

    python benchmarks/guidance.py           # results/guidance.json, and the table of docs/studio-training.md
    python benchmarks/guidance.py --table   # the table alone

On people and targets on whom nothing else is reported. The same command goes on where it was interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.progress import bar
from mien.evaluation.control.report import number, table
from mien.evaluation.evaluate import evaluate
from mien.evaluation.protocol import load_models, preset_of
from mien.evaluation.spec import ModelSpec
from mien.io import atomic_path, cache_folder, read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "guidance.json"
PAGE = ROOT / "docs" / "studio-training.md"
BEGIN, END = "<!-- table: written by benchmarks/guidance.py -->\n", "<!-- end of the table -->\n"
ARMS: dict[str, dict[str, float]] = {
    "identity 4": {"identity": 4.0},
    "identity 3": {"identity": 3.0},
    "identity 2.5": {"identity": 2.5},
    "identity 3, landmarks 3": {"identity": 3.0, "landmarks": 3.0},
}
METRICS = {
    "identity.cosine": "cosine", "identity.top1": "right person first", "transfer.mediapipe.exp": "Exp, transfer",
    "transfer.judge.coefficients": "driven, transfer", "judge.yaw": "yaw", "judge.pitch": "pitch",
    "judge.emotion_class": "other emotion read",
}  # fmt: skip


def measured(base: str, kit: Path | None, people: int, targets: int, each: int) -> dict[str, Any]:
    """The report, of pictures in the fast mode, steered as `mien generate` does without words."""
    told: Any = {"conditions": ("identity", "landmarks", "emotion"), "retarget": True, "speed": "fast"}
    specs = {name: ModelSpec(base=base, guidance=weights, **told) for name, weights in ARMS.items()}
    settings = preset_of("control").settings(people, targets, each, development=True)
    models = load_models(specs, settings, kit)
    return evaluate("control", settings, models, cache_folder() / "benchmarks" / "control", bar=bar)[0]


def page_with(text: str, report: dict[str, Any]) -> str:
    """The page with its table written anew."""
    rows = [[name, *(number(one["metrics"][key]) for key in METRICS)] for name, one in report["models"].items()]
    levels = next(iter(report["models"].values()))["metrics"]
    for label, level in (("no control", "floor"), ("exact render", "ceiling")):
        known = (levels[key].get(level) for key in METRICS)
        rows.append([label, *("-" if value is None else f"{value:.3f}" for value in known)])
    before, rest = text.split(BEGIN)
    return (
        before + BEGIN + table(["guided with", *METRICS.values()], rows).rstrip() + "\n" + END + rest.split(END, 1)[1]
    )


def main(
    base: Annotated[str, typer.Option(help="studio, or the folder of a base.")] = "studio",
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    people: int = 40,
    targets: int = 20,
    each: Annotated[int, typer.Option(help="Targets of each person.")] = 5,
    tables: Annotated[bool, typer.Option("--table", help="Draw nothing.")] = False,
) -> None:
    """Draw, measure, write."""
    if not tables:
        write_json(RESULT, measured(base, facekit, people, targets, each) | {"arms": ARMS})
    with atomic_path(PAGE) as path:
        path.write_text(page_with(PAGE.read_text(encoding="utf-8"), read_json(RESULT)), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
