"""The metrics on pictures made by any program: pairs of reference and output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.core.progress import Bar, silent
from mien.errors import BadInput
from mien.evaluation.judges import picture_features
from mien.evaluation.networks import Networks
from mien.evaluation.networks.load import Features
from mien.evaluation.pairing import Pairs
from mien.evaluation.readings.arrays import whole_rows
from mien.evaluation.readings.files import read_files, read_sets
from mien.evaluation.statistics.bootstrap import interval, resamples, weighted_means
from mien.media.pictures import as_picture
from mien.metrics import emotion, expression, identity, pose
from mien.metrics.declared import declared
from mien.metrics.parameters import parameter_distance

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from mien.faces.networks import JudgeAttributes
    from mien.faces.studio import StudioReader
    from mien.faces.types import FaceReader
    from mien.media.pictures import PictureLike

Floats = NDArray[np.float64]
Distance = Callable[[Floats, Floats], Floats]


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
}
"""Metric -> what is compared, the row-wise function, and whether the value is the root of the mean square."""

NAMED: Mapping[str, tuple[str, Distance, bool]] = {
    "identity": ("identity", identity.cosine, False),
    "valence": ("emotion", lambda a, b: np.asarray(b)[..., 0] - np.asarray(a)[..., 0], True),
    "arousal": ("emotion", lambda a, b: np.asarray(b)[..., 1] - np.asarray(a)[..., 1], True),
    "emotion_l2": ("emotion", _probabilities(emotion.distribution_distance), False),
    "emotion_rmse": ("emotion", _probabilities(emotion.distribution_distance, kind="rmse"), False),
    "emotion_accuracy": ("emotion", _probabilities(emotion.same_class), False),
    "expression_l2": ("expression_parameters", parameter_distance, False),
    "expression_rmse": ("expression_parameters", lambda a, b: parameter_distance(a, b, "rmse"), False),
    "rotation_l2": ("pose_parameters", parameter_distance, False),
    "rotation_rmse": ("pose_parameters", lambda a, b: parameter_distance(a, b, "rmse"), False),
}
"""The same of what several networks can tell: the name of the metric ends with the network's."""


def measures_of(networks: Networks) -> dict[str, tuple[str, Distance, bool]]:
    """All metrics, with the full names of what they compare (such as ``identity.arcface``)."""
    given = {"studio": ("identity", "emotion")} | {name: one.layout.parts for name, one in networks.faces.items()}
    return dict(MEASURES) | {
        f"{metric}.{name}": (f"{part}.{name}", distance, root)
        for name, parts in given.items()
        for metric, (part, distance, root) in NAMED.items()
        if part in parts
    }


def score(
    pairs: Pairs,
    reader: FaceReader,
    studio: StudioReader,
    judge: JudgeAttributes | None = None,
    networks: Networks | None = None,
    *,
    draws: int = 1000,
    bar: Bar = silent,
) -> dict[str, Any]:
    """Score outputs against their references.

    Args:
        pairs: N pairs of files.
        reader: reads landmarks, blendshapes and pose of both sides.
        studio: reads emotion and identity, which MediaPipe does not.
        judge: `JudgeAttributes`, whose features the set distances are taken in; None leaves them out.
        networks: of other groups, for metrics that carry their names.
        draws: resamples of the bootstrap over pairs, for 95 % intervals.
        bar: makes progress bars.

    Returns:
        ``{"pairs", "unpaired", "readers", "faces", "metrics": {name: {value, low, high, n, n_failed, floor, unit,
        better, minimum, enough}}}``. ``floor`` is the value of the same outputs against every other reference; a pair
        in which either picture shows no face counts in ``n_failed``. ``enough`` is False below the metric's minimum.

    Raises:
        BadInput: if a file is no picture.
    """
    networks = networks or Networks()
    features: dict[str, Features] = dict(networks.sets)
    if judge is not None:
        features["studio"] = partial(picture_features, judge)
    with bar(2 * len(pairs.reference), "reading") as advance:
        sides = [
            read_files(files, reader, studio, networks, features, advance)
            for files in (pairs.reference, pairs.generated)
        ]
    reference, generated = sides
    metrics = {
        name: _paired(reference[part], generated[part], distance, root, draws)
        for name, (part, distance, root) in measures_of(networks).items()
    }
    for name, network in networks.pairs.items():
        metrics[name.replace("-", ".")] = _pictures_apart(pairs, network, draws)
    if len(pairs.reference) > 1:
        for name in features:
            metrics |= _set_distances(name, *(side[f"features.{name}"] for side in sides))
    metrics = _declared(metrics)
    seen = {side: int(whole_rows(values["landmarks"]).sum()) for side, values in zip(_SIDES, sides, strict=True)}
    return {
        "pairs": len(pairs.reference),
        "unpaired": len(pairs.unpaired),
        "readers": {"landmarks, blendshapes, pose": reader.name, "emotion, identity": studio.name},
        "faces": seen,
        "metrics": metrics,
    }


