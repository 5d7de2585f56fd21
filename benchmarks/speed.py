"""All numbers of ``docs/speed.md`` in one command, on a machine that does nothing else.

python benchmarks/speed.py                  # everything; the part "sd15" takes most of the time
python benchmarks/speed.py studio reading   # some of it
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mien.core.io import read_json, write_json

RESULTS = Path(__file__).parent / "results"
QUALITY = ("--model", "exact=embedded", "--model", "fast=embedded-fast", "--model", "few=embedded-few",
           "--people", "100", "--target-count", "20")  # fmt: skip
"""Of ``mien evaluate control``: the protocol of docs/results.md, with the weights as they ship."""
OURS = ("--side", "exact", "--side", "fast", "--side", "few", "--rounds", "5")
SD15 = ("--size", "sd15", "--pixels", "256", "--side", "naive", "--side", "exact", "--side", "fast",
        "--side", "controlnet")  # fmt: skip
COMMANDS: dict[str, tuple[str, ...]] = {
    "studio": ("bench", "sampling", "--rounds", "5", "--portrait"),
    "bf16": ("bench", "sampling", *OURS, "--dtype", "bfloat16"),
    "compiled": ("bench", "sampling", *OURS, "--compile"),
    "curves": ("bench", "sampling", "--rounds", "3", "--curves"),
    "sd15": ("bench", "sampling", *SD15, "--steps", "6", "--rounds", "1"),
    "memory": ("bench", "sampling", *SD15, "--steps", "2", "--rounds", "1", "--memory"),
    "reading": ("bench", "reading", "--rounds", "9"),
    "startup": ("bench", "startup", "--rounds", "9"),
}  # fmt: skip
"""Part -> arguments of ``mien``; its report is ``results/speed_PART.json``."""


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Some of {', '.join(COMMANDS)}, quality.")] = None,
) -> None:
    """Run the parts, one after the other."""
    for part in parts or [*COMMANDS, "quality"]:
        if part == "quality":
            report = Path(tempfile.gettempdir()) / "mien-speed-quality"
            _mien("evaluate", "control", *QUALITY, "-o", str(report))
            write_json(RESULTS / "speed_quality.json", read_json(report / "report.json"))
        else:
            _mien(*COMMANDS[part], "--json", str(RESULTS / f"speed_{part}.json"))


def _mien(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "mien", *arguments], check=True)


if __name__ == "__main__":
    typer.run(main)
