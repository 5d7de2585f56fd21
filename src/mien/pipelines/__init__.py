"""Pipelines: from conditions to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.core.lazy import lazy_exports

_EXPORTS = {
    "PortraitPipeline": ".portrait",
    "PortraitPipelineOutput": ".output",
    "PortraitXLPipeline": ".portrait_xl",
}

__all__ = ["PortraitPipeline", "PortraitPipelineOutput", "PortraitXLPipeline"]

if TYPE_CHECKING:
    from mien.pipelines.output import PortraitPipelineOutput
    from mien.pipelines.portrait import PortraitPipeline
    from mien.pipelines.portrait_xl import PortraitXLPipeline

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
