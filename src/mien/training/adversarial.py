"""A discriminator that looks at patches, and its two losses, for a decoder that has to draw texture.

Hinge loss as in SAGAN (Zhang et al. 2019) and VQGAN (Esser et al. 2021). Both players are stepped together by one
optimizer: the decoder's term goes through frozen weights, the discriminator's through pictures without gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PatchDiscriminator(nn.Sequential):
    """Pictures [B, 3, H, W] in [-1, 1] -> scores [B, 1, H/8, W/8], each of a patch of about 46 pixels; high is real.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the picture's size.
    """

    def __init__(self, widths: tuple[int, int, int] = (48, 96, 160)) -> None:
        spectral = nn.utils.parametrizations.spectral_norm
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *widths), widths, strict=False):
            layers += [spectral(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
        super().__init__(*layers, spectral(nn.Conv2d(widths[-1], 1, 3, 1, 1)))


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
