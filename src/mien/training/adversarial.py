"""A discriminator that looks at patches, and its two losses, for a decoder that has to draw texture.

Hinge loss as in SAGAN (Zhang et al. 2019) and VQGAN (Esser et al. 2021). Both players are stepped together by one
optimizer: the decoder's term goes through frozen weights, the discriminator's through pictures without gradient.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PatchDiscriminator(nn.Module):
    """Pictures [B, 3, H, W] in [-1, 1] -> scores [B, 1, H/8, W/8], each of a patch of about 46 pixels; high is real.

    Beside the picture it sees what a blur by 2 takes from it, enlarged to a size like the picture's own: texture is a
    fiftieth of a picture's range, and a judge of whole pictures lets its lack pass (*ours*; spectral norms, which bound
    how much a small difference can count, left its loss at that of a guess).

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the picture's size, multiples of 8.
        texture: by how much what the blur takes is enlarged.
    """

    def __init__(self, widths: tuple[int, int, int] = (48, 96, 160), texture: float = 8.0) -> None:
        super().__init__()
        self.texture = texture
        layers: list[nn.Module] = [nn.Conv2d(6, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.GroupNorm(8, outputs), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        blurred = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
        return self.layers(torch.cat([pictures, self.texture * (pictures - blurred)], 1))


def adversarial_losses(judge: nn.Module, drawn: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """What the decoder and what the discriminator minimise; gradients of neither reach the other's weights.

    Args:
        judge: the discriminator, whose weights are trained.
        drawn: pictures of the decoder, with gradients.
        real: pictures.

    Returns:
        ``-mean D(drawn)``, and ``mean relu(1 - D(real)) + mean relu(1 + D(drawn))``.
    """
    trained = [parameter for parameter in judge.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    generator = -judge(drawn).float().mean()
    for parameter in trained:
        parameter.requires_grad_(True)
    discriminator = F.relu(1 - judge(real).float()).mean() + F.relu(1 + judge(drawn.detach()).float()).mean()
    return generator, discriminator


def adaptive_weight(wanted: Tensor, other: Tensor, last: Tensor, most: float = 1e4) -> Tensor:
    """The weight at which a term pulls as hard as another at a layer (VQGAN, Eq. 7): |grad wanted| / |grad other|.

    Args:
        wanted: the loss whose strength is taken.
        other: the term to weigh.
        last: a weight that both depend on.
        most: upper bound.

    Returns:
        A number without gradient.
    """
    pulls = [torch.autograd.grad(loss, last, retain_graph=True)[0].float().norm() for loss in (wanted, other)]
    return (pulls[0] / (pulls[1] + 1e-4)).clamp(0, most).detach()
