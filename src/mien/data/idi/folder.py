"""The folder of a set of pairs: whose it is, what is in progress, and whether it is done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mien.core.io import claim, make_folder, read_json, write_json
from mien.core.log import awaited_lock
from mien.data.idi.filters import judged_again
from mien.data.idi.manifest import MANIFEST
from mien.data.idi.request import SETTINGS_FILE, PairsRequest
from mien.errors import BadInput

PARTS, REPORT = ".parts", "report.json"


def pairs_file(folder: Path, batch: int) -> Path:
    """The pairs of a batch."""
    return folder / PARTS / f"{batch:06d}.tar"


def rows_file(folder: Path, batch: int) -> Path:
    """The attempts of a batch, written last."""
    return folder / PARTS / f"{batch:06d}.json"


def is_finished(folder: Path) -> bool:
    """Whether a folder holds all pairs that it was claimed for."""
    return (folder / MANIFEST).exists()


def report_of(folder: Path) -> dict[str, Any]:
    """The numbers of a finished set; what a killed build may have left beside it is removed.

    Raises:
        BadInput: if no pair was kept: the attempts stay, for other thresholds.
    """
    report = read_json(folder / REPORT)
    if not report["pairs"]:
        reasons = ", ".join(f"{name} {count}" for name, count in report["reasons"].items())
        raise BadInput(
            f"None of {report['attempts']} attempts was kept as a pair ({reasons or 'no target'}): look at "
            f"{folder / 'report.html'} and repeat the command with a larger --exp or --lms, or with --calibrate, which "
            "goes on in this folder; or draw with another --model into another one."
        )
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    return report


def claim_pairs(folder: Path, request: PairsRequest) -> None:
    """Write ``pairs.json``, or check that the one in the folder asks for the same pairs.

    A request that differs in thresholds alone takes over a folder in which no attempt was kept so far. Of its batches
    those are made again in which an attempt passes now.

    Raises:
        ConfigError: if the folder belongs to another request.
    """
    asked = request.stated()
    path = folder / SETTINGS_FILE
    if path.exists() and _may_give_way(folder, asked):
        make_folder(folder / PARTS)
        with awaited_lock(folder / PARTS / ".claim", f"taking {folder} over for other thresholds"):
            if _may_give_way(folder, asked):  # else another part has done it
                for batch, rows in _batches(folder, request.batches):
                    if any(judged_again(row, request.thresholds)["kept"] for row in rows):
                        rows_file(folder, batch).unlink()
                (folder / MANIFEST).unlink(missing_ok=True)
                write_json(path, asked)  # last: killed before, the folder is still the former request's
    claim(path, asked, "other pairs")


def _may_give_way(folder: Path, asked: dict[str, Any]) -> bool:
    stored = read_json(folder / SETTINGS_FILE)
    if stored == asked or {**stored, "thresholds": asked["thresholds"]} != asked:
        return False
    if is_finished(folder) and read_json(folder / REPORT)["pairs"]:
        return False
    return not any(row["kept"] for _, rows in _batches(folder, -(-asked["targets"] // asked["batch"])) for row in rows)


def _batches(folder: Path, count: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Number and attempts of the batches that are made."""
    for batch in range(count):
        if (path := rows_file(folder, batch)).exists():
            yield batch, read_json(path)
