"""The portrait pipeline for ``DiffusionPipeline.from_pretrained(folder, custom_pipeline=...)``.

Diffusers copies this file, finds the one pipeline class in it and builds it from the folder's components. It does not
call the class's own ``from_pretrained``: the rest of the folder (adapters, few-step weights) is taken when diffusers
names the folder, the last thing that it does.

    from diffusers import DiffusionPipeline
    from mien.generation import custom_pipeline

    pipe = DiffusionPipeline.from_pretrained(
        "folder", custom_pipeline=custom_pipeline.__file__, trust_remote_code=True
    )
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

# the modules that model_index.json names, which diffusers finds only when they are imported
import mien.faces.networks.expression
import mien.generation.reading
import mien.models.autoencoder
import mien.pipelines.portrait


class CustomPortraitPipeline(mien.pipelines.portrait.PortraitPipeline):
    """`mien.PortraitPipeline` as a community pipeline of diffusers, for bases of SD1.5's shape."""

    def register_to_config(self, **kwargs: Any) -> None:
        """Register, and take the adapters and a reader of pictures once the folder is named."""
        super().register_to_config(**kwargs)
        if "_name_or_path" in kwargs:
            folder = Path(str(kwargs["_name_or_path"]))
            self.to(self.unet.dtype)  # transformers keeps the precision of the file and diffusers does not
            if folder.is_dir():
                self.use_folder(folder)
            self.reader = mien.generation.reading.PictureReader(str(folder))
