"""``mien show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.options import Json
from mien.cli.say import say, say_json

if TYPE_CHECKING:
    from mien.provenance.png import Found

app = typer.Typer(add_completion=False)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A picture or a video.")],
    as_json: Json = False,
) -> None:
    """Say where a picture comes from: its settings, the hashes of its inputs and models, and its watermark."""
    from mien.provenance.png import examine

    found = examine(file)
    if as_json:
        say_json(summary(found), ensure_ascii=False)
        return
    for line in lines(found):
        say(line)  # what a file says must not look like a line of ours


def summary(found: Found) -> dict[str, Any]:
    """What was found, as JSON values; keys are stable."""
    return {
        "record": found.record.model_dump() if found.record else None,
        "digital_source_type": found.digital_source_type,
        "mark": {"id": found.mark.id, "strength": found.mark.strength} if found.mark else None,
        "mark_fits_record": found.watermark_fits,
    }


def lines(found: Found) -> list[str]:
    """What was found, for people."""
    out = []
    if found.record:
        record = found.record
        seed = f", seed {record.settings['seed'] + record.index}" if "seed" in record.settings else ""
        out += [f"made by      mien {record.mien}{seed}"]
        shown = {name: value for name, value in record.settings.items() if value not in (None, {}, [], False)}
        out += [f"setting      {name} = {value}" for name, value in shown.items()]
        out += [f"input        {role}  sha256 {digest}" for role, digest in record.inputs.items()]
        out += [f"model        {name}  sha256 {digest[:16]}..." for name, digest in record.models.items()]
        out += [f"environment  {name} {value}" for name, value in record.environment.items()]
    else:
        out += ["record       none"]
    out += [f"source type  {found.digital_source_type or 'not declared'}"]
    where = " in the first frame" if found.video else ""
    if found.mark is None:
        out += [f"watermark    none found{where}"]
    else:
        fits = {
            True: ", belongs to the record (no proof: anyone can put both into any picture)",
            False: ", does NOT belong to the record",
            None: "",
        }[found.watermark_fits]
        out += [f"watermark    {found.mark.id} (strength {found.mark.strength:.2f}){where}{fits}"]
    return out
