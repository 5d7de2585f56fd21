"""What is measured about expression, pose and emotion: each a distance between an output and a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.control.scene import Pair, Subject
from mien.evaluation.readings.arrays import Readings, whole_rows
from mien.faces.linear.emotions import emotion_of
from mien.metrics.emotion import distribution_distance
from mien.metrics.expression import coefficient_distance, exp_distance, lms_distance
from mien.metrics.parameters import parameter_distance
from mien.metrics.pose import pose_error

Values: TypeAlias = NDArray[np.floating]
Distance = Callable[[Values, Values], NDArray[np.float64]]
Among = Literal["person", "target"]


@dataclass(frozen=True)
class Measure:
    """A distance.

    Attributes:
        name: its name in the report.
        part: what it compares, a name in `Readings`.
        distance: (target [...], outputs [N, ...]) -> [N]; lower is better.
        meaning: one sentence.
        driven: compared with the renderer's own values instead of the same reader's reading of the target.
        squared: the level is the root of the mean square.
    """

    name: str
    part: str
    distance: Distance
    meaning: str
    driven: bool = False
    squared: bool = False


@dataclass(frozen=True, eq=False)
class Distances:
    """A measure's rows, one a pair; NaN where no face was found.

    Attributes:
        model: the output against its own target.
        oracle: the exact render against the same target.
        shuffled: the output against every other target, on average: what permuted targets give.
    """

    model: NDArray[np.float64]
    oracle: NDArray[np.float64]
    shuffled: NDArray[np.float64]


def measures(readers: Sequence[str], targets: Readings) -> list[Measure]:
    """All measures for which there is a reading.

    Args:
        readers: names of readers.
        targets: readings of the targets.
    """
    found = []
    for reader in readers:
        found += [
            Measure(f"{reader}.exp", f"{reader}.blendshapes", exp_distance,
                    f"Mean difference of 52 blendshapes, read by {reader} (EmojiDiff's Exp)."),
            Measure(f"{reader}.lms", f"{reader}.landmarks", lms_distance,
                    f"Difference of five ratios of eyes, pupils and mouth, read by {reader} (EmojiDiff's LMS)."),
            *(Measure(f"{reader}.{name}", f"{reader}.pose", _angle(axis),
                      f"Root mean square error of {name} in degrees, both pictures read by {reader}.", squared=True)
              for axis, name in enumerate(("yaw", "pitch", "roll"))),
        ]  # fmt: skip
    found += [
        Measure("judge.coefficients", "judge.coefficients", coefficient_distance,
                "Mean difference of the driven coefficients that the face judge can read.", driven=True),
        Measure("judge.gaze", "judge.gaze", gaze_angles,
                "Root mean square error in degrees over the gaze judge's two angles against the driven ones.",
                driven=True, squared=True),
        *(Measure(f"judge.{name}", "judge.pose", _angle(axis),
                  f"Root mean square error in degrees of the judge's {name} against the driven one.",
                  driven=True, squared=True)
          for axis, name in enumerate(("yaw", "pitch", "roll"))),
        Measure("judge.pose", "judge.pose", angles,
                "Root mean square error in degrees over the judge's three angles (Pose-RMSE).",
                driven=True, squared=True),
        Measure("judge.valence", "judge.emotion", _entry(0),
                "Root mean square error of the judge's valence (V-RMSE).", driven=True, squared=True),
        Measure("judge.arousal", "judge.emotion", _entry(1),
                "Root mean square error of the judge's arousal (A-RMSE).", driven=True, squared=True),
        Measure("judge.emotion_l2", "judge.emotion", _probabilities,
                "Norm of the difference of the judge's eight probabilities (Dist-RMSE; inferred).", driven=True),
        Measure("judge.emotion_class", "judge.emotion", other_class,
                "Share of outputs in which the judge sees another of the eight emotions.", driven=True),
    ]  # fmt: skip
    found += [one for part in targets.values for one in _of_network(*part.partition(".")[::2])]
    return [one for one in found if one.part in targets.values and (one.driven or np.isfinite(targets[one.part]).any())]


def _of_network(part: str, name: str) -> list[Measure]:
    """FaceCrafter's measures of what a published network reads (part), both pictures read by it."""
    if part == "emotion":
        return [
            Measure(f"{name}.valence", f"{part}.{name}", _entry(0), f"V-RMSE, read by {name}.", squared=True),
            Measure(f"{name}.arousal", f"{part}.{name}", _entry(1), f"A-RMSE, read by {name}.", squared=True),
            Measure(f"{name}.emotion_l2", f"{part}.{name}", _probabilities,
                    f"Norm of the difference of the eight probabilities, read by {name} (Dist-RMSE; inferred)."),
            Measure(f"{name}.emotion_class", f"{part}.{name}", other_class,
                    f"Share of outputs in which {name} sees another of the eight emotions."),
        ]  # fmt: skip
    of = {"expression_parameters": "50 FLAME expression coefficients (Exp-RMSE; inferred)",
          "pose_parameters": "the head's rotation, axis-angle in radians (Pose-RMSE; inferred)"}  # fmt: skip
    if part not in of:
        return []
    return [Measure(f"{name}.{part}", f"{part}.{name}", parameter_distance, f"Norm of the difference of {of[part]}.")]


