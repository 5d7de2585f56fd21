"""The headline: the shipped model, the exact render, the autoencoder and four dummy models on all headline measures.

    python benchmarks/headline.py --facekit KIT -o benchmarks/results/headline.json

100 held-out people x 100 targets, balanced over emotions and intensities, 2,000 pairs; hours on two cores. The same
command continues where it was interrupted. The format is ``{"models": {name: {measure: {value, low, high, n}}}, ...}``,
with what refuses a measure and where the numbers come from beside it.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from exit_codes import exit_codes
from outside_networks import FaceApi
from result_files import command_line, write_result

from mien.cli.progress import bar
from mien.core.io import cache_folder, sha256_of
from mien.evaluation.models import load_models
from mien.evaluation.protocols import EvaluationRun, protocol_named
from mien.evaluation.report.page import write_report
from mien.evaluation.report.tables import headline_tables
from mien.pipelines.spec import load_spec

RESULT = Path(__file__).resolve().parent / "results" / "headline.json"


def headline_of(report: dict[str, Any]) -> dict[str, Any]:
    """The headline file of a report of the control protocol.

    ``report_refused`` are all metrics of the report on which a dummy model is better than the exact render, ``refused``
    those of the headline.
    """
    return report["headline"] | {
        "title": report["title"],
        "settings": report["settings"],
        "pairs": report["pairs"],
        "report_refused": report["refused"],
        "made_with": report["models"]["shipped"]["made_with"],
        "judges": report["judges"],
    }


def main(
    output: Annotated[Path, typer.Option("-o", "--output", help="The JSON file.")] = RESULT,
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    model: Annotated[str, typer.Option(help="A spec of ours or a JSON file.")] = "embedded",
    people: int = 100,
    targets: int = 100,
    each: Annotated[int, typer.Option(help="Targets of each person.")] = 20,
    steps: int = 25,
    batch: Annotated[int, typer.Option(help="Pictures drawn at once.")] = 20,
    draws: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 1000,
    pictures: Annotated[Path | None, typer.Option(help="Where pictures are kept; the cache if not given.")] = None,
    page: Annotated[Path | None, typer.Option(help="Also write the whole report into this folder.")] = None,
    outside: Annotated[bool, typer.Option(help="Also ask networks from outside; needs Node.js.")] = True,
) -> None:
    """Draw, read, measure, write."""
    with ExitStack() as stack, exit_codes():
        spec, control = load_spec(model), protocol_named("control")
        settings = control.settings(people, targets, each, steps=steps, batch=batch, draws=draws)
        networks = stack.enter_context(FaceApi()) if outside else None
        models = load_models({"shipped": spec}, settings, facekit, outside=networks)
        place = pictures or cache_folder() / "benchmarks" / "control"
        report, cases = control.run(EvaluationRun(settings, models, place, bar, command=command_line()))
        if page is not None:
            write_report(page, report, cases)
        readers = models["shipped"][1].readers.values()
        files = {name: sha256_of(file) for one in readers for name, file in getattr(one, "files", {}).items()}
        write_result(output, headline_of(report), files)
        typer.echo("\n\n".join(headline_tables(report)))


if __name__ == "__main__":
    typer.run(main)
