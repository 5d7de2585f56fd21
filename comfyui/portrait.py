"""A portrait by the embedded model, for a node that gives pixels and no file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

import mien
from mien.conditions import Emotion
from mien.provenance import Record, embed_watermark
from mien.provenance.png import CHUNK

from .readings import to_images, to_pictures


def draw(
    identity: Tensor | None,
    expression: Tensor | None,
    pose: Tensor | None,
    angles: tuple[float, float, float] | None,
    emotion: Emotion | None,
    prompt: str,
    seed: int,
    steps: int,
    speed: Any,
    progress: Callable[[int, int], Any],
) -> tuple[Tensor, str]:
    """The picture as an IMAGE, with the watermark in its pixels, and the record that belongs to it.

    Args:
        identity: IMAGE of one person, one picture or several.
        expression: IMAGE whose expression is wanted.
        pose: IMAGE whose head pose is wanted.
        angles: (yaw, pitch, roll) in degrees, or None.
        emotion: what is felt.
        prompt: words; nothing where it is empty.
        seed: of the picture.
        steps: denoising steps; ``few`` takes its own number.
        speed: of `mien.generate`.
        progress: called with (picture, step).

    Raises:
        MienError: as `mien.generate`.
    """
    people = [] if identity is None else to_pictures(identity)
    yaw, pitch, roll = angles or (None, None, None)
    (image,) = mien.generate(
        identity=people[0] if people else None,
        identities=people[1:],
        expression=None if expression is None else to_pictures(expression)[0],
        pose=None if pose is None else to_pictures(pose)[0],
        yaw=yaw, pitch=pitch, roll=roll, emotion=emotion, prompt=prompt.strip() or None, seed=seed,
        steps=None if speed == "few" else steps, speed=speed, progress=progress,
    )  # fmt: skip
    record = Record.parse(image.info[CHUNK], "the picture")
    return to_images([embed_watermark(image, record.watermark_id)]), record.text()
