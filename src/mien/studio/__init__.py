"""Synthetic portraits with exact ground truth; names are resolved when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "ExpressionState": "mien.studio.expressions",
    "FaceKit": "mien.studio.kit",
    "Person": "mien.studio.person",
    "Picture": "mien.studio.picture",
    "Render": "mien.studio.renderer",
    "Renderer": "mien.studio.renderer",
    "preset_expression": "mien.studio.expressions",
    "sample_expression": "mien.studio.expressions",
    "sample_person": "mien.studio.person",
    "sample_picture": "mien.studio.picture",
}

__all__ = [
    "ExpressionState",
    "FaceKit",
    "Person",
    "Picture",
    "Render",
    "Renderer",
    "preset_expression",
    "sample_expression",
    "sample_person",
    "sample_picture",
]

if TYPE_CHECKING:
    from mien.studio.expressions import ExpressionState, preset_expression, sample_expression
    from mien.studio.kit import FaceKit
    from mien.studio.person import Person, sample_person
    from mien.studio.picture import Picture, sample_picture
    from mien.studio.renderer import Render, Renderer


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mien.studio' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
