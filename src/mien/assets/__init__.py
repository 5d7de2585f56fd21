"""Weights: those that ship inside the package, and those that are fetched, by name."""

from __future__ import annotations

from pathlib import Path

from mien.assets.lookup import find_asset, require_asset
from mien.errors import MissingAsset

__all__ = ["embedded", "embedded_or_none", "find_asset", "require_asset"]

_HERE = Path(__file__).parent


def embedded_or_none(name: str) -> Path | None:
    """Folder of an embedded model, or None while it is not there.

    Example:
        >>> from mien.assets import embedded_or_none
        >>> print(embedded_or_none("another-model"))
        None
    """
    folder = _HERE / name
    return folder if (folder / "model_index.json").exists() else None


def embedded(name: str) -> Path:
    """Folder of an embedded model, e.g. ``"studio"``.

    Raises:
        MissingAsset: if the package was installed without it.

    Example:
        >>> from mien.assets import embedded
        >>> (embedded("studio") / "unet").is_dir()
        True
    """
    folder = embedded_or_none(name)
    if folder is None:
        raise MissingAsset(
            f"The embedded model '{name}' is missing from {_HERE}: install mien again, or train it (docs)."
        )
    return folder
