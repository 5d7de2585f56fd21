"""A condition is a branch: tokens that enter the attention of a frozen UNet through their own keys and values.

Names are resolved when first used, so that importing this package is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.core.lazy import lazy_exports

_EXPORTS = {
    "BlockSpec": ".blocks",
    "Branch": ".branch",
    "BranchPreset": ".presets",
    "BranchedAttnProcessor": ".attention",
    "Injection": ".injection",
    "BranchPlan": ".plan",
    "Tap": ".plan",
    "BranchTerm": ".plan",
    "branch_preset": ".presets",
    "counts": ".presets",
    "describe_unet": ".blocks",
    "export_ip_adapter": ".export",
    "load_adapter": ".files",
    "preset_branch": ".presets",
    "read_adapter": ".published",
    "save_adapter": ".files",
    "select_blocks": ".blocks",
    "unet_config": ".presets",
}

__all__ = [
    "BlockSpec",
    "Branch",
    "BranchPlan",
    "BranchPreset",
    "BranchTerm",
    "BranchedAttnProcessor",
    "Injection",
    "Tap",
    "branch_preset",
    "counts",
    "describe_unet",
    "export_ip_adapter",
    "load_adapter",
    "preset_branch",
    "read_adapter",
    "save_adapter",
    "select_blocks",
    "unet_config",
]

if TYPE_CHECKING:
    from mien.adapters.attention import BranchedAttnProcessor
    from mien.adapters.blocks import BlockSpec, describe_unet, select_blocks
    from mien.adapters.branch import Branch
    from mien.adapters.export import export_ip_adapter
    from mien.adapters.files import load_adapter, save_adapter
    from mien.adapters.injection import Injection
    from mien.adapters.plan import BranchPlan, BranchTerm, Tap
    from mien.adapters.presets import BranchPreset, branch_preset, counts, preset_branch, unet_config
    from mien.adapters.published import read_adapter

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
