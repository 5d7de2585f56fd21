"""``mien evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    pass

app = typer.Typer(add_completion=False)

PROTOCOLS = ("control",)


@app.command()
def evaluate(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="control: people x other people's expressions.")],
    model: Annotated[
        list[str],
        typer.Option(metavar="NAME=SPEC", help="A spec of ours or a JSON file; the first is compared with."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The report.")],
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    people: Annotated[int, typer.Option(help="Held-out studio people.")] = 100,
    targets: Annotated[int, typer.Option(help="Targets, each a picture of another person.")] = 100,
    pairs_per_person: Annotated[int, typer.Option(help="Targets of each person.")] = 20,
    steps: Annotated[int, typer.Option(help="Denoising steps, where a spec says nothing.")] = 25,
    sweep: Annotated[
        str | None, typer.Option(metavar="BRANCH=N,N,...", help="Also run each model at these scales of a branch.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Pictures drawn at once.")] = 20,
    draws: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 1000,
    pictures: Annotated[Path | None, typer.Option(help="Where pictures are kept; the cache if not given.")] = None,
) -> None:
    """Hold models against each other on the same people, targets and seeds; the same command goes on."""
    from mien.cli.progress import bar
    from mien.errors import BadInput
    from mien.evaluation.compare import compare
    from mien.evaluation.control.settings import ControlSettings
    from mien.evaluation.page import write_report
    from mien.evaluation.protocol import add_sweeps, load_models, sweep_of
    from mien.evaluation.spec import load_spec
    from mien.io import cache_folder

    if protocol not in PROTOCOLS:
        raise BadInput(f"There is no protocol {protocol!r}; choose one of: {', '.join(PROTOCOLS)}.")
    specs = {name: load_spec(place) for name, place in _pairs(model).items()}
    variants = sweep_of(sweep) if sweep else None
    settings = ControlSettings(
        people=people, targets=targets, pairs_per_person=min(pairs_per_person, targets), steps=steps, batch=batch,
        draws=draws, look_alikes=0, cross_talk_people=0,
    )  # fmt: skip
    models = load_models(specs, settings, facekit, variants)
    report, done, stage = compare(settings, models, pictures or cache_folder() / "benchmarks" / "control", bar)
    if variants:
        add_sweeps(report, specs, variants)
    reader = report["readers"][0]
    write_report(output, report, done, stage, f"{reader}.blendshapes")
    typer.echo((output / "report.md").read_text(encoding="utf-8"))


def _pairs(texts: list[str]) -> dict[str, str]:
    from mien.errors import BadInput

    found: dict[str, Any] = {}
    for text in texts:
        name, _, place = text.partition("=")
        if not name or not place or name in found:
            raise BadInput("Write --model NAME=SPEC, each name once.")
        found[name] = place
    return found
