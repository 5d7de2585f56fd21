"""The metrics on pictures made by any program: pairs of reference and output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.bootstrap import cluster_weights, interval, weighted_means
from mien.evaluation.control.observe import whole_rows
from mien.evaluation.metrics import emotion, expression, identity, pose
from mien.evaluation.metrics.declared import METRICS
from mien.evaluation.pairing import Pairs

if TYPE_CHECKING:
    from mien.faces.reader import FaceReader
    from mien.faces.studio import StudioReader

Floats = NDArray[np.float64]
Distance = Callable[[Any, Any], Floats]

PARTS = {"blendshapes": (52,), "landmarks": (478, 3), "pose": (3,), "emotion": (10,), "identity": (512,)}
"""What is read of a face, and its shape."""


def _angle(axis: int) -> Distance:
    return lambda a, b: pose.pose_error(a, b)[..., axis]


def _probabilities(distance: Callable[..., Floats], **options: Any) -> Distance:
    return lambda a, b: distance(np.asarray(a)[..., 2:], np.asarray(b)[..., 2:], **options)


MEASURES: Mapping[str, tuple[str, Distance, bool]] = {
    "exp": ("blendshapes", expression.exp_distance, False),
    "exp_sum": ("blendshapes", lambda a, b: expression.exp_distance(a, b, "sum"), False),
    "lms": ("landmarks", expression.lms_distance, False),
    "yaw": ("pose", _angle(0), True),
    "pitch": ("pose", _angle(1), True),
    "roll": ("pose", _angle(2), True),
    "identity.studio": ("identity", identity.cosine, False),
    "valence.studio": ("emotion", lambda a, b: np.asarray(b)[..., 0] - np.asarray(a)[..., 0], True),
    "arousal.studio": ("emotion", lambda a, b: np.asarray(b)[..., 1] - np.asarray(a)[..., 1], True),
    "emotion_l2.studio": ("emotion", _probabilities(emotion.distribution_distance), False),
    "emotion_rmse.studio": ("emotion", _probabilities(emotion.distribution_distance, kind="rmse"), False),
    "emotion_accuracy.studio": ("emotion", _probabilities(emotion.same_class), False),
}
"""Metric -> what is compared, the row-wise function, and whether the value is the root of the mean square."""

Bar = Callable[[int, str], AbstractContextManager[Callable[[int], Any]]]


def score(
    pairs: Pairs,
    reader: FaceReader,
    studio: StudioReader,
    judge: Any | None = None,
    *,
    draws: int = 1000,
    bar: Bar = lambda total, label: nullcontext(lambda count: None),
) -> dict[str, Any]:
    """Score outputs against their references.

    Args:
        pairs: N pairs of files.
        reader: reads landmarks, blendshapes and pose of both sides.
        studio: reads emotion and identity, which MediaPipe does not.
        judge: `JudgeAttributes`, whose features the set distances are taken in; None leaves them out.
        draws: resamples of the bootstrap over pairs, for 95 % intervals.
        bar: makes a progress bar.

    Returns:
        ``{"pairs", "unpaired", "readers", "faces", "metrics": {name: {value, low, high, n, n_failed, floor, unit,
        better, minimum, enough}}}``. ``floor`` is the value of the same outputs against every other reference; a pair
        in which either picture shows no face counts in ``n_failed``. ``enough`` is False below the metric's minimum.

    Raises:
        BadInput: if a file is no picture.
    """
    with bar(2 * len(pairs.reference), "reading") as told:
        sides = [_read(files, reader, studio, judge, told) for files in (pairs.reference, pairs.generated)]
    reference, generated = sides
    metrics = {
        name: _paired(reference[part], generated[part], distance, root, draws)
        for name, (part, distance, root) in MEASURES.items()
    }
    if "features" in reference and len(pairs.reference) > 1:
        metrics |= _sets(reference["features"], generated["features"])
    for name, found in metrics.items():
        declared = METRICS[name]
        found |= {"unit": declared.unit, "better": declared.better, "minimum": declared.minimum}
        found["enough"] = found["n"] >= declared.minimum
    seen = {side: int(whole_rows(values["landmarks"]).sum()) for side, values in zip(_SIDES, sides, strict=True)}
    return {
        "pairs": len(pairs.reference),
        "unpaired": len(pairs.unpaired),
        "readers": {"landmarks, blendshapes, pose": reader.name, "emotion, identity": studio.name},
        "faces": seen,
        "metrics": metrics,
    }


_SIDES = ("reference", "generated")


def _read(
    files: Sequence[Path], reader: FaceReader, studio: StudioReader, judge: Any | None, told: Callable[[int], Any]
) -> dict[str, Floats]:
    """Readings of N pictures by part, NaN where no face was found; ``features`` of whole pictures with a judge."""
    from mien.toolbox import Seen, identity_of

    values = {part: np.full((len(files), *shape), np.nan) for part, shape in PARTS.items()}
    features = []
    for row, image in enumerate(_pictures(files)):
        face = next(iter(reader.read(image, str(files[row])).faces), None)
        if face is not None:
            for part in PARTS:
                if getattr(face, part) is not None:
                    values[part][row] = getattr(face, part)
            values["identity"][row] = identity_of(Seen(image, face), studio)[0]
        if face is not None and face.emotion is None:
            read = next(iter(studio.read(image).faces), None)
            if read is not None:
                values["emotion"][row] = read.emotion
        if judge is not None:
            features.append(picture_features(judge, image))
        told(1)
    return values | ({"features": np.concatenate(features)} if judge is not None else {})


def _pictures(files: Sequence[Path]) -> Iterator[Any]:
    from mien.faces.pictures import open_picture

    return (open_picture(path) for path in files)


def picture_features(judge: Any, image: Any) -> Floats:
    """The attribute judge's features [1, C] of a whole picture, PIL or uint8 [H, W, 3]."""
    import torch
    from PIL import Image

    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    pixels = np.asarray(picture.resize((96, 96), 3), np.float32)  # bicubic, antialiased by PIL
    with torch.no_grad():
        return judge.features(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1).double().numpy()


