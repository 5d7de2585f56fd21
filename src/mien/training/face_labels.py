"""Labels of faces in batches: drawing them from a corpus, and what turning and mirroring a picture does to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.faces.linear.arkit import BLENDSHAPE_NAMES, KIT_NAMES
from mien.faces.mirror import landmark_order, name_order
from mien.training.parts import ROW

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

Classes = Mapping[str, Sequence[str]]

EYES = tuple(index for index, name in enumerate(KIT_NAMES) if name.startswith("eye"))
"""Lids and gaze among the coefficients, which count twice: they are small in the picture, and people look at them."""


def attribute_classes() -> dict[str, tuple[str, ...]]:
    """The classes of each named attribute, as the studio has them."""
    from mien.faces import palette
    from mien.studio.headwear import HEADWEAR
    from mien.studio.person import BEARDS, HAIR_LENGTHS
    from mien.studio.scene import GLASSES

    return {
        "hair_style": tuple(HAIR_LENGTHS),
        "hair_color": tuple(palette.HAIR),
        "hair_length": tuple(dict.fromkeys(HAIR_LENGTHS.values())),
        "beard": tuple(BEARDS),
        "glasses": ("none", *GLASSES),
        "glasses_color": ("none", *palette.FRAMES),
        "headwear": ("none", *HEADWEAR),
        "eye_color": tuple(palette.EYES),
    }


def label_batch(corpus: Corpus, rows: np.ndarray, classes: Classes) -> dict[str, Tensor]:
    """Labels of some rows; a class that is not in ``classes`` is -1, which the losses leave out.

    Returns:
        ``coefficients`` [B, 53], ``pose`` [B, 3] and ``gaze`` [B, 2] degrees, ``emotion`` [B, 10], ``skin_tone``,
        ``age``, ``gender`` [B], int64 [B] for each named attribute, and the rows under `ROW`.
    """
    labels = {
        name: torch.from_numpy(np.asarray(corpus[name][rows], np.float32))
        for name in ("coefficients", "pose", "gaze", "emotion", "skin_tone", "age", "gender")
    }
    for name, values in classes.items():
        number: dict[str, int] = {value: i for i, value in enumerate(values)}
        words = corpus.attributes[name]
        labels[name] = torch.tensor([number.get(words[int(row)], -1) for row in rows])
    labels[ROW] = torch.from_numpy(np.asarray(rows))
    return labels


def turn_pose(pose: Tensor, degrees: Tensor) -> Tensor:
    """Poses [B, 3] (yaw, pitch, roll in degrees) after turning the picture clockwise by [B] degrees.

    Convention:
        A head's rotation is Ry(yaw) Rx(-pitch) Rz(-roll), y up; turning the picture clockwise is Rz(-angle) before it.
        For a frontal face that adds to the roll: the head tilts towards the subject's left shoulder.
    """
    yaw, pitch, roll = (pose * (math.pi / 180)).unbind(-1)
    cy, sy, cp, sp, cr, sr = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    # rows of the product of the three rotations
    top = torch.stack([cy * cr + sy * sp * sr, cy * sr - sy * sp * cr, sy * cp], -1)
    middle = torch.stack([-cp * sr, cp * cr, sp], -1)
    depth = cy * cp
    angle = (degrees * (math.pi / 180))[..., None]
    top, middle = top * angle.cos() + middle * angle.sin(), middle * angle.cos() - top * angle.sin()
    turned = (
        torch.atan2(top[..., 2], depth),
        middle[..., 2].clamp(-1, 1).asin(),
        -torch.atan2(middle[..., 0], middle[..., 1]),
    )
    return torch.stack(turned, -1) * (180 / math.pi)


def mirror_labels(labels: dict[str, Tensor], flip: Tensor) -> dict[str, Tensor]:
    """Labels of pictures that are mirrored where ``flip`` [B].

    Coefficients and blendshapes change sides; yaw, roll and the gaze's yaw change sign; landmarks change names only,
    since their x comes from the crop's matrix.
    """
    orders = {
        "coefficients": name_order(KIT_NAMES),
        "blendshapes": name_order(BLENDSHAPE_NAMES),
        "landmarks": landmark_order(),
    }
    signs = {"pose": (-1.0, 1.0, -1.0), "gaze": (-1.0, 1.0)}
    result = dict(labels)
    for name, value in labels.items():
        chosen = flip.view(-1, *[1] * (value.ndim - 1))
        if name in orders:
            result[name] = torch.where(chosen, value[:, list(orders[name])], value)
        elif name in signs:
            result[name] = torch.where(chosen, value * torch.tensor(signs[name], device=value.device), value)
    return result


def emotion_loss(logits: Tensor, circumplex: Tensor, emotion: Tensor) -> tuple[Tensor, Tensor]:
    """Per row [B]: soft cross-entropy of 8 logits, and absolute error of tanh(valence, arousal) against [B, 10]."""
    classes = -(emotion[:, 2:] * logits.log_softmax(1)).sum(1)
    return classes, (circumplex.tanh() - emotion[:, :2]).abs().sum(1)


def attribute_loss(outputs: dict[str, Tensor], labels: dict[str, Tensor], classes: Classes) -> Tensor:
    """Per row [B]: mean cross-entropy of the named attributes plus the losses of skin tone, age and gender."""
    loss = torch.zeros_like(labels["skin_tone"])
    for name in classes:
        entropy = F.cross_entropy(outputs[name], labels[name], ignore_index=-1, reduction="none")
        loss = loss + entropy / len(classes)
    tone = F.binary_cross_entropy_with_logits(outputs["skin_tone"][:, 0], labels["skin_tone"], reduction="none")
    age = F.binary_cross_entropy_with_logits(outputs["age"][:, 0], labels["age"] / 100, reduction="none")
    gender = (outputs["gender"][:, 0].tanh() - labels["gender"]).abs()
    return loss + tone + age + gender


def accuracy(read: Tensor, truth: Tensor) -> float:
    """Share of rows whose most probable class of [B, C] is right, among those of known class (not -1)."""
    return (read.argmax(1) == truth)[truth >= 0].float().mean().item()