def driven_values(subjects: Sequence[Subject], seen: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Coefficients, pose, gaze and emotion given to the renderer, under the names of the judge's readings, [T, ...].

    Args:
        subjects: T planned pictures.
        seen: indices of the coefficients that the face judge can read.
    """
    pictures = [subject.picture for subject in subjects]
    coefficients = np.array([picture.expression.coefficients for picture in pictures], np.float64)
    return {
        "judge.coefficients": coefficients[:, list(seen)] if len(pictures) else coefficients,
        "judge.gaze": np.array([picture.expression.gaze for picture in pictures], np.float64),
        "judge.pose": np.array([picture.pose for picture in pictures], np.float64),
        "judge.emotion": np.array([emotion_of(picture.expression).vector() for picture in pictures], np.float64),
    }


def distances(
    measure: Measure, outputs: Readings, exact: Readings, targets: Values, pairs: Sequence[Pair]
) -> Distances:
    """Score outputs [N] and exact renders [N] against targets [T].

    Args:
        measure: what to score.
        outputs: readings of the model's pictures, a row a pair.
        exact: readings of the exact renders, a row a pair.
        targets: the value each target should have, [T, ...]; NaN where it could not be read.
        pairs: N pairs.
    """
    own = np.array([pair.target for pair in pairs])
    rows = np.arange(len(pairs))
    table = np.stack([_distance(measure, target, outputs[measure.part]) for target in targets], 1)
    model = table[rows, own].copy()
    table[rows, own] = np.nan
    oracle = np.concatenate(
        [_distance(measure, targets[pair.target], exact[measure.part][row : row + 1]) for row, pair in enumerate(pairs)]
    )
    return Distances(model, oracle, _means(table))


def nearness(
    measure: Measure, outputs: Readings, exact: Readings, pairs: Sequence[Pair], among: Among = "person"
) -> Distances:
    """Score outputs [N] against their own exact renders.

    What a reader gets wrong about a person it gets wrong in the exact render too. A picture may be nearer to a target's
    reading than its exact render is, by drawing less of the person or by luck; it cannot be nearer to the render.

    Args:
        measure: what to score.
        outputs: see `distances`.
        exact: the same.
        pairs: the same.
        among: ``shuffled`` is against the same person's other exact renders, or against those of other people under
            the same target, where the measure is of the identity.
    """
    model, shuffled = (np.full(len(pairs), np.nan) for _ in range(2))
    for rows in rows_among(pairs, among):
        seen = outputs[measure.part][rows]
        table = np.stack([_distance(measure, target, seen) for target in exact[measure.part][rows]], 1)
        model[rows] = table.diagonal()
        np.fill_diagonal(table, np.nan)
        shuffled[rows] = _means(table)
    return Distances(model, np.where(np.isfinite(model), 0.0, np.nan), shuffled)


def rows_among(pairs: Sequence[Pair], among: Among) -> list[NDArray[np.intp]]:
    """Rows of the pairs that share a person, or a target."""
    labels = np.array([getattr(pair, among) for pair in pairs])
    return [np.nonzero(labels == label)[0] for label in np.unique(labels)]


def _means(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of what is there in each row [N, T]; NaN where nothing is."""
    there = np.isfinite(table)
    with np.errstate(invalid="ignore"):
        return np.where(there, table, 0.0).sum(1) / there.sum(1)


def _distance(measure: Measure, target: Values, seen: Values) -> NDArray[np.float64]:
    """Distances [N], squared where the level is a root; NaN for NaN on either side."""
    there = whole_rows(seen) & bool(np.isfinite(target).all())
    found = np.full(len(seen), np.nan)
    if there.any():
        values = np.asarray(measure.distance(target, seen[there]), np.float64)
        found[there] = values**2 if measure.squared else values
    return found


def _angle(axis: int) -> Distance:
    return lambda target, seen: np.abs(pose_error(target, seen)[..., axis])


def angles(target: Values, seen: Values) -> NDArray[np.float64]:
    """Root mean square [N] over the three angles of the difference of poses [..., 3] in degrees."""
    return np.sqrt(np.square(pose_error(target, seen)).mean(-1))


def gaze_angles(target: Values, seen: Values) -> NDArray[np.float64]:
    """Root mean square [N] over the two angles of the difference of gazes [..., 2] in degrees."""
    return np.sqrt(np.square(seen - target).mean(-1))


def _entry(index: int) -> Distance:
    return lambda target, seen: np.abs(seen[..., index] - target[..., index])


def _probabilities(target: Values, seen: Values) -> NDArray[np.float64]:
    return distribution_distance(target[..., 2:], seen[..., 2:])


def other_class(target: Values, seen: Values) -> NDArray[np.float64]:
    """1 where the most likely of the eight emotions of [..., 10] differs, else 0."""
    return (seen[..., 2:].argmax(-1) != target[..., 2:].argmax(-1)).astype(np.float64)
