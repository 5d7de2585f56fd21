"""Where a stage finds what earlier stages made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import MissingAsset


@dataclass(frozen=True)
class Sources:
    """Looks for a part (``vae``, ``unet``, ``identity`` ...) in the exports of runs, then in the embedded weights.

    Attributes:
        folders: export folders, first match wins.
        parts: where parts of a base other than the studio's are, see `mien.training.bases`; these go first.
    """

    folders: tuple[Path, ...]
    parts: Mapping[str, Path] = field(default_factory=dict)

    def path(self, part: str) -> Path:
        """Folder or file of a part.

        Raises:
            MissingAsset: if no folder has it.
        """
        if part in self.parts:
            return self.parts[part]
        for folder in self.folders:
            if (folder / part).exists():
                return folder / part
        places = ", ".join(str(folder) for folder in self.folders)
        raise MissingAsset(
            f"No trained '{part}' in {places}: train the stage that makes it first (docs/studio-training.md)."
        )
