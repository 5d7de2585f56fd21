"""``mien evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Executor, Facekit, Networks, Reader
from mien.cli.say import say, say_text

app = typer.Typer(add_completion=False)

_PROTOCOLS = (
    "control: people x other people's expressions; expression: every person x every template; "
    "diversity and ablation: several pictures from the identity alone; fairness: people of every skin, age and gender; "
    "text: captions alone; distribution: the pictures as a set; autoencoder: renders, encoded and decoded. "
    "With --data, the papers' on photographs: celeba-2000, synth-500, agedb-500, emojidiff-grid."
)


@app.command()
def evaluate(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help=_PROTOCOLS)],
    model: Annotated[
        list[str],
        typer.Option(metavar="NAME=SPEC", help="A spec of ours or a JSON file; the first is compared with."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The report.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of  mien data protocol, for a protocol on photographs.")
    ] = None,
    identities: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Pictures of people; held-out studio people if not given.")
    ] = None,
    targets_from: Annotated[
        Path | None, typer.Option("--targets", metavar="FOLDER", help="Pictures of targets, with --identities.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Real pictures that synth-500 and agedb-500 are compared with: FID, KID."),
    ] = None,
    facekit: Facekit = None,
    people: Annotated[
        int | None,
        typer.Option(min=1, help="Studio people, in fairness of each group; the protocol's own number if not given."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--target-count", min=1, help="Studio targets, or pictures a person in diversity, text and autoencoder."
        ),
    ] = None,
    pairs_per_person: Annotated[int | None, typer.Option(min=1, help="Targets of each person.")] = None,
    steps: Annotated[int, typer.Option(help="Denoising steps, where a spec says nothing.")] = 25,
    sweep: Annotated[
        str | None, typer.Option(metavar="BRANCH=N,N,...", help="Also run each model at these scales of a branch.")
    ] = None,
    network: Networks = None,
    reader: Reader = "auto",
    batch: Annotated[int, typer.Option(help="Pictures drawn at once.")] = 20,
    draws: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 1000,
    claims: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the papers' claims that these models test into this JSON.")
    ] = None,
    development: Annotated[
        bool, typer.Option("--development", help="Other held-out people and targets, to choose a model by.")
    ] = False,
    pictures: Annotated[Path | None, typer.Option(help="Where pictures are kept; the cache if not given.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw and read; as many as there is room for if not given.")
    ] = None,
    executor: Executor = "local",
    part: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only draw this part, on one of N machines; then the command without it."),
    ] = None,
) -> None:
    """Compare models on the same people, targets and seeds; run again, the command continues."""
    from mien.bench.stamp import command_line, stamp
    from mien.cli.progress import bar
    from mien.cli.words import named
    from mien.core.io import cache_folder, check_writable, sha256_of
    from mien.core.stages.execute import parse_part
    from mien.errors import BadInput
    from mien.evaluation.claims.training import runs_of, training_of
    from mien.evaluation.claims.verdicts import merge, rows_in
    from mien.evaluation.control.pictures import Drawing, PartDrawn
    from mien.evaluation.models import add_sweeps, load_models, sweep_of
    from mien.evaluation.protocols import EvaluationRun, protocol_named
    from mien.evaluation.protocols.real import PRESETS
    from mien.evaluation.report.page import write_report
    from mien.generation.protocol_folder import read_protocol
    from mien.pipelines.runs import runs_folder
    from mien.pipelines.spec import load_spec

    asked = PRESETS.get(protocol)
    if (asked is None) != (data is None):
        raise BadInput("--data is the folder of a protocol on photographs, which is named with it (docs/importing.md).")
    if asked is not None and data is not None:
        pairs = read_protocol(data, protocol).get("pairs", [])
        protocol, count = asked.protocol, count or asked.each
        identities, targets_from = data / "identities", data / "targets" if pairs else None
        pairs_per_person = pairs_per_person or (sum(person == 0 for person, _ in pairs) or None)
        network = network or list(asked.networks)
    chosen = protocol_named(protocol)
    chosen.check(identities, targets_from, sweep is not None, reference)
    specs = {name: load_spec(place) for name, place in named(model, "--model", "SPEC").items()}
    variants = sweep_of(sweep) if sweep else None
    if development and identities is not None:
        raise BadInput("--development is about studio people: leave --identities and --targets out.")
    place = pictures or cache_folder() / "benchmarks" / "control"
    check_writable([output / "report.json", place / "any", *([claims] if claims else [])])
    if claims is not None:
        rows_in(claims)  # a file that cannot be read is said before hours of drawing
    how = {"steps": steps, "batch": batch, "draws": draws, "development": development}
    settings = chosen.settings(people, count, pairs_per_person, **how)
    drawing = Drawing(executor, workers, parse_part(part))
    models = load_models(
        specs, settings, facekit, variants, identities is None, network or (), drawing=drawing, reader=reader
    )
    runs = {name: [training_of(runs_folder(spec.base) / run) for run in runs_of(spec)] for name, spec in specs.items()}
    training = {name: [arm for arm in arms if arm is not None] for name, arms in runs.items()}
    command = command_line()
    try:
        report, cases = chosen.run(
            EvaluationRun(settings, models, place, bar, identities, targets_from, reference, command, training)
        )
    except PartDrawn:
        say(f"Part {part} is drawn; when all are, the same command without --part reads and compares them.")
        return
    if variants:
        add_sweeps(report, specs, variants)
    readers = next(iter(models.values()))[1].readers.values()
    files = {name: sha256_of(file) for one in readers for name, file in getattr(one, "files", {}).items()}
    report["made_by"] = stamp(command, files)
    write_report(output, report, cases)
    if claims is not None:
        merge(claims, report.get("claims", []))
    say_text((output / "report.md").read_text(encoding="utf-8"))
