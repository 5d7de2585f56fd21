"""How strongly are identity, emotion and landmarks guided best? The control protocol on development people.

    python benchmarks/guidance.py           # results/guidance.json, and the table of docs/studio-training.md
    python benchmarks/guidance.py --table   # the table alone

On people and targets on whom nothing else is reported. The same command goes on where it was interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from docs_parts import by_headline, write_tables
from result_files import write_result

from mien.cli.progress import bar
from mien.core.io import cache_folder, read_json
from mien.evaluation.models import load_models
from mien.evaluation.protocols import EvaluationRun, protocol_named
from mien.pipelines.spec import load_spec

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "guidance.json"
ARMS: dict[str, dict[str, float]] = {
    f"identity {identity:g}, landmarks {landmarks:g}, emotion {emotion:g}": {
        "identity": identity, "landmarks": landmarks, "emotion": emotion,
    }
    for identity, landmarks, emotion in (
        (3.5, 2.0, 3.0), (2.5, 2.0, 3.0), (3.5, 3.0, 3.0), (3.5, 4.0, 3.0), (3.5, 3.0, 4.5), (4.5, 3.0, 3.0),
    )
}  # fmt: skip
"""Name -> weights."""
MEASURES = (
    "nearness.expression", "nearness.expression.judge", "nearness.gaze", "nearness.pose", "nearness.identity",
    "identity.top1", "leak",
)  # fmt: skip


def measured(arms: dict[str, dict[str, Any]], kit: Path | None, people: int, targets: int, each: int) -> dict[str, Any]:
    """The report, of pictures in the fast mode, steered as `mien generate` does without words.

    Args:
        arms: name -> what is changed of the spec.
        kit: the face kit's file.
        people: how many.
        targets: how many.
        each: targets of each person.
    """
    spec = load_spec("embedded-fast")
    specs = {name: spec.model_copy(update=changes) for name, changes in arms.items()}
    settings = protocol_named("control").settings(people, targets, each, development=True)
    models = load_models(specs, settings, kit)
    return (
        protocol_named("control")
        .run(EvaluationRun(settings, models, cache_folder() / "benchmarks" / "control", bar))
        .data
    )


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    return {ROOT / "docs" / "studio-training.md": ("benchmarks/guidance.py", by_headline(report, MEASURES))}


def main(
    base: Annotated[str, typer.Option(help="studio, or the folder of a base.")] = "studio",
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    people: int = 40,
    targets: int = 20,
    each: Annotated[int, typer.Option(help="Targets of each person.")] = 5,
    table: Annotated[bool, typer.Option("--table", help="Draw nothing.")] = False,
) -> None:
    """Draw, measure, write."""
    if not table:
        arms = {name: {"base": base, "guidance": weights} for name, weights in ARMS.items()}
        write_result(RESULT, measured(arms, facekit, people, targets, each) | {"arms": ARMS})
    write_tables(tables(read_json(RESULT)))


if __name__ == "__main__":
    typer.run(main)
