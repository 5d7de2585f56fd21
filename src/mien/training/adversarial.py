"""A discriminator that looks at patches, and its two losses, for a decoder that has to draw texture.

Relativistic pairs with gradient penalties on real and drawn pictures, as in R3GAN (Huang et al., NeurIPS 2024, Eq. 2 to
4). Both players are stepped together by one optimizer: the decoder's term goes through frozen weights, the
discriminator's through pictures without gradient.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PUNISHED = 4
"""One of so many rows tells the gradients' penalty: it costs three times what scores cost."""


class PatchDiscriminator(nn.Module):
    """Pictures [B, 3, H, W] in [-1, 1] -> scores [B, 1, H/8, W/8], each of a patch of about 50 pixels; high is real.

    Beside the picture it sees what a blur by 2 takes from it, enlarged: texture is a fiftieth of a picture's range, and
    a discriminator of pictures alone lets its lack pass (*ours*; spectral norms, which bound how much a small
    difference can count, left the hinge loss at 2, that of a guess).

    Args:
        widths: channels at the picture's size, 1/2, 1/4 and 1/8 of it.
        texture: by how much what the blur takes is enlarged.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (24, 48, 96, 160), texture: float = 4.0) -> None:
        super().__init__()
        self.texture = texture
        layers: list[nn.Module] = [nn.Conv2d(6, widths[0], 3, 1, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        blurred = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
        return self.layers(torch.cat([pictures, self.texture * (pictures - blurred)], 1))


def adversarial_losses(judge: nn.Module, drawn: Tensor, real: Tensor, penalty: float = 0.0) -> tuple[Tensor, Tensor]:
    """What the decoder and what the discriminator minimise; gradients of neither reach the other's weights.

    Args:
        judge: the discriminator, whose weights are trained.
        drawn: pictures of the decoder, with gradients.
        real: the pictures that should have been drawn, row by row.
        penalty: gamma, weight of the squared gradients of the scores; without gradients (validation) it is left out.

    Returns:
        ``mean softplus(D(real) - D(drawn))``, and ``mean softplus(D(drawn) - D(real))`` plus gamma / 2 times the sum of
        the two mean squared norms (per score) of the gradients of the scores by the pictures.
    """
    trained = [parameter for parameter in judge.parameters() if parameter.requires_grad]
    right = judge(real).float()
    for parameter in trained:
        parameter.requires_grad_(False)
    generator = F.softplus(right.detach() - judge(drawn).float()).mean()
    for parameter in trained:
        parameter.requires_grad_(True)
    discriminator = F.softplus(judge(drawn.detach()).float() - right).mean()
    if penalty > 0 and torch.is_grad_enabled():
        rows = -(-len(real) // PUNISHED)
        shown = [pictures[:rows].detach().requires_grad_() for pictures in (real, drawn)]
        scores = [judge(pictures).float() for pictures in shown]
        slopes = torch.autograd.grad(scores[0].sum() + scores[1].sum(), shown, create_graph=True)
        norms = sum(slope.float().square().sum() for slope in slopes) / scores[0].numel()
        discriminator = discriminator + 0.5 * penalty * norms
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
