"""Options that several commands share; the headings are those under which ``mien generate --help`` lists them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Final

import typer

from mien.faces.names import READERS

HOW: Final = "How"
FILES: Final = "Files"


def finite(value: float | None) -> float | None:
    """Refuse nan, which some releases of typer find within every range, and infinity."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} must be a finite number.")
    return value


PERSON = typer.Option(metavar="PHOTO[:WEIGHT]", help="Picture of the person to draw; repeat for more, or to mix.")
"""Whether it is required is each command's own."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Base = Annotated[
    str,
    typer.Option(
        metavar="NAME|FOLDER|FILE",
        help="studio, sd15, sdxl, arc2face, a folder, a .safetensors file, or OWNER/NAME of the hub.",
        rich_help_panel=HOW,
    ),
]
Reader = Annotated[
    str,
    typer.Option(
        metavar="NAME[+NAME]",
        help=f"Who reads faces: {', '.join(READERS[:-1])} or {READERS[-1]}; + adds networks (docs/faces.md).",
        rich_help_panel=HOW,
    ),
]
Executor = Annotated[
    str, typer.Option(metavar="NAME", help="local: processes here; ray: a cluster (pip install 'mien[ray]').")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes (default: one a core, or all of the cluster).")]
Part = Annotated[
    str | None, typer.Option("--part", metavar="I/N", help="Only this part, on one of N machines; then --finish.")
]
Finish = Annotated[bool, typer.Option("--finish", help="Do no part; put together what all parts have made.")]
Raw = Annotated[bool, typer.Option("--raw", hidden=True)]
"""The name that ``--no-retarget`` had in 0.1.0; to be removed after the next release."""
Speed = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="exact; fast: nearly the same picture sooner; few: soonest.", rich_help_panel=HOW
    ),
]
Networks = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Also read with this: arcface, inception ...; repeat.")
]
BASES: Final = "Bases of full size"
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|NAME",
        help="Adapter for the base: mien's, IP-Adapter's, FaceID's or Arc2Face's file, or an asset; repeat.",
        rich_help_panel=BASES,
    ),
]
Loras = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE[:WEIGHT]", help="LoRA file for the base; repeat.", rich_help_panel=BASES),
]
ImageEncoder = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="CLIP image encoder for image adapters; else the asset that fits.", rich_help_panel=BASES
    ),
]
Precision = Annotated[str, typer.Option(metavar="NAME", help="auto, fp32, fp16 or bf16.", rich_help_panel=BASES)]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.", rich_help_panel=BASES)]
Offload = Annotated[
    bool, typer.Option("--offload", help="Only what is at work lies on the GPU.", rich_help_panel=BASES)
]
Tiling = Annotated[
    bool, typer.Option("--tiling", help="Decode large pictures in tiles, with less memory.", rich_help_panel=BASES)
]
NoProvenance = Annotated[
    bool, typer.Option("--no-provenance", help="Write neither metadata nor the invisible mark.", rich_help_panel=FILES)
]
Facekit = Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")]
