"""What can be fetched: ``registry.json``, one entry for each asset, as typed and frozen data."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, model_validator

from mien.core.io import read_json
from mien.core.strict import StrictModel
from mien.errors import BadInput

FILE = Path(__file__).with_name("registry.json")

HUB_SUFFIXES = (".safetensors", ".json", ".txt")
"""What is taken from a hub's folder: never a pickle."""

Kind = Literal[
    "face landmarks",
    "face detector",
    "identity encoder",
    "emotion",
    "face parameters",
    "distribution features",
    "perceptual distance",
    "base model",
    "autoencoder",
    "image prompt adapter",
    "image encoder",
    "face swapper",
]


class AssetFile(StrictModel):
    """One file of an asset.

    Attributes:
        name: published file name; in a folder, its path there with ``/``.
        urls: where it is, the main place first; without any it comes from the asset's hub repository.
        sha256: 64 hex digits, or None where nobody we trust has published them.
        sha256_prefix: the first 8 hex digits, where the file's name carries them as torch.hub's names do.
        bytes: length, or None where it is not known.
    """

    name: str
    urls: tuple[str, ...] = ()
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    sha256_prefix: str | None = Field(default=None, pattern=r"^[0-9a-f]{8}$")
    bytes: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> AssetFile:
        path = PurePosixPath(self.name)
        if path.is_absolute() or ".." in path.parts or "\\" in self.name or not path.name:
            raise ValueError(f"{self.name!r} must lead into the asset's own folder")
        if self.sha256_prefix and not re.search(rf"-{self.sha256_prefix}\.\w+$", self.name):
            raise ValueError(f"{self.name} does not carry {self.sha256_prefix}")
        if self.sha256_prefix and self.sha256 and not self.sha256.startswith(self.sha256_prefix):
            raise ValueError(f"{self.name}: sha256 and sha256_prefix contradict each other")
        return self


class Hub(StrictModel):
    """A repository on the Hugging Face hub; ``revision`` is a commit where we know one, else a branch."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str


class Citation(StrictModel):
    """Whom to name, and where to read about it."""

    text: str
    url: str


class Asset(StrictModel):
    """Weights or data that mien can use but does not ship.

    Attributes:
        name: what ``mien assets get`` takes.
        kind: what it is for; assets of one kind can stand in for each other.
        licence: SPDX id or short name.
        permissive: an OSI licence from those who published the weights, and no face data with research-only terms
            behind them; what is unclear counts as not permissive.
        commercial: what to know before commercial use, or None.
        used_by: the part of mien, or the papers' tables, that it is for.
    """

    name: str
    title: str
    kind: Kind
    files: tuple[AssetFile, ...] = Field(min_length=1)
    hub: Hub | None = None
    licence: str = Field(min_length=1)
    permissive: bool
    commercial: str | None = None
    citation: Citation
    used_by: str

    @model_validator(mode="after")
    def _consistent(self) -> Asset:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name} names a file twice")
        for file in self.files:
            if not file.urls and self.hub is None:
                raise ValueError(f"{file.name} has no place to come from")
            if not file.urls and not file.name.endswith(HUB_SUFFIXES):
                raise ValueError(f"{file.name}: only {', '.join(HUB_SUFFIXES)} are taken from a hub's folder")
        return self

    @property
    def is_file(self) -> bool:
        """Whether the asset is one file, rather than a folder of several or a hub's folder."""
        return len(self.files) == 1 and self.hub is None

    @property
    def bytes(self) -> int | None:
        """Length of all files together, or None unless all are known."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@cache
def assets() -> dict[str, Asset]:
    """Every asset, by name, in the order of the file."""
    return {name: Asset(name=name, **entry) for name, entry in read_json(FILE).items()}


def asset(name: str) -> Asset:
    """The asset of that name.

    Raises:
        BadInput: if there is none; the message lists names that are near.
    """
    found = assets().get(name)
    if found is None:
        near = [other for other in assets() if name and name.lower() in other]
        near = near or difflib.get_close_matches(name.lower(), assets(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "mien assets list  shows them all."
        raise BadInput(f"No asset is called '{name}': {hint}")
    return found


def permissive_instead(refused: Asset) -> list[str]:
    """Names of permissive assets of the same kind."""
    return [other.name for other in assets().values() if other.permissive and other.kind == refused.kind]


def lies_flat(one: Asset) -> bool:
    """Whether the asset's files may lie in a folder beside those of other assets: only if no name means two files."""
    shared = Counter(file.name for other in assets().values() for file in other.files)
    return one.hub is None and all("/" not in file.name and shared[file.name] == 1 for file in one.files)
