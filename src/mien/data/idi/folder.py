"""The folder of a set of pairs: whose it is, what is in progress, and whether it is done."""

from __future__ import annotations

import shutil
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

    A finished set without a pair gives way to a request that differs in thresholds alone. Of its batches those are made
    again in which an attempt passes now.

    Raises:
        ConfigError: if the folder belongs to another request.
    """
    asked, limits = request.stated(), request.thresholds
    path = folder / SETTINGS_FILE
    if _gives_way(folder, asked):
        make_folder(folder / PARTS)
        with awaited_lock(folder / PARTS / ".claim", f"taking {folder} over for other thresholds"):
            if _gives_way(folder, asked):  # else another part has done it
                for batch in range(request.batches):
                    rows = rows_file(folder, batch)
                    if rows.exists() and any(judged_again(row, limits)["kept"] for row in read_json(rows)):
                        rows.unlink()
                write_json(path, asked)
    claim(path, asked, "other pairs")
    if _is_empty(folder) and read_json(folder / REPORT)["thresholds"] != limits.model_dump():
        (folder / MANIFEST).unlink(missing_ok=True)  # after the claim: stopped in between, it is done by the next call


def _is_empty(folder: Path) -> bool:
    """Whether a folder holds a finished set without a pair."""
    return is_finished(folder) and not read_json(folder / REPORT)["pairs"]


def _gives_way(folder: Path, asked: dict[str, Any]) -> bool:
    if not _is_empty(folder) or not (folder / SETTINGS_FILE).exists():
        return False
    stored = read_json(folder / SETTINGS_FILE)
    return stored != asked and {**stored, "thresholds": asked["thresholds"]} == asked
