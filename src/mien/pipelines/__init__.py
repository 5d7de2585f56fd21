"""Pipelines: from conditions to pictures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_EXPORTS = {
    "PortraitPipeline": "portrait",
    "PortraitPipelineOutput": "output",
    "PortraitXLPipeline": "portrait_xl",
}

__all__ = ["PortraitPipeline", "PortraitPipelineOutput", "PortraitXLPipeline"]

if TYPE_CHECKING:
    from mien.pipelines.output import PortraitPipelineOutput
    from mien.pipelines.portrait import PortraitPipeline
    from mien.pipelines.portrait_xl import PortraitXLPipeline


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mien.pipelines' has no attribute {name!r}")
    return getattr(importlib.import_module(f"mien.pipelines.{_EXPORTS[name]}"), name)
