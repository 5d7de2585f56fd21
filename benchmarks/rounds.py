"""What a round of training brought: two sets of weights on development people, by the same judges.

    mkdir before && git archive COMMIT src/mien/assets/studio | tar -x -C before
    python benchmarks/rounds.py before/src/mien/assets/studio src/mien/assets/studio

Each is steered by all dials, and by words alone. Writes ``results/rounds.json`` and the table of
docs/studio-training.md. On people and targets on whom nothing else is reported, in the fast mode. The same command
goes on where it was interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from docs_parts import by_headline, check_models, write_tables
from exit_codes import exit_codes
from guidance import MEASURES, measured
from result_files import write_result

from mien.core.io import read_json

ROOT = Path(__file__).resolve().parents[1]
WORDS = {"conditions": ("prompt", "words"), "retarget": False}
"""The person and what the face does are told by a caption."""
RESULT = ROOT / "benchmarks" / "results" / "rounds.json"


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    return {ROOT / "docs" / "studio-training.md": ("benchmarks/rounds.py", by_headline(report, MEASURES))}


def main(
    before: Annotated[Path, typer.Argument(help="Folder of the old weights.")],
    after: Annotated[Path, typer.Argument(help="Folder of the new ones.")],
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    people: int = 40,
    targets: int = 20,
    each: Annotated[int, typer.Option(help="Targets of each person.")] = 5,
) -> None:
    """Draw, measure, write."""
    with exit_codes():
        check_models(before, after)
        folders = (("before", before), ("after", after))
        arms = {name: {"base": str(folder)} for name, folder in folders}
        arms |= {f"{name}, words alone": {"base": str(folder)} | WORDS for name, folder in folders}
        write_result(RESULT, measured(arms, facekit, people, targets, each))
    write_tables(tables(read_json(RESULT)))


if __name__ == "__main__":
    typer.run(main)
