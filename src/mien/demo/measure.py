"""Numbers of the demo: how near each picture came to what was asked, beside the same numbers for shuffled targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.demo.plan import Cell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.faces.types import Face


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was read in one output.

    Attributes:
        face: the face, or None if none was found.
        identity: its embedding [512], or None.
        target: the face of the expression picture, in section "expression".
    """

    face: Face | None
    identity: NDArray[np.float32] | None
    target: Face | None


@dataclass(frozen=True)
class Metric:
    """One line of the table.

    Attributes:
        name: its name in metrics.json.
        title: its name on the page.
        value: mean over the pictures; None if nothing could be measured.
        baseline: the same outputs against other targets: what no control would give. None where there is none.
        unit: such as "degrees", or empty.
        better: "lower" or "higher".
        meaning: one sentence.
        pictures: number of pictures it was taken over.
    """

    name: str
    title: str
    value: float | None
    baseline: float | None
    unit: str
    better: str
    meaning: str
    pictures: int

    @property
    def control(self) -> float | None:
        """How far the value went from the baseline to perfect, 0 to 1; None for a measure without a baseline."""
        if self.value is None or self.baseline is None:
            return None
        perfect = 0.0 if self.better == "lower" else 1.0
        span = self.baseline - perfect
        return max(0.0, min(1.0, (self.baseline - self.value) / span)) if span else None


def table(
    cells: Sequence[Cell], outcomes: Sequence[Outcome], people: NDArray[np.float32], order: Sequence[str]
) -> list[Metric]:
    """The demo's table.

    Args:
        cells: what was asked for.
        outcomes: what was read, in the same order.
        people: identity embeddings [P, 512] of the people's own pictures.
        order: the people's names, in the order of ``people``.
    """
    from mien.metrics.expression import exp_distance, lms_distance

    found = [(cell, outcome) for cell, outcome in zip(cells, outcomes, strict=True) if outcome.face is not None]
    expressions = [(cell, outcome) for cell, outcome in found if cell.section == "expression" and outcome.target]
    lines = [
        Metric(
            "faces", "Faces found", len(found) / len(cells), None, "", "higher",
            "Share of all pictures in which the reader finds a face.", len(cells),
        ),
        _against_templates(
            "exp", "Exp", expressions, lambda face: face.blendshapes, exp_distance,
            "Mean difference of 52 blendshapes between the template and the picture (EmojiDiff).",
        ),
        _against_templates(
            "lms", "LMS", expressions, lambda face: face.landmarks, lms_distance,
            "Difference of five ratios of eyes, pupils and mouth (EmojiDiff).",
        ),
        _pose([(cell.pose, one.face.pose[:2]) for cell, one in found if cell.pose and one.face and one.face.pose]),
        *_identity([(cell.person.name, o.identity) for cell, o in found if o.identity is not None], people, order),
    ]  # fmt: skip
    return lines


def cell_numbers(cell: Cell, outcome: Outcome, own: NDArray[np.float32]) -> dict[str, float | None]:
    """The numbers of one picture; None where a measure does not apply or no face was found."""
    from mien.metrics.expression import exp_distance, lms_distance
    from mien.metrics.identity import cosine

    face, target = outcome.face, outcome.target
    numbers: dict[str, float | None] = dict.fromkeys(("exp", "lms", "yaw_error", "pitch_error", "identity"))
    if face is None:
        return numbers
    if target is not None and face.blendshapes is not None and target.blendshapes is not None:
        numbers["exp"] = float(exp_distance(target.blendshapes, face.blendshapes))
    if target is not None and face.landmarks is not None and target.landmarks is not None:
        numbers["lms"] = float(lms_distance(target.landmarks, face.landmarks))
    if cell.pose is not None and face.pose is not None:
        numbers["yaw_error"] = face.pose[0] - cell.pose[0]
        numbers["pitch_error"] = face.pose[1] - cell.pose[1]
    if outcome.identity is not None:
        numbers["identity"] = float(cosine(own, outcome.identity))
    return {name: None if value is None else round(value, 4) for name, value in numbers.items()}


def _against_templates(
    name: str,
    title: str,
    found: Sequence[tuple[Cell, Outcome]],
    part: Callable[[Face], Any],
    distance: Callable[[Any, Any], Any],
    meaning: str,
) -> Metric:
    """Mean distance of each output to its own template, and to every other template of the demo."""
    import numpy as np

    targets = {cell.column: part(outcome.target) for cell, outcome in found if outcome.target is not None}
    own, others = [], []
    for cell, outcome in found:
        seen = part(outcome.face) if outcome.face is not None else None
        for column, target in targets.items():
            if seen is not None and target is not None:
                (own if column == cell.column else others).append(float(distance(target, seen)))
    value, baseline = (float(np.mean(values)) if values else None for values in (own, others))
    return Metric(name, title, value, baseline, "", "lower", meaning, len(own))


def _pose(found: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> Metric:
    """Root mean square error of (wanted, seen) yaw and pitch; the baseline is every output against every wish."""
    import numpy as np

    value = baseline = None
    if found:
        wanted, seen = np.array(found).swapaxes(0, 1)
        value = float(np.sqrt(np.mean((seen - wanted) ** 2)))
        baseline = float(np.sqrt(np.mean((seen[:, None] - wanted[None]) ** 2)))
    meaning = "Root mean square difference of yaw and pitch between the wanted angles and the picture."
    return Metric("pose_error", "Pose error", value, baseline, "degrees", "lower", meaning, len(found))


def _identity(
    found: Sequence[tuple[str, NDArray[np.float32]]], people: NDArray[np.float32], order: Sequence[str]
) -> list[Metric]:
    """Likeness of (person, embedding of an output) to the right person and to the others."""
    import numpy as np

    own, others, first = [], [], []
    for name, embedding in found:
        similarity = people @ embedding
        right = order.index(name)
        own.append(float(similarity[right]))
        others += [float(value) for index, value in enumerate(similarity) if index != right]
        first.append(float(similarity.argmax() == right))
    value, baseline, share = (float(np.mean(values)) if values else None for values in (own, others, first))
    chance = 1 / len(people) if len(people) else None
    likeness = "Cosine of face embeddings between the person's picture and the output."
    right_first = "Share of outputs that look more like their own person than like any other of the demo."
    return [
        Metric("identity", "Identity", value, baseline, "", "higher", likeness, len(own)),
        Metric("identity_top1", "Right person first", share, chance, "", "higher", right_first, len(own)),
    ]
