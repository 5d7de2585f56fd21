"""Read and judge pictures; what was read of picture files is kept beside them.

Reading thousands of pictures takes as long as drawing them in the faster modes.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mien.core.caches import read_arrays, write_arrays
from mien.core.io import sha256_of
from mien.core.progress import Advance, step_of
from mien.core.stages.execute import execute
from mien.core.stages.stage import Process, Resources, Stage
from mien.core.stages.trial import Trial
from mien.errors import MienError
from mien.evaluation.context import EvaluationContext
from mien.evaluation.judges import beside, picture_judged
from mien.evaluation.networks.load import AT_ONCE
from mien.evaluation.png import read_png
from mien.evaluation.readings.arrays import READ, Readings, store, whole_rows
from mien.provenance.fingerprint import version_of

if TYPE_CHECKING:
    from mien.faces.types import Picture

Floats = NDArray[np.float32]

_JUDGED = ("coefficients", "pose", "emotion")
"""What is taken of the face judge; ``emotion`` is valence, arousal and eight probabilities. Its gaze is not used."""

_ALSO = ("attributes",)
"""Parts that readings kept by an earlier release lack."""
SHARE = 8 * AT_ONCE
"""Pictures of a task; whole batches, so that every picture is read beside the same others."""
MANY = 1000
"""Pictures from which on several processes are worth their start."""
_PACKAGES = ("mien", "torch", "mediapipe", "onnxruntime")
"""Whose versions the readings depend on."""


def read_images(
    context: EvaluationContext,
    pictures: Sequence[Picture | Path],
    advance: Advance = lambda _: None,
    folder: Path | None = None,
) -> Readings:
    """Read and judge pictures.

    Args:
        context: readers, judges and networks.
        pictures: N pictures, each PIL, uint8 [S, S, 3] or the path of a PNG file.
        advance: called with the number of pictures done.
        folder: where readings of files are kept, as ``readings-DIGEST.safetensors``; the same readers do not read the
            same bytes again, and several processes read where there is much. None keeps nothing; nor are readings kept
            of pictures that are no files, or by judges without hashes.

    Raises:
        MienError: if kept readings are damaged while they are gathered, or processes die again and again.
    """
    files = [one for one in pictures if isinstance(one, Path)]
    if folder is None or not context.judges or len(files) < len(pictures):
        return _read(context, pictures, advance)
    stage = ReadingStage(folder, files, _digest(context, files), context.reopen_readers, context)
    kept = read_arrays(stage.whole)
    if kept is not None:
        advance(len(pictures))
        return Readings(kept.arrays)
    _carry_out(stage, context, advance)
    kept = read_arrays(stage.whole)
    if kept is None:
        raise MienError(f"{stage.whole} cannot be read: run the same command again.")
    return Readings(kept.arrays)


@dataclass
class ReadingStage(Stage):
    """What is read of picture files, so many at a time; whoever reads them finds the same.

    Attributes:
        folder: where readings are kept; those of a task until all are there.
        files: what to read.
        digest: of the files' bytes and of everything that reads them.
        reopen: loads readers, judges and networks in another process; picklable.
        context: those of this process.
        per_task: files of a task.
    """

    name: ClassVar[str] = "reading"
    resources = Resources(gpus=0.25)

    folder: Path
    files: Sequence[Path]
    digest: str
    reopen: Callable[[], EvaluationContext] | None = None
    context: EvaluationContext | None = None
    per_task: int = SHARE

    def __getstate__(self) -> dict[str, Any]:
        """Without what no other process can have."""
        return vars(self) | {"context": None}

    @property
    def whole(self) -> Path:
        """The file of all readings."""
        return self.folder / f"readings-{self.digest}.safetensors"

    @property
    def count(self) -> int:
        """Of tasks, each with a share of the files that lie side by side; at least one."""
        return max(1, -(-len(self.files) // self.per_task))

    def inputs(self) -> Sequence[Path]:
        """The pictures."""
        return self.files

    def outputs(self, task: int) -> Sequence[Path]:
        """The readings of a share."""
        return [self.folder / f"readings-{self.digest}-{task:04d}.safetensors"]

    def share(self, task: int) -> Sequence[Path]:
        """The files of a task."""
        return self.files[task * self.per_task : (task + 1) * self.per_task]

    def size(self, task: int) -> int:
        """Pictures of a share."""
        return len(self.share(task))

    def setup(self) -> Process:
        """Readers, judges and networks."""
        context = self.context
        if context is None:
            assert self.reopen is not None
            context = self.reopen()

        def read(task: int, trial: Trial) -> None:
            write_arrays(self.outputs(task)[0], _read(context, self.share(task), trial.advance).values, {})

        return read

    def finish(self) -> None:
        """Make one file of all shares.

        Raises:
            MienError: if a share cannot be read.
        """
        paths = [path for task in range(self.count) for path in self.outputs(task)]
        shares = [read_arrays(path) for path in paths]
        for path, share in zip(paths, shares, strict=True):
            if share is None:
                path.unlink(missing_ok=True)
                raise MienError(f"{path} was damaged and is removed: run the same command again.")
        arrays = [share.arrays for share in shares if share is not None]
        write_arrays(self.whole, {name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]}, {})
        for path in paths:
            path.unlink()


def _carry_out(stage: ReadingStage, context: EvaluationContext, advance: Advance) -> None:
    """Read what is not read: with whoever draws where there is much, for processes take long to load the readers."""
    how = context.drawing
    alone = stage.reopen is None or len(stage.files) < MANY
    executor, workers = ("local", 1) if alone else (how.executor, how.workers)
    execute(stage, executor=executor, workers=workers, bar=lambda total, label: nullcontext(step_of(advance)))


def _read(context: EvaluationContext, pictures: Sequence[Picture | Path], advance: Advance) -> Readings:
    count = len(pictures)
    values = {
        f"{reader}.{part}": np.full((count, *shape), np.nan, np.float32)
        for reader in context.readers
        for part, shape in READ.items()
    }
    values |= {name: np.full((count, *shape), np.nan, np.float32) for name, shape in context.networks.parts().items()}
    identities: list[Floats] = []
    whole: dict[str, list[NDArray[np.floating]]] = defaultdict(list)
    for start in range(0, count, AT_ONCE):
        rows = range(start, min(start + AT_ONCE, count))
        images = [read_png(one) if isinstance(one, Path) else one for one in pictures[start : start + AT_ONCE]]
        if context.judge_attributes is not None:
            features, classes = picture_judged(context.judge_attributes, images)
            whole["features.studio"].append(features)
            for name, numbers in classes.items():
                whole[f"attributes.{name}"].append(numbers[:, None].astype(np.float32))
        for name, look in context.networks.sets.items():
            whole[f"features.{name}"].append(look(images))
        for name, reader in context.readers.items():
            for row, reading in zip(rows, reader.read_batch(images), strict=True):
                store(values, row, next(iter(reading.faces), None), f"{name}.")
        points = values[f"{context.first_reader}.landmarks"][rows.start : rows.stop]
        judged = judge(context, images, points)
        identities.append(judged.pop("identity"))
        for name, part in judged.items():
            whole[f"judge.{name}"].append(part)
        for name, part in context.networks.read(images, points).items():
            values[name][rows.start : rows.stop] = part
        for name, part in (context.outside(images) if context.outside else {}).items():
            whole[f"outside.{name}"].append(part)
        advance(len(rows))
    values["identity"] = np.concatenate(identities)
    return Readings(values | {name: np.concatenate(rows) for name, rows in whole.items()})


def judge(context: EvaluationContext, pictures: Sequence[Picture], points: Floats) -> dict[str, Floats]:
    """Judges' outputs for pictures with landmarks [B, 478, 3]; NaN for rows whose landmarks are NaN.

    Returns:
        ``coefficients`` [B, K], those that the face judge can read, in the order of its ``seen``; ``pose`` [B, 3] and
        ``gaze`` [B, 2] in degrees, the latter where there is a gaze judge; ``emotion`` [B, 10]; ``identity`` [B, D].
    """
    import torch

    from mien.faces.alignment import CROP, filtered_crop, judge_face_crops, judge_gaze_crops, judge_identity_matrix

    there = whole_rows(points)
    # a picture without a face goes through with somebody's landmarks, so that batches keep their shape
    filled = torch.from_numpy(np.where(there[:, None, None], points, _anybody(points.shape[1:])))
    images = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    with torch.no_grad():
        crops = judge_face_crops(images, filled, context.judge_face.config["size"])
        judged = context.judge_face.predict(beside(context.judge_face, crops))
        judged = {name: judged[name] for name in _JUDGED}
        judged["coefficients"] = judged["coefficients"][:, context.judge_face.seen]
        if context.judge_gaze is not None:
            crops = judge_gaze_crops(images, filled, context.judge_gaze.config["size"])
            judged["gaze"] = context.judge_gaze.predict(beside(context.judge_gaze, crops))
        crops = filtered_crop(images, judge_identity_matrix(filled), CROP)
        judged["identity"] = context.judge_identity(beside(context.judge_identity, crops))
    return {
        name: np.where(there[:, None], part.cpu().numpy(), np.nan).astype(np.float32) for name, part in judged.items()
    }


def _anybody(shape: tuple[int, ...]) -> Floats:
    """Landmarks that are no face but can be aligned: points on a circle."""
    angle = np.linspace(0, 2 * np.pi, shape[0], endpoint=False)
    return np.stack([64 + 32 * np.cos(angle), 64 + 32 * np.sin(angle), 0 * angle], 1).astype(np.float32)


def _digest(context: EvaluationContext, files: Sequence[Path]) -> str:
    """Digest of the files' bytes and of everything that reads them."""
    asked: dict[str, Any] = {
        "judges": dict(context.judges),
        "readers": {
            name: {key: sha256_of(file) for key, file in getattr(reader, "files", {}).items()}
            for name, reader in context.readers.items()
        },
        "parts": sorted([*context.networks.parts(), *context.looks(), *_ALSO]),
        "versions": {name: version_of(name) for name in _PACKAGES},
    }
    device = str(getattr(context.judge_face, "device", "cpu"))
    if device != "cpu":  # whose last bits are others
        asked["device"] = device
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for file in files:
        digest.update(sha256_of(file).encode())
    return digest.hexdigest()[:16]
