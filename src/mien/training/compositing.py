"""Putting rendered people into other surroundings, and things in front of them, on whole batches of tensors.

A reader that is trained on renders alone must learn that nothing but the face says what the face does (Wood et al.,
"Fake it till you make it", ICCV 2021). All shapes and ranges are ours (*inferred*).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.training.augmentation import BatchRandom, random_texture

RIGHT_EYE, LEFT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)
LOWER_FACE = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 6)
"""Landmarks around what a face mask covers: along the jaw from ear to ear, and the bridge of the nose."""


def replace_background(crops: Tensor, mattes: Tensor, batch_rng: BatchRandom, probability: float = 0.7) -> Tensor:
    """Some of the people before another background: clouds of colour, or a blurred, enlarged part of another picture.

    Args:
        crops: [B, 3, S, S] in [-1, 1].
        mattes: [B, 1, S, S], share of each pixel that belongs to the person.
        batch_rng: randomness.
        probability: share of the pictures that change.
    """
    chosen = batch_rng.some(probability).nonzero()[:, 0]
    if not len(chosen):
        return crops
    size, few = crops.shape[-1], BatchRandom(len(chosen), batch_rng.generator, batch_rng.device)
    behind = random_texture(few, size)
    others = crops.roll(1, 0)[chosen]
    small = F.interpolate(others, size=(max(4, size // 6),) * 2, mode="bilinear", antialias=True)
    blurred = F.interpolate(small, size=(size, size), mode="bicubic", align_corners=False).clamp(-1, 1)
    turned = torch.where(few.some(0.5)[:, None, None, None], blurred.flip(-1), blurred.flip(-2))
    behind = torch.where(few.some(0.5)[:, None, None, None], turned, behind)
    plain = few.uniform(-1, 1, 3, 1, 1).expand_as(behind)
    behind = torch.where(few.some(0.2)[:, None, None, None], plain, behind)
    result = crops.clone()
    result[chosen] = torch.lerp(behind, crops[chosen], mattes[chosen])
    return result


def cover(crops: Tensor, landmarks: Tensor, batch_rng: BatchRandom, probability: float = 0.25) -> Tensor:
    """Dark glasses, a mask over mouth and nose, fingers or a microphone in front of some of the faces.

    Args:
        crops: [B, 3, S, S] in [-1, 1].
        landmarks: [B, 478, 2 or 3] pixels of the crops.
        batch_rng: randomness.
        probability: share of the pictures that get each of the four, by turns.
    """
    kind = (batch_rng.uniform(0, 1) / probability * 4).long()  # 4 and more: nothing
    shapes = (_dark_glasses, _mask, _fingers, _microphone)
    result = crops
    for number, shape in enumerate(shapes):
        rows = (kind == number).nonzero()[:, 0]
        if len(rows):
            few = BatchRandom(len(rows), batch_rng.generator, batch_rng.device)
            layer, share = shape(landmarks[rows, :, :2].float(), few, crops.shape[-1])
            result = result.clone() if result is crops else result
            result[rows] = torch.lerp(result[rows], layer, share)
    return result


def sharpen(crops: Tensor, batch_rng: BatchRandom, probability: float = 0.25) -> Tensor:
    """Some of the pictures with their edges exaggerated, as phones do: an unsharp mask of up to 1.5 times."""
    chosen = batch_rng.some(probability).nonzero()[:, 0]
    if not len(chosen):
        return crops
    few = BatchRandom(len(chosen), batch_rng.generator, batch_rng.device)
    part = crops[chosen]
    soft = F.avg_pool2d(F.pad(part, (1, 1, 1, 1), mode="replicate"), 3, 1)
    result = crops.clone()
    result[chosen] = (part + (part - soft) * few.uniform(0.2, 1.5, 1, 1, 1)).clamp(-1, 1)
    return result


def darken(crops: Tensor, batch_rng: BatchRandom, probability: float = 0.15) -> Tensor:
    """Some of the pictures as a camera takes them in low light: a fraction of it, and the noise raised with it."""
    chosen = batch_rng.some(probability).nonzero()[:, 0]
    if not len(chosen):
        return crops
    few = BatchRandom(len(chosen), batch_rng.generator, batch_rng.device)
    light = (crops[chosen] * 0.5 + 0.5).pow(2.2) * few.uniform(0.05, 0.4, 1, 1, 1)
    grain = few.normal(*crops.shape[1:]) * light.clamp_min(0.002).sqrt() * few.uniform(0.01, 0.08, 1, 1, 1)
    shown = ((light + grain).clamp(0, 1) * few.uniform(1.0, 2.5, 1, 1, 1)).clamp(0, 1).pow(1 / 2.2)
    result = crops.clone()
    result[chosen] = shown * 2 - 1
    return result


def _grid(size: int, device: torch.device) -> Tensor:
    axis = torch.arange(size, device=device) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1)


def _ellipse(grid: Tensor, middle: Tensor, half: Tensor, angle: Tensor) -> Tensor:
    """Soft ellipses [B, 1, S, S] around points [B, 2] with half axes [B, 2] pixels, turned by angles [B]."""
    away = grid - middle[:, None, None]
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    u, v = away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin
    distance = ((u / half[:, 0, None, None]).square() + (v / half[:, 1, None, None]).square()).sqrt()
    return ((1 - distance) * half.amin(1)[:, None, None] + 0.5).clamp(0, 1)[:, None]


def _span(points: Tensor) -> Tensor:
    """Distance of the outer eye corners [B]."""
    return (points[:, 33] - points[:, 263]).norm(dim=1)


def _tilt(points: Tensor) -> Tensor:
    along = points[:, 263] - points[:, 33]
    return torch.atan2(along[:, 1], along[:, 0])


def _dark_glasses(points: Tensor, batch_rng: BatchRandom, size: int) -> tuple[Tensor, Tensor]:
    grid, span, tilt = _grid(size, points.device), _span(points), _tilt(points)
    half = torch.stack([span * batch_rng.uniform(0.2, 0.27), span * batch_rng.uniform(0.14, 0.22)], 1)
    lenses = [_ellipse(grid, points[:, list(eye)].mean(1), half, tilt) for eye in (RIGHT_EYE, LEFT_EYE)]
    share = torch.maximum(*lenses) * batch_rng.uniform(0.6, 1.0, 1, 1, 1)
    return batch_rng.uniform(-1, -0.5, 3, 1, 1).expand(-1, -1, size, size), share


def _mask(points: Tensor, batch_rng: BatchRandom, size: int) -> tuple[Tensor, Tensor]:
    """A convex shape over the lower face: pixels inside all edges of the landmarks' outline."""
    outline = points[:, list(LOWER_FACE)]
    middle = outline.mean(1, keepdim=True)
    outline = middle + (outline - middle) * batch_rng.uniform(0.9, 1.08, 1, 1)
    edge = outline.roll(-1, 1) - outline
    normal = F.normalize(torch.stack([-edge[..., 1], edge[..., 0]], -1), dim=-1)
    inward = torch.where(((middle - outline) * normal).sum(-1, keepdim=True) < 0, -normal, normal)
    grid = _grid(size, points.device).reshape(1, -1, 1, 2)
    depth = ((grid - outline[:, None]) * inward[:, None]).sum(-1).amin(-1).reshape(-1, 1, size, size)
    colour = batch_rng.uniform(-0.3, 1.0, 3, 1, 1) * torch.where(batch_rng.some(0.3)[:, None, None, None], -1.0, 1.0)
    shade = 0.15 * random_texture(batch_rng, size)
    return (colour + shade).clamp(-1, 1), (depth + 0.5).clamp(0, 1)


