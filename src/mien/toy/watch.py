"""What is watched while the branch learns: a few wishes, always from the same noise, words and person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.demo.examples import Examples
from mien.faces.observed import largest_face
from mien.generation.conditioning import PipelineInputs, build_inputs, open_inputs
from mien.generation.generate import draw_requested
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from mien.pipelines.load import branch_kinds, picture_size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from mien.faces.types import Face
    from mien.pipelines.portrait import PortraitPipeline

WISHES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("left", {"yaw": 30.0}),
    ("right", {"yaw": -30.0}),
    ("up", {"pitch": 16.0}),
    ("down", {"pitch": -16.0}),
    ("tilted", {"roll": 18.0}),
    ("mouth open", {"blendshapes": {"jawOpen": 0.9}}),
)
"""(label, what the request holds); each of another person of the examples."""
SEED = 1


@dataclass(frozen=True, eq=False)
class Look:
    """What a branch draws of the wishes.

    Attributes:
        images: a picture a wish.
        pose_error: root mean square difference of yaw, pitch and roll to the wish, degrees; None without any face.
        point_error: mean distance of the 478 points to where they were wanted, pixels; likewise.
        faces: in how many pictures a face is found.
    """

    images: list[Image.Image]
    pose_error: float | None
    point_error: float | None
    faces: int

    def numbers(self) -> dict[str, float | int | None]:
        """Everything but the pictures, as JSON values."""
        return {"pose_error": self.pose_error, "point_error": self.point_error, "faces": self.faces}


@dataclass(eq=False)
class Watch:
    """Draws the wishes again and again.

    Attributes:
        tools: readers.
        pipeline: whose landmarks branch is looked at.
        steps: denoising steps.
    """

    tools: FaceTools
    pipeline: PortraitPipeline
    steps: int | None = None
    requests: list[GenerateRequest] = field(init=False)
    steerings: list[PipelineInputs] = field(init=False)

    def __post_init__(self) -> None:
        people = Examples.load().people
        options = {"seed": SEED, "steps": self.steps, "speed": "fast", "reader": self.tools.reader_name}
        self.requests = [
            GenerateRequest.checked(identity=people[row % len(people)].path, **options, **wish)
            for row, (_, wish) in enumerate(WISHES)
        ]
        place = self.tools, picture_size(self.pipeline), branch_kinds(self.pipeline)
        self.steerings = [build_inputs(request, open_inputs(request), *place) for request in self.requests]

    @property
    def wanted(self) -> list[Image.Image]:
        """The landmark pictures."""
        from PIL import Image

        return [Image.fromarray(one.landmark_image) for one in self.steerings if one.landmark_image is not None]

    def look(self, *, without: bool = False) -> Look:
        """Draw the wishes with the branch that the pipeline has now, and read what came out.

        Args:
            without: leave the branch out.
        """
        request = self.requests[0].model_copy(update={"scales": {"landmarks": 0.0}} if without else {})
        images = draw_requested(self.pipeline, request, self.steerings, [SEED] * len(self.steerings))
        faces = [largest_face(self.tools, image) for image in images]
        rows = zip(self.requests, self.steerings, faces, strict=True)
        found = [(request, steering, face) for request, steering, face in rows if face is not None]
        angles = [_angles(request, face) for request, _, face in found]
        points = [_distance(steering.landmarks, face.landmarks) for _, steering, face in found]
        return Look(
            images,
            round(float(np.sqrt(np.mean(np.square(angles)))), 2) if angles else None,
            round(float(np.mean(points)), 2) if points else None,
            len(found),
        )


def _angles(request: GenerateRequest, face: Face) -> Sequence[float]:
    """Differences of a face's angles to the wish, [3] degrees."""
    assert face.pose is not None  # every reader that the toy takes tells it
    wish = (request.yaw or 0.0, request.pitch or 0.0, request.roll or 0.0)
    return [seen - wanted for seen, wanted in zip(face.pose, wish, strict=True)]


def _distance(wanted: NDArray[np.float32] | None, seen: NDArray[np.float32] | None) -> float:
    assert wanted is not None and seen is not None
    return float(np.linalg.norm(wanted[:, :2] - seen[:, :2], axis=1).mean())
