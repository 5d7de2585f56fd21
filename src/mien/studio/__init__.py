"""Synthetic portraits with exact ground truth; names are resolved when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.core.lazy import lazy_exports

_EXPORTS = {
    "ExpressionState": "mien.faces.linear.state",
    "FaceKit": ".kit",
    "Person": ".person",
    "Scene": ".scene",
    "Render": ".renderer",
    "Renderer": ".renderer",
    "preset_expression": "mien.faces.linear.expressions",
    "sample_expression": ".expression_sampling",
    "sample_person": ".person",
    "sample_scene": ".scene",
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

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
