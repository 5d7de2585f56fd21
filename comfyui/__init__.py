"""mien in ComfyUI: nodes that read faces and steer any SD1.5 or SDXL model with what they read.

The nodes are thin (`nodes.py`); what they do stands in modules that need no ComfyUI: `blocks.py` (which block of a
ComfyUI model is which of a branch's), `patch.py` (the attention of one block), `apply.py`, `weights.py` (Eq. 6),
`readings.py` (pictures and faces).
"""

# pyright: reportMissingImports=false
# comfy and its API come with ComfyUI and are in no package registry
from __future__ import annotations

from typing import Any


async def comfy_entrypoint() -> Any:
    """What ComfyUI asks a package of nodes for: its `ComfyExtension`."""
    from comfy_api.latest import ComfyExtension

    from .nodes import NODES, register_folder

    class MienExtension(ComfyExtension):
        """The nodes of mien."""

        async def on_load(self) -> None:
            """Let models/mien hold adapter files."""
            register_folder()

        async def get_node_list(self) -> list[Any]:
            """The classes in `nodes.py`."""
            return NODES

    register_folder()  # schemas list the folder, and older servers build them before on_load
    return MienExtension()