def _fingers(points: Tensor, batch_rng: BatchRandom, size: int) -> tuple[Tensor, Tensor]:
    """Three bars of the cheek's colour from one side, as of a hand held to the face."""
    grid, span = _grid(size, points.device), _span(points)
    start = points[torch.arange(len(points)), torch.where(batch_rng.some(0.5), 205, 425)]
    angle = batch_rng.uniform(-0.6, 0.6) + torch.where(batch_rng.some(0.5), 0.0, math.pi / 2)
    across = torch.stack([-angle.sin(), angle.cos()], 1)
    half = torch.stack([span * batch_rng.uniform(0.5, 0.9), span * batch_rng.uniform(0.07, 0.11)], 1)
    bars = [_ellipse(grid, start + across * (step * 2.1 * half[:, 1:]), half, angle) for step in (-1.0, 0.0, 1.0)]
    skin = batch_rng.uniform(-0.7, 0.6, 1, 1, 1) + torch.tensor([0.15, 0.0, -0.12], device=points.device)[:, None, None]
    return (skin + 0.1 * random_texture(batch_rng, size)).clamp(-1, 1), torch.stack(bars).amax(0)


def _microphone(points: Tensor, batch_rng: BatchRandom, size: int) -> tuple[Tensor, Tensor]:
    grid, span = _grid(size, points.device), _span(points)
    chin = points[:, 152] + batch_rng.normal(2) * 0.15 * span[:, None]
    ball = _ellipse(grid, chin, torch.stack([span * 0.22, span * 0.24], 1), batch_rng.uniform(0, math.pi))
    below = chin + torch.stack([span * 0, span * 0.7], 1)
    stick = _ellipse(grid, below, torch.stack([span * 0.08, span * 0.7], 1), torch.zeros_like(span))
    colour = batch_rng.uniform(-1, -0.3, 1, 1, 1) + 0.2 * random_texture(batch_rng, size, 1)
    return colour.clamp(-1, 1).expand(-1, 3, -1, -1), torch.maximum(ball, stick)
