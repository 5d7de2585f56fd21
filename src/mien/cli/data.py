"""``mien data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Executor, Finish, Json, Part, Reader
from mien.cli.say import say, say_json

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def data() -> None:
    """Datasets of photographs and videos."""


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of pictures or videos.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DATASET", help="The same command continues.")],
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="folder, ffhq, mead, celeba, agedb or video (docs/importing.md).")
    ] = "folder",
    every: Annotated[str, typer.Option(metavar="TIME", help="Between frames of a video: 1s, 500ms, 2min.")] = "1s",
    reader: Reader = "auto",
    base: Annotated[
        str,
        typer.Option(metavar="NAME|FOLDER", help="Base that is to be trained: its size of pictures and its ArcFace."),
    ] = "sd15",
    size: Annotated[int | None, typer.Option(help="Side of the pictures in px; the base's if not given.")] = None,
    framing: Annotated[
        str, typer.Option(metavar="studio|keep", help="The face where mien draws it, or square pictures whole.")
    ] = "studio",
    picture_format: Annotated[str, typer.Option("--format", metavar="png|jpg|webp", help="Of the pictures.")] = "png",
    min_face: Annotated[int, typer.Option(help="Least side of a face in the source, px.")] = 48,
    same: Annotated[float, typer.Option(help="Layout video: least cosine of one person's faces.")] = 0.4,
    per_shard: Annotated[int, typer.Option(help="Pictures in a shard.")] = 512,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one a core, or four a GPU, if not given.")
    ] = None,
    executor: Executor = "local",
    part: Part = None,
    finish: Finish = False,
    as_json: Json = False,
) -> None:
    """Make a dataset: faces found, squared and read, one row a picture with why it was left out.

    Example: mien data import CelebA --layout celeba -o celeba --part 1/8
    """
    from functools import partial

    from mien.cli.progress import bar
    from mien.core.stages.execute import parse_part
    from mien.data.importing.job import ImportJob
    from mien.data.importing.reading import ImportTools
    from mien.data.importing.request import seconds
    from mien.pipelines.base_facts import base_picture_size

    share, interval = parse_part(part), seconds(every)
    side = base_picture_size(base) if size is None else size
    tools = ImportTools.load(reader, base)
    job = ImportJob.open(
        source, output, tools, layout=layout, every=interval, size=side, framing=framing, ending=picture_format,
        min_face=min_face, reader=reader, same=same, per_shard=per_shard,
    )  # fmt: skip
    whole = job.run(
        partial(ImportTools.load, reader, base), bar, executor=executor, workers=workers, part=share, finish_only=finish
    )
    if not whole:
        say(f"Part {part} is done; when all are, the same command with --finish puts them together.")
        return
    _show(job.summary(), as_json, output)


def _show(report: dict[str, object], as_json: bool, folder: Path) -> None:
    if as_json:
        say_json(report)
        return
    say(
        f"{report['pictures']} pictures of {report['people']} people in {report['shards']} shards in {folder}; "
        f"{report['left_out']} left out"
    )
    reasons = report["reasons"]
    assert isinstance(reasons, dict)
    for reason, count in reasons.items():
        say(f"  {count:>7}  {reason}")


@app.command()
def check(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of shards.")],
    test: Annotated[
        Path | None, typer.Option(metavar="DATASET", help="What models are tested on: it must share nothing with it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="For the page index.html and check.json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a dataset holds: faces, people, the stages it can train, doubles in train and test, damaged files.

    Example: mien data check celeba --test agedb -o celeba-check
    """
    from mien.cli.progress import bar
    from mien.data.check import check as report_of
    from mien.data.check import read_contents
    from mien.data.check_page import write_page

    contents = read_contents(dataset, bar)
    report = report_of(contents, None if test is None else read_contents(test, bar))
    if output is not None:
        write_page(output, dataset, report)
    if as_json:
        say_json(report)
        return
    say(f"{report['pictures']} pictures of {report['people']} people")
    for stage in report["stages"]:
        partners = f"{stage['with_partner']} pictures with a partner; " if "with_partner" in stage else ""
        say(f"  {stage['name']}: {partners}{'possible' if stage['possible'] else '; '.join(stage['problems'])}")
    for reason, count in report["left_out"].items():
        say(f"  {count} left out: {reason}")
    for sentence in report["damaged"]:
        say(f"  damaged: {sentence}")
    if test is not None:
        both = report["test"]
        say(f"  {len(both['near_duplicates'])} pictures of {test} are nearly the same as one here")
        known = len({here for here, _ in both["people_in_both"]})
        say(f"  {known} of the people here may be in {test} as well")


@app.command()
def join(
    datasets: Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Folders of shards, of one size.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DATASET", help="The new one.")],
) -> None:
    """Make one dataset of several, such as FFHQ's many people and the many pictures of each in MEAD.

    Example: mien data join ffhq mead -o mixed
    """
    from mien.cli.progress import bar
    from mien.data.join import join as join_datasets

    pictures, people = join_datasets(datasets, output, bar)
    say(f"{pictures} pictures of {people} people in {output}")


@app.command()
def protocol(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="celeba-2000, synth-500, agedb-500, ffhq-fid or emojidiff-grid.")
    ],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Of  mien data import.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Pictures, pairs and requests.")],
    people: Annotated[
        int | None,
        typer.Option(min=1, help="Identities, or pictures of a reference set; the paper's number if not given."),
    ] = None,
    targets: Annotated[int | None, typer.Option(min=1, help="Targets; the paper's number if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice.")] = 0,
) -> None:
    """Choose the pictures of one of the papers' protocols, for  mien evaluate, mien generate --from and mien score.

    Example: mien data protocol celeba-2000 celeba -o table1
    """
    from mien.cli.progress import bar
    from mien.data.protocols import make_protocol

    made = make_protocol(name, dataset, output, people, targets, seed, bar)
    counts = ", ".join(f"{len(files)} {role}" for role, files in made["pictures"].items())
    pairs = f", {len(made['pairs'])} pairs" if "pairs" in made else ""
    say(f"{counts}{pairs} in {output}")
