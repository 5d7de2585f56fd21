"""One file of an asset: its places in order, several tries at each, and the check before it gets its name."""

from __future__ import annotations

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

from mien.assets.checks import Expected, expected
from mien.assets.lookup import folder_by_hand
from mien.assets.problems import DownloadFailed, Unavailable, disk_problem
from mien.assets.registry import Asset, AssetFile
from mien.assets.transfer import Report, finish, forget, transfer

PAUSES = (0.5, 1.5)
"""Seconds before the second and the third try at a place. Tries that brought new bytes do not count."""

HUB = "https://huggingface.co"


def hub_is_off() -> bool:
    """Whether the user forbids the hub, by the variable that its own library reads."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def hub_endpoint() -> str:
    """The hub, or the mirror that ``HF_ENDPOINT`` names."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def fetch(one: Asset, file: AssetFile, target: Path, report: Report) -> None:
    """Bring a file to ``target``; an older file there stays until the new one is whole and checked.

    Args:
        one: the asset.
        file: one of its files, with places.
        target: where it shall lie; its folder exists. ``X.part`` beside it holds what has come, for the next try.
        report: called after each block.

    Raises:
        DownloadFailed: if no place gives it; the message names each place with its reason.
        MienError: if the disk is full or cannot be written, or another process is fetching the same file.
    """
    known, reasons = expected(one, file), []
    for url in file.urls:
        try:
            _from_place(url, target, known, report)
            return
        except Unavailable as problem:
            reasons.append(f"{urlsplit(url).hostname} {problem.reason}")
        except OSError as error:
            raise disk_problem(error, target.parent) from error
    part = _part_of(target)
    if not _size(part):
        forget(part)
    reasons = list(dict.fromkeys(reasons))  # two places of one host often fail alike
    raise DownloadFailed(
        f"Cannot get {one.name}: {'; '.join(reasons)}; by hand: put {file.name} into {folder_by_hand(one)}."
    )


def _from_place(url: str, target: Path, known: Expected, report: Report) -> None:
    if url.startswith(HUB):
        if hub_is_off():
            raise Unavailable("is switched off by HF_HUB_OFFLINE", lasting=True)
        url = hub_endpoint() + url.removeprefix(HUB)
    part = _part_of(target)
    continued = _size(part) > 0
    _with_patience(url, part, known, report)
    complaint = known.complaint(part)
    if complaint and continued:  # the fault may lie in what an earlier try left here
        forget(part)
        _with_patience(url, part, known, report)
        complaint = known.complaint(part)
    if complaint:
        forget(part)
        raise Unavailable(f"sent another file ({complaint}), which was deleted", lasting=True)
    finish(part, target)


def _with_patience(url: str, part: Path, known: Expected, report: Report) -> None:
    """Try again after a pause, as long as the file grows or pauses are left."""
    furthest, pauses = _size(part), list(PAUSES)
    while True:
        try:
            return transfer(url, part, known, report)
        except Unavailable as problem:
            if _size(part) > furthest:
                furthest, pauses = _size(part), list(PAUSES)
            if problem.lasting or not pauses:
                raise
            time.sleep(pauses.pop(0))


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
