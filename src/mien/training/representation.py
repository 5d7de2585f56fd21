"""Middle features of a UNet held against a face network's (REPA, arXiv 2410.06940): what has to see draws sooner.

The paper aligns a transformer's early layer with DINOv2 through a small projection. Here the network is the project's
own face reader, and the layer the first with attention (*inferred*).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.core.modules import placed
from mien.core.pixels import pictures_to_tensor
from mien.training.features import SMALL, slices, weights_key

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from mien.data.corpus import Corpus
    from mien.faces.networks import StudioFaceNet

GRID = 8
"""Side of the grid to which the reader's features are averaged; the UNet's first layer with attention has as many."""


@torch.no_grad()
def reader_features(corpus: Corpus, place: Path, device: torch.device | str = "cpu") -> np.ndarray:
    """Features of all pictures as the face reader sees them, float16 [N, D, GRID, GRID], kept beside the corpus.

    Args:
        corpus: the pictures.
        place: folder of a `StudioFaceNet`.
        device: where they are computed.
    """
    from mien.faces.networks import StudioFaceNet

    @cache
    def opened() -> StudioFaceNet:
        return placed(StudioFaceNet.from_pretrained(place).float().eval(), device=device)

    def features(rows: slice) -> np.ndarray:
        pictures = pictures_to_tensor(corpus["images"][rows]).to(device)
        return F.adaptive_avg_pool2d(opened().maps(pictures)[1], GRID).half().cpu().numpy()

    def of_rows(rows: slice) -> np.ndarray:
        return np.concatenate([features(part) for part in slices(rows, SMALL)])

    return corpus.computed("reader_features", weights_key(place), of_rows)


class RepresentationAlignment(nn.Module):
    """1 - mean cosine between projected features of a UNet and given ones.

    Args:
        unet: whose first down block with attention is listened to, from now on.
        features: D, width of the given features.
        hidden: width of the projection, three layers at each position.
    """

    def __init__(self, unet: UNet2DConditionModel, features: int, hidden: int = 512) -> None:
        super().__init__()
        kinds = unet.config["down_block_types"]
        index = next(index for index, kind in enumerate(kinds) if kind.startswith("CrossAttn"))
        width = unet.config["block_out_channels"][index]
        self.project = nn.Sequential(
            nn.Conv2d(width, hidden, 1), nn.SiLU(), nn.Conv2d(hidden, hidden, 1), nn.SiLU(),
            nn.Conv2d(hidden, features, 1),
        )  # fmt: skip
        self._seen: Tensor | None = None
        unet.down_blocks[index].register_forward_hook(self._listen)

    def _listen(self, block: nn.Module, inputs: object, outputs: tuple[Tensor, tuple[Tensor, ...]]) -> None:
        self._seen = outputs[1][0]  # before the block makes it smaller

    def forward(self, features: Tensor) -> Tensor:
        """Of the UNet's last call with B rows, against features [B, D, h, w]; a scalar between 0 and 2."""
        assert self._seen is not None, "the UNet was not called"
        seen, self._seen = self._seen, None
        wanted = F.adaptive_avg_pool2d(features.float(), (seen.shape[-2], seen.shape[-1]))
        return 1 - F.cosine_similarity(self.project(seen).float(), wanted, dim=1).mean()
