"""``mien evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Facekit, Networks

app = typer.Typer(add_completion=False)

_PROTOCOLS = (
    "control: people x other people's expressions; expression: every person x every template; "
    "diversity and ablation: several pictures from the identity alone."
)


@app.command()
def evaluate(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help=_PROTOCOLS)],
    model: Annotated[
        list[str],
        typer.Option(metavar="NAME=SPEC", help="A spec of ours or a JSON file; the first is compared with."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The report.")],
    identities: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Pictures of people; held-out studio people if not given.")
    ] = None,
    targets_from: Annotated[
        Path | None, typer.Option("--targets", metavar="FOLDER", help="Pictures of targets, with --identities.")
    ] = None,
    facekit: Facekit = None,
    people: Annotated[int | None, typer.Option(help="Studio people; the protocol's own number if not given.")] = None,
    count: Annotated[
        int | None, typer.Option("--target-count", help="Studio targets, or pictures a person in diversity.")
    ] = None,
    pairs_per_person: Annotated[int | None, typer.Option(help="Targets of each person.")] = None,
    steps: Annotated[int, typer.Option(help="Denoising steps, where a spec says nothing.")] = 25,
    sweep: Annotated[
        str | None, typer.Option(metavar="BRANCH=N,N,...", help="Also run each model at these scales of a branch.")
    ] = None,
    network: Networks = None,
    batch: Annotated[int, typer.Option(help="Pictures drawn at once.")] = 20,
    draws: Annotated[int, typer.Option(help="Resamples of the bootstrap.")] = 1000,
    claims: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the papers' claims that these models test into this JSON.")
    ] = None,
    pictures: Annotated[Path | None, typer.Option(help="Where pictures are kept; the cache if not given.")] = None,
) -> None:
    """Hold models against each other on the same people, targets and seeds; the same command goes on."""
    import shlex
    import sys

    from mien.cli.progress import bar
    from mien.cli.words import named
    from mien.errors import BadInput
    from mien.evaluation.claims import merge
    from mien.evaluation.compare import compare
    from mien.evaluation.control.settings import ControlSettings
    from mien.evaluation.diversity import compare_diversity
    from mien.evaluation.page import control_cases, write_report
    from mien.evaluation.pairing import pictures_in
    from mien.evaluation.protocol import add_sweeps, load_models, preset_of, sweep_of
    from mien.evaluation.spec import load_spec
    from mien.io import cache_folder

    preset = preset_of(protocol)
    if preset.identity_only and (targets_from or sweep):
        raise BadInput(f"{protocol} gives models nothing but the identity: leave --targets and --sweep out.")
    if not preset.identity_only and (identities is None) != (targets_from is None):
        raise BadInput("Give both --identities and --targets, or neither for studio people.")
    for folder in (identities, targets_from):
        if folder is not None:
            pictures_in(folder)  # before anything is loaded
    specs = {name: load_spec(place) for name, place in named(model, "--model", "SPEC").items()}
    variants = sweep_of(sweep) if sweep else None
    targets = count or preset.targets
    each = pairs_per_person or preset.pairs_per_person
    settings = ControlSettings(
        people=people or preset.people, targets=targets, pairs_per_person=min(each, targets) if each else None,
        conditions=preset.conditions, steps=steps, batch=batch, draws=draws, look_alikes=0, cross_talk_people=0,
    )  # fmt: skip
    models = load_models(specs, settings, facekit, variants, identities is None, network or ())
    command = shlex.join(["mien", *sys.argv[1:]])
    place = pictures or cache_folder() / "benchmarks" / "control"
    if preset.identity_only:
        report, cases = compare_diversity(settings, models, place, bar, identities, command)
    else:
        own = (identities, targets_from) if identities and targets_from else None
        report, done, stage = compare(settings, models, place, bar, own, command)
        shown = f"{report['readers'][0]}.blendshapes"
        cases = {name: control_cases(one, stage, shown) for name, one in done.items()}
    report["protocol"] = protocol
    if variants:
        add_sweeps(report, specs, variants)
    write_report(output, report, cases)
    if claims is not None:
        merge(claims, report.get("claims", []))
    typer.echo((output / "report.md").read_text(encoding="utf-8"))