def score_sets(
    reference: Sequence[PictureLike], generated: Sequence[PictureLike],
    features: Mapping[str, Features], bar: Bar = silent,
) -> dict[str, Any]:  # fmt: skip
    """Compare two sets of pictures as wholes, of any numbers and names: FID (or a Frechet distance) and KID.

    Args:
        reference: how pictures of this kind look.
        generated: those that are measured.
        features: name -> features [B, D] of B pictures; each metric carries the name of the network.
        bar: makes progress bars.

    Returns:
        ``{"reference", "generated", "metrics"}``: numbers of pictures, and metrics as `score` gives them.

    Raises:
        BadInput: if a side has fewer than two pictures, or a file is no picture.
    """
    if min(len(reference), len(generated)) < 2:
        raise BadInput("A set has at least two pictures.")
    with bar(len(reference) + len(generated), "reading") as advance:
        sides = [read_sets(files, features, advance) for files in (reference, generated)]
    metrics: dict[str, Any] = {}
    for name in features:
        metrics |= _set_distances(name, *(side[name] for side in sides))
    return {"reference": len(reference), "generated": len(generated), "metrics": _declared(metrics)}


def _declared(metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """With unit, direction and whether there are enough pictures."""
    for name, found in metrics.items():
        metric = declared(name)
        found |= {"unit": metric.unit, "better": metric.better, "minimum": metric.minimum}
        found["enough"] = found["n"] >= metric.minimum
    return metrics


_SIDES = ("reference", "generated")


def _paired(a: Floats, b: Floats, distance: Distance, root: bool, draws: int) -> dict[str, Any]:
    """One metric over N pairs, with its interval and floor."""
    there = whole_rows(a) & whole_rows(b)
    rows = np.full(len(a), np.nan)
    if there.any():
        rows[there] = distance(a[there], b[there])
    return _level(rows, root, draws) | {"floor": _floor(a[there], b[there], distance, root)}


def _level(rows: Floats, root: bool, draws: int) -> dict[str, Any]:
    """Mean (or root mean square) of N rows with its interval; NaN rows failed."""
    there = np.isfinite(rows)
    weights = resamples([np.arange(len(rows))], draws, np.random.default_rng(0))
    level = weighted_means(np.square(rows) if root else rows, weights)
    level = np.sqrt(level) if root else level
    bounds = interval(level[1:]) if there.sum() > 1 else None
    return {
        "value": _number(level[0]),
        "low": None if bounds is None else bounds[0],
        "high": None if bounds is None else bounds[1],
        "n": int(there.sum()),
        "n_failed": int((~there).sum()),
    }


def _pictures_apart(pairs: Pairs, network: Callable[[Any, Any], Any], draws: int) -> dict[str, Any]:
    """A distance of whole pictures over N pairs; its floor compares each output with the next reference."""
    a, b = pairs.reference, pairs.generated
    own = np.array([float(network(*_same_size(*map(as_picture, both)))) for both in zip(a, b, strict=True)])
    others = zip((*a[1:], a[0]), b, strict=True)
    floor = [float(network(*_same_size(*map(as_picture, both)))) for both in others] if len(a) > 1 else None
    return _level(own, False, draws) | {"floor": None if floor is None else float(np.mean(floor))}


def _same_size(reference: Image.Image, generated: Image.Image) -> tuple[Tensor, Tensor]:
    """Two PIL pictures as tensors [1, 3, H, W] in [-1, 1], the second resized to the first."""
    from mien.core.pixels import pictures_to_tensor

    return pictures_to_tensor([reference]), pictures_to_tensor([generated.resize(reference.size, 3)])


def _floor(a: Floats, b: Floats, distance: Distance, root: bool) -> float | None:
    """The value when each output is compared with every other reference."""
    if len(a) < 2:
        return None
    rows = np.concatenate([distance(np.roll(a, shift, 0), b) for shift in range(1, min(len(a), 200))])
    return float(np.sqrt(np.square(rows).mean()) if root else rows.mean())


def _set_distances(name: str, a: Floats, b: Floats) -> dict[str, dict[str, Any]]:
    """Distances of two sets as wholes in the features [N, D] of a network; ``n`` is the smaller set's size."""
    from mien.evaluation.statistics.scores import frechet_name
    from mien.metrics.distributions import Moments, frechet_distance, kernel_distance

    shared = {"low": None, "high": None, "n": min(len(a), len(b)), "n_failed": 0, "floor": None}
    return {
        f"kid.{name}": {"value": kernel_distance(a, b), **shared},
        f"{frechet_name(name)}.{name}": {"value": frechet_distance(Moments.of(a), Moments.of(b)), **shared},
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
