"""Fetching assets by name, into the cache or a folder of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mien.assets.checks import expected, remember, verify
from mien.assets.fetch import fetch
from mien.assets.hub import fetch_from_hub
from mien.assets.lookup import downloads, folder_with
from mien.assets.problems import ChangedFile, LicenceRefused, disk_problem, make_room
from mien.assets.registry import Asset, AssetFile, asset, permissive_instead
from mien.assets.transfer import Report

Watch = Callable[[str], AbstractContextManager[Report]]
"""Opens a display of progress for one file, by its name."""


@dataclass(frozen=True)
class Got:
    """What became of one asset.

    Attributes:
        path: its file or folder.
        fetched: whether anything was downloaded.
        trusted: files whose hash was unknown and is now written down, fetched or found in the folder written to.
    """

    asset: Asset
    path: Path
    fetched: bool
    trusted: tuple[str, ...] = ()


def check_licences(names: Sequence[str]) -> None:
    """Refuse assets whose licence is not permissive.

    Raises:
        BadInput: for an unknown name.
        LicenceRefused: the message names permissive assets of the same kind.
    """
    for one in map(asset, names):
        if not one.permissive:
            others = permissive_instead(one)
            instead = f"permissive instead: {', '.join(others)}" if others else f"no {one.kind} here is permissive"
            raise LicenceRefused(f"{one.name} is not permissive ({one.licence}); {instead}.")


def get(name: str, *, to: Path | None = None, watch: Watch | None = None) -> Got:
    """Fetch an asset unless it is here; the same call goes on where an interrupted one stopped.

    Args:
        name: of the asset.
        to: folder to put ``<name>/`` into, for use as ``MIEN_ASSETS``; else the cache.
        watch: shows the progress of each file.

    Raises:
        BadInput: for an unknown name.
        ChangedFile: if the asset is found outside the folder written to, and is not what it should be.
        DownloadFailed: if it cannot be fetched.
        MienError: if the disk is full or cannot be written.
    """
    one = asset(name)
    target = (to or downloads()) / one.name
    found = folder_with(one) if to is None else None
    if found is not None and found != target:
        for verdict in verify(one):
            if verdict.state == "changed":
                raise ChangedFile(f"{verdict.path} has changed: {verdict.why}; delete it and try again.")
        return Got(one, _result(one, found), fetched=False)
    trusted: list[str] = []

    def here(file: AssetFile) -> None:
        # at once for each file: what came before an interruption is not wanted, so not looked at, by the next call
        if not expected(one, file).has_hash:
            remember(one, file, target / file.name)
            trusted.append(file.name)

    wanted = [file for file in one.files if not _is_right(one, file, target)]
    for file in one.files:
        if file not in wanted:
            here(file)
    if wanted:
        _fetch_all(one, wanted, target, watch or (lambda _: nullcontext(lambda *_: None)), here)
    return Got(one, _result(one, target), fetched=bool(wanted), trusted=tuple(trusted))


def _fetch_all(
    one: Asset, wanted: list[AssetFile], target: Path, watch: Watch, here: Callable[[AssetFile], None]
) -> None:
    make_room(target, sum(_still_to_come(file, target) for file in wanted))
    direct, hub = [file for file in wanted if file.urls], [file for file in wanted if not file.urls]
    if hub:
        fetch_from_hub(one, hub, target, here)
    for file in direct:
        try:
            (target / file.name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_problem(error, target) from error
        with watch(file.name) as report:
            fetch(one, file, target / file.name, report)
        here(file)


def _still_to_come(file: AssetFile, folder: Path) -> int:
    """Bytes, 0 where the length is not known: each transfer looks again when it reports."""
    part = folder / f"{file.name}.part"
    return max(0, (file.bytes or 0) - (part.stat().st_size if part.is_file() else 0))


def _is_right(one: Asset, file: AssetFile, folder: Path) -> bool:
    path = folder / file.name
    return path.is_file() and expected(one, file).complaint(path) is None


def _result(one: Asset, folder: Path) -> Path:
    return folder / one.files[0].name if one.is_file else folder
