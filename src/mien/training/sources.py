"""Where a stage finds what earlier stages made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mien.errors import MissingAsset


class AssetPart(NamedTuple):
    """A part that is published by others.

    Attributes:
        asset: its name in  mien assets list.
        place: where the part lies in the asset's folder; empty for the whole of it.
    """

    asset: str
    place: str = ""


@dataclass(frozen=True)
class Sources:
    """Looks for a part (``vae``, ``unet``, ``identity`` ...) in the exports of runs, then in the embedded weights.

    Attributes:
        folders: export folders, first match wins.
        parts: where parts of a base other than the studio's are, see `mien.training.bases`.
        assets: what stands for a part that no folder has: nothing is looked for until it is asked for.
        before: how many of the folders go before ``parts``, since they hold what was trained on from these; the
            others go after.
    """

    folders: tuple[Path, ...]
    parts: Mapping[str, Path] = field(default_factory=dict)
    assets: Mapping[str, AssetPart] = field(default_factory=dict)
    before: int = 0

    def path(self, part: str) -> Path:
        """Folder or file of a part.

        Raises:
            MissingAsset: if no folder has it; the message says how to get it.
        """
        found = self.find(part)
        if found is None:
            raise MissingAsset(
                f"No trained '{part}' in {self._places()}: train the stage that makes it first "
                "(docs/studio-training.md)."
            )
        return found

    def named(self, name: str) -> Path:
        """What a setting names: a part, a path, or an asset of  mien assets list.

        Raises:
            MissingAsset: if it is none of them.
        """
        from mien.assets import require_asset
        from mien.assets.registry import assets

        if (found := self.find(name)) is not None:
            return found
        if Path(name).exists():
            return Path(name)
        if name in assets():
            return require_asset(name)
        raise MissingAsset(
            f"There is no {name} in {self._places()}: train the stage that makes it first, or give a path, or an asset "
            "of  mien assets list."
        )

    def find(self, part: str) -> Path | None:
        """Folder or file of a part, or None."""
        there = [folder / part if (folder / part).exists() else None for folder in self.folders]
        there.insert(self.before, self.parts.get(part))
        found = next((place for place in there if place is not None), None)
        if found is not None or part not in self.assets:
            return found
        from mien.assets import require_asset

        asset, place = self.assets[part]
        return require_asset(asset) / place

    def _places(self) -> str:
        return ", ".join(str(folder) for folder in self.folders)
