"""Face networks by name, and the files of all networks, from the assets registry."""

from __future__ import annotations

from pathlib import Path

from mien.errors import MissingAsset
from mien.faces.published.networks import LAYOUTS

FACE_NETWORKS = tuple(LAYOUTS)

EXPORTED = {"emonet": "emonet_8.onnx", "smirk": "smirk_encoder.onnx", "emoca": "emoca_encoder.onnx"}
"""Networks that a user exports, and the file's name: what EmoNet's licence forbids is passing it on."""


def network_file(name: str) -> Path:
    """The file of a network.

    Raises:
        MissingAsset: if it is not there; the message has the command that gets it.
    """
    from mien.assets import require_asset
    from mien.assets.lookup import folders

    if name not in EXPORTED:
        return require_asset(name)
    places = [folder / EXPORTED[name] for folder in folders()]
    for place in places:
        if place.is_file():
            return place
    raise MissingAsset(
        f"{name} is published as code with weights: export it once as docs/assets.md says, and put {EXPORTED[name]} "
        f"into {places[0].parent}."
    )
