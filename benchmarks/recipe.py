"""How should the base be trained on? Short runs from the weights that ship, held against each other.

    python benchmarks/recipe.py --data TRAIN --held-out HELD-OUT          # trains and draws; results/recipe.json
    python benchmarks/recipe.py                                           # the table of docs/studio-training.md alone

Every arm goes on from the embedded weights with the same pictures and the same number of them; they differ in what
`ARMS` says. They are judged on development people and targets, on whom nothing is reported otherwise. The same command
goes on where it was interrupted.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from mien.assets import embedded
from mien.cli.progress import bar
from mien.evaluation.control.report import number, table
from mien.evaluation.evaluate import evaluate
from mien.evaluation.protocol import load_models, preset_of
from mien.evaluation.spec import ModelSpec
from mien.io import atomic_path, cache_folder, read_json, write_json
from mien.training.presets import preset
from mien.training.publish import publish
from mien.training.run import train

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "recipe.json"
PAGE = ROOT / "docs" / "studio-training.md"
BEGIN, END = "<!-- table: written by benchmarks/recipe.py -->\n", "<!-- end of the table -->\n"
RUN: dict[str, Any] = {"pictures": 12_000, "batch": 16, "warmup": 800, "decay": 0.5, "lr": 4e-4}
ARMS: dict[str, dict[str, Any]] = {
    "another picture": {"portraits": 0.0},
    "portraits": {"portraits": 0.85},
}
"""Arm -> options of the base's objective; the first is what the others are compared with."""
METRICS = {
    "identity.cosine": "cosine", "identity.top1": "right person first", "transfer.mediapipe.exp": "Exp, transfer",
    "transfer.judge.coefficients": "driven, transfer", "judge.yaw": "yaw", "judge.pitch": "pitch",
    "judge.emotion_class": "other emotion read",
}  # fmt: skip


def trained(name: str, place: Path, data: Path, held_out: Path) -> Path:
    """Folder of the model that an arm's run ends with."""
    options = preset("studio-base").options | ARMS[name]
    runs = place / name.replace(" ", "-")
    train("studio-base", data=data, held_out=held_out, runs=runs, start_from=embedded("studio"),
          overrides=RUN | {"options": options})  # fmt: skip
    folder = runs / "model"
    shutil.rmtree(folder, ignore_errors=True)  # made anew: the other parts may have changed
    shutil.copytree(embedded("studio"), folder)
    publish(runs, folder)
    return folder


def measured(folders: dict[str, Path], kit: Path | None, people: int, targets: int, each: int) -> dict[str, Any]:
    """The control protocol on development people."""
    told: Any = {"conditions": ("identity", "landmarks", "emotion"), "retarget": True, "speed": "fast"}
    specs = {name: ModelSpec(base=str(folder), **told) for name, folder in folders.items()}
    settings = preset_of("control").settings(people, targets, each, development=True)
    models = load_models(specs, settings, kit)
    return evaluate("control", settings, models, cache_folder() / "benchmarks" / "control", bar=bar)[0]


def page_with(text: str, report: dict[str, Any]) -> str:
    """The page with its table written anew."""
    rows = [
        [name, *(number(one["metrics"][key]) for key in METRICS)] for name, one in report["models"].items()
    ] + [
        [f"{name}, difference", *(number(one[key]) for key in METRICS)]
        for name, one in report["differences"].items()
    ]  # fmt: skip
    before, rest = text.split(BEGIN)
    return (
        before + BEGIN + table(["trained with", *METRICS.values()], rows).rstrip() + "\n" + END + rest.split(END, 1)[1]
    )


def main(
    data: Annotated[Path | None, typer.Option(help="Renders to train on; without, the table alone is written.")] = None,
    held_out: Annotated[Path | None, typer.Option(help="Renders of other people.")] = None,
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    people: int = 60,
    targets: int = 20,
    each: Annotated[int, typer.Option(help="Targets of each person.")] = 5,
) -> None:
    """Train the arms, draw with them, write the table."""
    if data is not None:
        if held_out is None:
            raise typer.BadParameter("give --held-out as well.")
        place = cache_folder() / "recipe"
        folders = {name: trained(name, place, data, held_out) for name in ARMS}
        write_json(RESULT, measured(folders, facekit, people, targets, each) | {"run": RUN, "arms": ARMS})
    with atomic_path(PAGE) as path:
        path.write_text(page_with(PAGE.read_text(encoding="utf-8"), read_json(RESULT)), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
