"""LPIPS (Zhang et al. 2018): distances between deep features, weighted by heads fitted to people's judgement.

The backbones are torchvision's files; the heads (version 0.1) come with torchmetrics. The packages lpips and
torchmetrics build the backbone through torchvision, which they need and which fetches its weights itself: here they
come from the assets, checked, and nothing is fetched unasked.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from mien.core.optional import require
from mien.errors import BadInput

Net = Literal["alex", "vgg"]

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in [-1, 1]


def _alex() -> list[nn.Module]:
    """AlexNet's features, at torchvision's places."""
    return [
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    ]  # fmt: skip


def _vgg() -> list[nn.Module]:
    """VGG-16's features up to relu5_3, at torchvision's places."""
    layers: list[nn.Module] = []
    channels = 3
    for out in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        layers += [nn.MaxPool2d(2, 2)] if not out else [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
        channels = out or channels
    return layers


_BACKBONES = {"alex": (_alex, (1, 4, 7, 9, 11)), "vgg": (_vgg, (3, 8, 15, 22, 29))}
"""Name -> layers, and the places of those whose output is compared."""


class Lpips(nn.Module):
    """LPIPS 0.1.

    Args:
        net: ``alex`` or ``vgg``.
        heads: weights [C] of each compared layer's channels.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: Net, heads: Sequence[Tensor]) -> None:
        super().__init__()
        layers, self.taps = _BACKBONES[net]
        self.features = nn.Sequential(*layers())
        self.heads = nn.ParameterList(nn.Parameter(head, requires_grad=False) for head in heads)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1), persistent=False)

    @classmethod
    def from_file(cls, net: Net, path: Path) -> Lpips:
        """With torchvision's file of the backbone's weights.

        Raises:
            BadInput: if the file is another one.
            MissingDependency: without torchmetrics.
        """
        from mien.faces.published.weights import read_weights

        lpips = cls(net, published_heads(net))
        weights = {name: value for name, value in read_weights(path).items() if name.startswith("features.")}
        known = {name for name in lpips.state_dict() if name.startswith("features.")}
        try:
            lpips.load_state_dict({name: weights[name] for name in known}, strict=False)
        except (KeyError, RuntimeError) as error:
            raise BadInput(f"{path} does not hold the weights of LPIPS's backbone {net}: get it again.") from error
        return lpips.eval().requires_grad_(False)  # distances become arrays

    def deep(self, pictures: Tensor) -> list[Tensor]:
        """Compared features, each brought to length 1 over its channels.

        Args:
            pictures: [B, 3, H, W] in [-1, 1], H and W of at least 64.
        """
        x, found = (pictures - self.shift) / self.scale, []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self.taps:
                found.append(unit_channels(x))
        return found

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances [B] of pictures [B, 3, H, W] in [-1, 1]; lower is more alike."""
        return lpips_distance(self.deep(first), self.deep(second), list(self.heads))


def unit_channels(features: Tensor) -> Tensor:
    """Features [B, C, H, W], each place's vector divided by its length (plus 1e-10, as in the original)."""
    length = features.square().sum(1, keepdim=True).sqrt()
    return features / (length + 1e-10)


def lpips_distance(first: Sequence[Tensor], second: Sequence[Tensor], heads: Sequence[Tensor]) -> Tensor:
    """Zhang et al. Eq. 1: sum over layers of the mean over places of the weighted squared difference, [B].

    Args:
        first: features [B, C, h, w] of each layer, of length 1 over C.
        second: the same.
        heads: [C] of each layer.
    """
    layers = zip(first, second, heads, strict=True)
    each = [(head.view(-1, 1, 1) * (a - b).square()).sum(1).mean((1, 2)) for a, b, head in layers]
    return torch.stack(each).sum(0)


def published_heads(net: Net) -> list[Tensor]:
    """Version 0.1 of the heads, as torchmetrics ships them.

    Raises:
        MissingDependency: without torchmetrics.
    """
    from mien.faces.published.weights import read_weights

    require("torchmetrics", extra="eval")
    folder = resources.files("torchmetrics.functional.image").joinpath("lpips_models")
    with resources.as_file(folder.joinpath(f"{net}.pth")) as path:
        found = read_weights(path)
    return [found[f"lin{number}.model.1.weight"].flatten() for number in range(5)]
