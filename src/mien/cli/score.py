"""``mien score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.options import Json, Networks, Reader
from mien.cli.say import say_json, say_text

app = typer.Typer(add_completion=False)


@app.command()
def score(
    reference: Annotated[Path, typer.Option(metavar="A", help="A picture or a folder: how it should be.")],
    generated: Annotated[Path, typer.Option(metavar="B", help="A picture or a folder: how it came out.")],
    reader: Reader = "auto",
    network: Networks = None,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Compare two folders as sets, whatever their files are called: FID, KID.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The papers' metrics on pictures made by any program; folders are paired by file name."""
    from mien.cli.progress import bar
    from mien.evaluation.score_pictures import score as run
    from mien.evaluation.score_pictures import score_folders

    if unpaired:
        found = score_folders(reference, generated, network or (), bar)
        if as_json:
            say_json(found)
        else:
            say_text("\n".join(_table(found["metrics"])))
        return
    report = run(reference=reference, generated=generated, reader=reader, networks=network or (), bar=bar)
    if as_json:
        say_json(report)
    else:
        say_text(as_text(report))


def as_text(report: dict[str, Any]) -> str:
    """The report for people, one metric a line."""
    faces, pairs = report["faces"], report["pairs"]
    lines = [f"{pairs} pair{'s' * (pairs != 1)}; a face in {faces['reference']} and {faces['generated']} of them"]
    if report["unpaired"]:
        lines.append(f"{report['unpaired']} pictures have no partner of the same name and are left out")
    return "\n".join([*lines, *_table(report["metrics"])])


def _table(metrics: dict[str, Any]) -> list[str]:
    """A line for each metric, below a heading."""
    lines = [f"{'':24}{'value':>10}{'95 % interval':>22}{'floor':>10}{'n':>7}{'failed':>8}  better"]
    for name, found in metrics.items():
        span = "" if found["low"] is None else f"{found['low']:.4f} to {found['high']:.4f}"
        note = "" if found["enough"] else f"; needs {found['minimum']} or more"
        lines.append(
            f"{name:24}{_four(found['value']):>10}{span:>22}{_four(found['floor']):>10}{found['n']:>7}"
            f"{found['n_failed']:>8}  {found['better']}{note}"
        )
    return lines


def _four(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
