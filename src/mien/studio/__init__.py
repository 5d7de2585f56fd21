"""Synthetic portraits with exact ground truth; names are resolved when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "ExpressionState": "mien.faces.linear.state",
    "FaceKit": "mien.studio.kit",
    "Person": "mien.studio.person",
    "Scene": "mien.studio.scene",
    "Render": "mien.studio.renderer",
    "Renderer": "mien.studio.renderer",
    "preset_expression": "mien.faces.linear.expressions",
    "sample_expression": "mien.studio.expression_sampling",
    "sample_person": "mien.studio.person",
    "sample_scene": "mien.studio.scene",
}

__all__ = [
    "ExpressionState",
    "FaceKit",
    "Person",
    "Render",
    "Renderer",
    "Scene",
    "preset_expression",
    "sample_expression",
    "sample_person",
    "sample_scene",
]

if TYPE_CHECKING:
    from mien.faces.linear.expressions import preset_expression
    from mien.faces.linear.state import ExpressionState
    from mien.studio.expression_sampling import sample_expression
    from mien.studio.kit import FaceKit
    from mien.studio.person import Person, sample_person
    from mien.studio.renderer import Render, Renderer
    from mien.studio.scene import Scene, sample_scene


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mien.studio' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
