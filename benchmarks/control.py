"""How well each control is followed, and identity kept: held-out people x other people's expressions and poses.

    python benchmarks/control.py --facekit KIT --model studio --people 100 --targets 20 --steps 25 \
        -o benchmarks/results/control.json

Writes the report as JSON, and its tables beside it as Markdown. The same command continues where it was interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from exit_codes import exit_codes
from result_files import write_result

from mien.cli.progress import bar
from mien.cli.words import numbers
from mien.core.io import cache_folder, write_text
from mien.evaluation.context import load_tools
from mien.evaluation.control.run import run_control
from mien.evaluation.control.settings import DEFAULT_CONDITIONS, ControlSettings
from mien.evaluation.report.tables import markdown


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def main(
    output: Annotated[Path, typer.Option("-o", "--output", help="The report.")] = Path("control.json"),
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    model: Annotated[str, typer.Option(help="studio, or the folder of a base with its judges.")] = "studio",
    people: int = 100,
    targets: int = 20,
    steps: int = 25,
    pairs_per_person: Annotated[int | None, typer.Option(help="Targets of each person; all if not given.")] = None,
    conditions: Annotated[str, typer.Option(help="Which are used, of these and prompt.")] = ",".join(
        DEFAULT_CONDITIONS
    ),
    pictures: Annotated[Path | None, typer.Option(help="Where pictures are kept; the cache if not given.")] = None,
    batch: Annotated[int, typer.Option(help="Pictures drawn at once.")] = 20,
    seed: int = 0,
    retarget: Annotated[bool, typer.Option("--retarget", help="Give the landmarks the identity's face shape.")] = False,
    scales: Annotated[str, typer.Option(help="Such as landmarks=1.2,expression=0.8.")] = "",
    guidance: Annotated[str, typer.Option(help="Such as identity=2.5,landmarks=2.")] = "",
    look_alikes: Annotated[int, typer.Option(help="Decoys a person; 0 leaves them out.")] = 4,
    draws: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 1000,
    cross_talk_people: Annotated[int, typer.Option(help="People of the cross-talk matrix; 0 leaves it out.")] = 24,
    threads: Annotated[int | None, typer.Option(help="Threads of the model; torch decides if not given.")] = None,
) -> None:
    """Run the control benchmark."""
    with exit_codes():
        settings = ControlSettings(
            people=people, targets=targets, pairs_per_person=pairs_per_person, conditions=tuple(conditions.split(",")),
            steps=steps, batch=batch, seed=seed, retarget=retarget, scales=numbers(_words(scales), "--scales"),
            guidance=numbers(_words(guidance), "--guidance"), look_alikes=look_alikes, draws=draws,
            cross_talk_people=cross_talk_people,
        )  # fmt: skip
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        folder = pictures or cache_folder() / "benchmarks" / "control"
        report = run_control(settings, load_tools(model, facekit), folder, bar)
        write_result(output, report)
        write_text(output.with_suffix(".md"), markdown(report))
    typer.echo(output.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    typer.run(main)
