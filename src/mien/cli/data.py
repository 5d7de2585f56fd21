"""``mien data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Json, Reader

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
    same: Annotated[
        float | None, typer.Option(help="Least cosine of one person's faces in a video; by the network if not given.")
    ] = None,
    per_shard: Annotated[int, typer.Option(help="Pictures in a shard.")] = 512,
    part: Annotated[
        str | None, typer.Option(metavar="I/N", help="Do this share only; then, once for all parts, --finish.")
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Make one dataset of all parts.")] = False,
    as_json: Json = False,
) -> None:
    """Make a dataset: faces found, squared and read, one row a picture with why it was left out.

    Example: mien data import CelebA --layout celeba -o celeba --part 1/8
    """
    from mien.cli.progress import bar
    from mien.data.importing.job import ImportJob, parse_part
    from mien.data.importing.reading import ImportTools
    from mien.data.importing.request import seconds
    from mien.pipelines.base_facts import base_picture_size

    share = (1, 1) if part is None else parse_part(part)
    interval = seconds(every)
    side = base_picture_size(base) if size is None else size
    tools = ImportTools.load(reader, base)
    job = ImportJob.open(
        source, output, tools, layout=layout, every=interval, size=side, framing=framing, ending=picture_format,
        min_face=min_face, reader=reader, same=tools.same if same is None else same, per_shard=per_shard,
    )  # fmt: skip
    if not finish:
        done = job.run(share, bar)
    if part is not None and not finish:
        typer.echo(f"part {part}: {done} units imported; once all parts are, run the command with --finish")
        return
    _show(job.finish(), as_json, output)


def _show(report: dict[str, object], as_json: bool, folder: Path) -> None:
    import json

    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    typer.echo(
        f"{report['pictures']} pictures of {report['people']} people in {report['shards']} shards in {folder}; "
        f"{report['left_out']} left out"
    )
    reasons = report["reasons"]
    assert isinstance(reasons, dict)
    for reason, count in reasons.items():
        typer.echo(f"  {count:>7}  {reason}")
