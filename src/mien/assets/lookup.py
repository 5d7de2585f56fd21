"""Where an asset is: the folder ``MIEN_ASSETS`` first, then the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from mien.assets.registry import Asset, asset, lies_flat
from mien.core.io import cache_folder
from mien.errors import MissingAsset


def downloads() -> Path:
    """The folder that ``mien assets get`` writes to; not created here."""
    return cache_folder() / "assets"


def offline_folder() -> Path | None:
    """The folder that ``MIEN_ASSETS`` names, or None."""
    named = os.environ.get("MIEN_ASSETS")
    return Path(named) if named else None


def folders() -> list[Path]:
    """Where assets are looked for, the first place first."""
    named = offline_folder()
    return [downloads()] if named is None else [named, downloads()]


def folder_with(one: Asset) -> Path | None:
    """The folder that holds every file of the asset, or None.

    Each of the two folders is searched for ``<asset's name>/<file>``, as ``mien assets get`` writes it, then for the
    published file names lying flat.
    """
    for folder in folders():
        for place in (folder / one.name, folder) if lies_flat(one) else (folder / one.name,):
            if all((place / file.name).is_file() for file in one.files):
                return place
    return None


def folder_by_hand(one: Asset) -> Path:
    """Where a user can put the asset's files without mien."""
    return (offline_folder() or downloads()) / one.name


def find_asset(name: str) -> Path | None:
    """The asset's file, or its folder if it has several files; None if it is not here, or only a part of it.

    Raises:
        BadInput: if no asset has that name.

    Example:
        >>> from mien.assets import find_asset
        >>> found = find_asset("arcface")
        >>> found is None or found.exists()
        True
    """
    one = asset(name)
    folder = folder_with(one)
    return folder / one.files[0].name if folder is not None and one.is_file else folder


def require_asset(name: str) -> Path:
    """As `find_asset`, for an asset that cannot be done without.

    Raises:
        BadInput: if no asset has that name.
        MissingAsset: if it is not here; the message holds the command that fetches it, and the licence if that does
            not allow everything.

    Example:
        >>> from mien.assets import require_asset
        >>> from mien.errors import MissingAsset
        >>> try:
        ...     print("here:", require_asset("arcface").exists())
        ... except MissingAsset as error:
        ...     print("here:", "mien assets get" not in str(error))
        here: False
    """
    path = find_asset(name)
    if path is not None:
        return path
    raise MissingAsset(f"{asset(name).title} is not here: {how_to_get(name)}.")


def how_to_get(name: str) -> str:
    """The end of a sentence about an asset that is missing: the command, the way by hand, terms if there are any."""
    one = asset(name)
    what = f"download {one.files[0].urls[0]}" if one.is_file else "put its files"
    terms = "" if one.permissive else f" (licence: {one.licence})"
    return f"run  mien assets get {name}  or {what} into {folder_by_hand(one)}{terms}"
