"""What can be given as a base, told from its name before anything heavy is imported or fetched."""

from __future__ import annotations

from pathlib import Path

from mien.errors import MissingAsset, did_you_mean

BASES = ("studio", "sd15", "sdxl", "arc2face")
"""Bases that mien knows by name."""
_CHECKPOINTS = (".safetensors", ".ckpt")


def check_base(base: str | Path) -> None:
    """Refuse a base that is no name, no path that exists, and has not the form of a name on the hub either.

    Raises:
        MissingAsset: with the name that was probably meant.
    """
    name, path = str(base), Path(base)
    if name in BASES or path.exists():
        return
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    there = [str(one) for one in beside if one.suffix in _CHECKPOINTS or one.is_dir()]
    near = did_you_mean(name, [*BASES, *there])
    if not near and is_hub_name(name):
        return
    raise MissingAsset(
        f"There is no base {name!r}{near}: use {', '.join(BASES)}, a folder, a .safetensors file, or OWNER/NAME of "
        "the hub."
    )


def is_hub_name(name: str) -> bool:
    """Whether a base has the form ``OWNER/NAME``."""
    owner, _, rest = name.partition("/")
    return bool(owner and rest) and "/" not in rest and not name.endswith(_CHECKPOINTS) and owner[0] not in ".~"
