"""mien: portraits with one dial each for who, which expression, which way, what feeling and what the text says.

Importing this package is cheap; names are resolved when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_EXPORTS = {
    "PortraitPipeline": "mien.pipelines",
    "Identity": "mien.conditions",
    "Pose": "mien.conditions",
    "Emotion": "mien.conditions",
    "MienError": "mien.errors",
}

__all__ = ["Emotion", "Identity", "MienError", "PortraitPipeline", "Pose", "__version__"]

if TYPE_CHECKING:
    from mien.conditions import Emotion, Identity, Pose
    from mien.errors import MienError
    from mien.pipelines import PortraitPipeline


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
