"""Drawing and keeping pictures: what is there already is not drawn again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.io import make_folder, write_json
from mien.core.progress import Advance
from mien.evaluation.control.scene import Pair
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.png import Pixels, read_png, write_png
from mien.generation.conditioning import PipelineInputs, run_pipeline

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline


SETTINGS_FILE = "made-with.json"
SEEDS = 100_000_000
"""Seeds of one value of the setting ``seed``; a pair's own seed is below it."""


def open_folder(root: Path, made_with: dict[str, Any]) -> Path:
    """The folder for pictures made with these settings and models; others get other folders.

    Args:
        root: where all such folders are.
        made_with: everything the pixels depend on that is not in the names of files, as JSON.
    """
    digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / digest
    make_folder(folder)
    write_json(folder / SETTINGS_FILE, made_with)
    return folder


def kept(path: Path, draw: Callable[[], Pixels]) -> Pixels:
    """The picture in a file, drawn and written first if it is not there."""
    if not path.exists():
        write_png(path, draw())
    return read_png(path)


def batches(pairs: Sequence[Pair], size: int) -> Iterator[Sequence[Pair]]:
    """The fixed partition of the pairs."""
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def draw_pairs(
    pipeline: PortraitPipeline,
    settings: ControlSettings,
    pairs: Sequence[Pair],
    steering: Callable[[Sequence[Pair]], list[PipelineInputs]],
    folder: Path,
    advance: Advance = lambda _: None,
    finish: Callable[[Pair, Any], Any] = lambda pair, picture: picture,
) -> list[Path]:
    """Draw every pair whose picture is not in the folder; a batch of which one is missing is drawn as a whole.

    Args:
        pipeline: see `EvaluationContext`.
        settings: steps, scales, guidance, batch.
        pairs: what to draw.
        steering: the conditions of a batch.
        folder: ``PERSON-TARGET-SHOWN.png``, see `Pair.file`.
        advance: called with the number of pictures done.
        finish: (pair, picture drawn for it) -> the picture that is kept.

    Returns:
        A file for each pair, in order.
    """
    files = []
    for batch in batches(pairs, settings.batch):
        paths = [folder / pair.file for pair in batch]
        if not all(path.exists() for path in paths):
            seeds = [settings.seed * SEEDS + pair.seed for pair in batch]
            images = run_pipeline(
                pipeline, steering(batch), seeds, scales=dict(settings.scales), guidance=dict(settings.guidance),
                identity_mode=settings.identity_mode, speed=settings.speed,
                num_inference_steps=None if settings.speed == "few" else settings.steps,
            )  # fmt: skip
            for pair, path, image in zip(batch, paths, images, strict=True):
                write_png(path, finish(pair, image))
        files += paths
        advance(len(batch))
    return files