def _paired(a: Floats, b: Floats, distance: Distance, root: bool, draws: int) -> dict[str, Any]:
    """One metric over N pairs, with its interval and floor."""
    there = whole_rows(a) & whole_rows(b)
    rows = np.full(len(a), np.nan)
    if there.any():
        rows[there] = distance(a[there], b[there])
    weights = np.concatenate(
        [np.ones((1, len(a))), cluster_weights([np.arange(len(a))], draws, np.random.default_rng(0))]
    )
    level = weighted_means(np.square(rows) if root else rows, weights)
    level = np.sqrt(level) if root else level
    bounds = interval(level[1:]) if there.sum() > 1 else None
    return {
        "value": _number(level[0]),
        "low": None if bounds is None else bounds[0],
        "high": None if bounds is None else bounds[1],
        "n": int(there.sum()),
        "n_failed": int((~there).sum()),
        "floor": _floor(a[there], b[there], distance, root),
    }


def _floor(a: Floats, b: Floats, distance: Distance, root: bool) -> float | None:
    """The value when each output is held against every other reference."""
    if len(a) < 2:
        return None
    rows = np.concatenate([distance(np.roll(a, shift, 0), b) for shift in range(1, min(len(a), 200))])
    return float(np.sqrt(np.square(rows).mean()) if root else rows.mean())


def _sets(a: Floats, b: Floats) -> dict[str, dict[str, Any]]:
    """Distances of the two sets as wholes; ``n`` is the smaller set's size."""
    from mien.evaluation.metrics.distributions import Moments, frechet_distance, kernel_distance

    shared = {"low": None, "high": None, "n": min(len(a), len(b)), "n_failed": 0, "floor": None}
    return {
        "kid.studio": {"value": kernel_distance(a, b), **shared},
        "frechet.studio": {"value": frechet_distance(Moments.of(a), Moments.of(b)), **shared},
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
