"""What networks from outside find in renders, photographs and what we draw.

    python benchmarks/outside.py --pictures renders=FOLDER --pictures drawn=FOLDER -o benchmarks/results/outside.json

Node.js with npm is needed. For each folder of pictures: in how many the detector finds a face (with a 95 % interval),
its mean score, and the words of the emotion network. What ``benchmarks/headline.py --outside``
adds to its table is read by the same networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from exit_codes import exit_codes
from outside_networks import PACKAGES, FaceApi
from result_files import write_result

from mien.cli.progress import bar
from mien.core.progress import Bar, silent
from mien.errors import BadInput
from mien.evaluation.outside import WORDS, OutsideNetworks
from mien.media.pictures import files_below, open_picture

RESULT = Path(__file__).resolve().parent / "results" / "outside.json"


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.959964, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return float(middle - half), float(middle + half)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder and the folders in it, in order.

    Raises:
        BadInput: if there is none.
    """
    found = files_below(folder)
    if not found:
        raise BadInput(f"There is no picture in {folder}.")
    return found


def look_at(files: list[Path], networks: OutsideNetworks, show: Bar = silent) -> dict[str, Any]:
    """What the networks find in pictures: found (value, low, high, n), mean score where found, words, and misses."""
    scores, words, missed = [], Counter[str](), []
    with show(len(files), "reading") as advance:
        for file in files:
            read = networks([open_picture(file)])
            scores.append(float(read["found"][0, 0]))
            if scores[-1] > 0:
                words[WORDS[int(read["emotion"][0].argmax())]] += 1
            else:
                missed.append(file.name)
            advance(1)
    hits = sum(score > 0 for score in scores)
    low, high = wilson(hits, len(files))
    return {
        "found": {"value": hits / len(files), "low": round(low, 4), "high": round(high, 4), "n": len(files)},
        "score": round(float(np.mean([score for score in scores if score > 0])), 4) if hits else None,
        "words": dict(words.most_common()),
        "missed": missed,
    }


def named(text: str) -> tuple[str, Path]:
    """``NAME=FOLDER``.

    Raises:
        BadInput: for anything else.
    """
    name, _, folder = text.partition("=")
    if not name or not folder or not Path(folder).is_dir():
        raise BadInput(f"Write --pictures NAME=FOLDER with a folder of pictures, not {text!r}.")
    return name, Path(folder)


def table_of(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of the docs."""
    rows = ["| Pictures | face found | mean score | words |", "| --- | --- | --- | --- |"]
    for name, one in sets.items():
        found, words = one["found"], ", ".join(f"{word} {count}" for word, count in one["words"].items())
        share = f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f}), n = {found['n']}"
        rows.append(f"| {name} | {share} | {'-' if one['score'] is None else format(one['score'], '.2f')} | {words} |")
    return "\n".join(rows)


def main(
    pictures: Annotated[list[str], typer.Option(help="NAME=FOLDER; may be given several times.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The JSON file.")] = RESULT,
    limit: Annotated[int | None, typer.Option(help="At most so many of each folder, evenly spread.")] = None,
) -> None:
    """Read the folders, write the result, print the table."""
    with exit_codes():
        folders = dict(named(text) for text in pictures)
        with FaceApi() as networks:
            sets = {}
            for name, folder in folders.items():
                files = pictures_in(folder)
                step = max(1, len(files) // limit) if limit else 1
                sets[name] = look_at(files[::step][:limit], networks, bar)
            write_result(output, {"sets": sets, "packages": PACKAGES}, networks.files)
        typer.echo(table_of(sets))


if __name__ == "__main__":
    typer.run(main)
