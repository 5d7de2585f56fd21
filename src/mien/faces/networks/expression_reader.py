"""From a picture of a face to the tokens that a landmark branch would make of its expression on the mean face."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.networks.blocks import Mixer, channels_last
from mien.faces.networks.reader_net import StudioFaceNet, face_trunk

TRUNK = ("low", "middle", "high", "gather")
"""Parts that it shares with the reader, by their names in both."""


class ExpressionReader(ModelMixin, ConfigMixin):
    """Face crop in the studio's framing -> tokens on a grid of the picture (*ours*).

    An attention layer has one value projection for all tokens, so that a token must say by itself what stands at its
    place: the reader's maps are brought to the grid and told where they are, beside what is read of the whole face.

    Args:
        image_size: side of the crop in pixels, a multiple of 32.
        widths, hidden: of the trunk, see :class:`StudioFaceNet`.
        features: width of a token.
        grid: side of the grid; tokens go row by row from the top left.
        channels: width of the layers between.
        depth: how many of them.
        framing: of the crop, see :data:`mien.faces.alignment.FRAMINGS`.

    Example:
        >>> import torch
        >>> from mien.faces.networks import ExpressionReader
        >>> small = {"widths": (8, 8, 8, 8), "hidden": 16, "channels": 8, "depth": 1}
        >>> reader = ExpressionReader(image_size=64, features=12, grid=4, **small)
        >>> reader.eval()(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 16, 12])
    """

    @register_to_config
    def __init__(
        self,
        image_size: int = 128,
        widths: tuple[int, int, int, int] = (48, 96, 144, 192),
        hidden: int = 224,
        features: int = 128,
        grid: int = 8,
        channels: int = 192,
        depth: int = 3,
        framing: str = "studio",
    ) -> None:
        super().__init__()
        self.low, self.middle, self.high, self.gather = face_trunk(image_size, widths, hidden)
        self.cells = nn.Conv2d(widths[1] + widths[2], channels, 1)
        self.whole = nn.Linear(hidden, channels)
        self.positions = nn.Parameter(0.02 * torch.randn(1, channels, grid, grid))
        self.mix = nn.Sequential(*(Mixer(channels) for _ in range(depth)))
        self.tokens = nn.Conv2d(channels, features, 1)
        self.mean = nn.Parameter(torch.zeros(1, features, grid, grid))
        nn.init.zeros_(self.tokens.weight)
        nn.init.zeros_(self.tokens.bias)  # type: ignore[arg-type]

    @torch.no_grad()
    def start_from_reader(self, reader: StudioFaceNet) -> None:
        """Take the trunk of a reader of the same size."""
        for name in TRUNK:
            getattr(self, name).load_state_dict(getattr(reader, name).state_dict())

    def forward(self, crops: Tensor) -> Tensor:
        """[B, 3, image_size, image_size] in [-1, 1] -> tokens [B, grid^2, features]."""
        low = self.low(channels_last(crops))
        middle = self.middle(low)
        whole = self.whole(self.gather(self.high(middle).flatten(1)))
        maps = [F.adaptive_avg_pool2d(one, self.config["grid"]) for one in (low, middle)]
        mixed = self.mix(self.cells(torch.cat(maps, 1)) + whole[..., None, None] + self.positions)
        return (self.tokens(mixed) + self.mean).flatten(2).transpose(1, 2)
