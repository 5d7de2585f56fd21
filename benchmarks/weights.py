"""All measurements of the embedded weights, on held-out people, in one run.

    python benchmarks/weights.py --facekit KIT                          # hours on two cores; results/*.json
    python benchmarks/weights.py --only autoencoder --only text         # some of it
    python benchmarks/weights.py --only fairness --least 10 --outside   # groups as networks from outside see them
    python benchmarks/weights.py --small --steps 4 -o FOLDER            # minutes, to see that it runs

The same command continues where it was interrupted: pictures are kept, and each JSON is written as soon as it is done.
`python benchmarks/docs_results.py` then writes the page.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from exit_codes import exit_codes
from outside_networks import FaceApi
from result_files import write_result

from mien.cli.progress import bar
from mien.core.io import cache_folder, write_text
from mien.errors import BadInput
from mien.evaluation.control.run import run_control
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.models import load_models
from mien.evaluation.protocols import EvaluationRun, protocol_named
from mien.evaluation.report.page import write_report
from mien.evaluation.report.tables import markdown
from mien.pipelines.spec import load_spec

RESULTS = Path(__file__).resolve().parent / "results"
FILES = {"control": "control", "fairness": "fairness", "text": "text_only", "distribution": "distribution",
         "autoencoder": "autoencoder"}  # fmt: skip
"""Protocol -> name of its JSON file."""
SMALL: dict[str, dict[str, int]] = {
    "control": {"people": 3, "targets": 3},
    "fairness": {"people": 2, "targets": 4, "pairs_per_person": 2},
    "text": {"people": 6, "targets": 2},
    "distribution": {"people": 4, "targets": 4, "pairs_per_person": 2},
    "autoencoder": {"people": 6, "targets": 2},
}


def control_settings(small: bool, **how: Any) -> ControlSettings:
    """100 people x 20 targets, with look-alikes and the cross-talk matrix."""
    sizes = SMALL["control"] | {"cross_talk_people": 2, "look_alikes": 1} if small else {"people": 100, "targets": 20}
    return ControlSettings(**sizes, **how)  # type: ignore[arg-type]


def main(
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the JSON files.")] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(FILES)}; repeat.")] = None,
    model: Annotated[str, typer.Option(help="A spec of ours or a JSON file.")] = "embedded",
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    steps: int = 25,
    batch: Annotated[int, typer.Option(help="Pictures drawn at once.")] = 20,
    draws: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 1000,
    small: Annotated[bool, typer.Option("--small", help="A few people each, to see that it runs.")] = False,
    pictures: Annotated[Path | None, typer.Option(help="Where pictures are kept; the cache if not given.")] = None,
    reports: Annotated[Path | None, typer.Option(help="Also write pages with the pictures behind the numbers.")] = None,
    least: Annotated[int | None, typer.Option(help="People in every group of the fairness protocol.")] = None,
    outside: Annotated[bool, typer.Option("--outside", help="Also ask networks from outside; needs Node.js.")] = False,
    threads: Annotated[int | None, typer.Option(help="Threads of the model; torch decides if not given.")] = None,
) -> None:
    """Run all protocols, or some, on the embedded weights."""
    with ExitStack() as stack, exit_codes():
        names = only or list(FILES)
        if wrong := [name for name in names if name not in FILES]:
            raise BadInput(f"--only takes {', '.join(FILES)}, not {', '.join(wrong)}.")
        if small and output is None:
            raise BadInput("--small is a trial: give -o FOLDER, so that it does not overwrite the results.")
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        folder, place = output or RESULTS, pictures or cache_folder() / "benchmarks" / "control"
        how: dict[str, Any] = {"steps": steps, "batch": batch, "draws": draws}
        networks = stack.enter_context(FaceApi()) if outside else None
        asked = {"embedded": load_spec(model)}
        tools = load_models(asked, control_settings(small, **how), facekit, outside=networks)["embedded"][1]
        for name in names:
            start = time.monotonic()
            if name == "control":
                settings = control_settings(small, **how).for_model(load_spec(model))
                report = run_control(settings, tools, place, bar)
            else:
                sizes = SMALL[name] if small else {"people": least} if least and name == "fairness" else {}
                settings = protocol_named(name).settings(**sizes, **how)
                models = {"embedded": (settings.for_model(load_spec(model)), tools)}
                report, cases = protocol_named(name).run(EvaluationRun(settings, models, place, bar))
                if reports is not None:
                    write_report(reports / name, report, cases)
            write_result(folder / f"{FILES[name]}.json", report)
            if name == "control":
                write_text(folder / "control.md", markdown(report))
            count = report["pairs"]
            typer.echo(f"{name}: {count} pictures, {time.monotonic() - start:.0f} s, {folder / FILES[name]}.json")


if __name__ == "__main__":
    typer.run(main)
