"""How a template is made: restruct and swap (EmojiDiff), or the studio's exact answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.data.idi.draw import drawn
from mien.data.idi.filters import Read
from mien.data.idi.swappers import Swapper
from mien.data.schema import Sample
from mien.errors import BadInput
from mien.faces.observed import DetectedFace, largest_face
from mien.generation.tools import FaceTools

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline
    from mien.studio.renderer import Renderer
    from mien.studio.scene import Scene


Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Job:
    """One attempt.

    Attributes:
        target: E, read.
        sample: its record.
        second: embedding [512] of whom the restruct picture shows.
        third: embedding [512] of whom the template is to show.
        third_sample: record of the third person's picture.
        seed: of the noise.
    """

    target: Read
    sample: Sample
    second: NDArray[np.float32]
    third: NDArray[np.float32]
    third_sample: Sample
    seed: int


class TemplateMaker(Protocol):
    """Makes templates."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def make(self, jobs: Sequence[Job]) -> list[Picture]:
        """A picture uint8 [H, W, 3] of each job's third person with its target's expression."""
        ...


@dataclass(frozen=True, eq=False)
class Iterated:
    """EmojiDiff's way (*inferred*): the base E-Adapter redraws E under a second identity, then a swap onto a third.

    Attributes:
        pipeline: a `PortraitPipeline` with the expression branch.
        tools: what reads faces.
        swapper: the second half.
        conditions: see `PairsRequest`.
        options: further arguments of the pipeline: steps, scales, guidance.
    """

    pipeline: PortraitPipeline
    tools: FaceTools
    swapper: Swapper
    conditions: Sequence[str] = ("expression",)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The swapper's."""
        return self.swapper.name

    def make(self, jobs: Sequence[Job]) -> list[Picture]:
        """See the protocol; a restruct picture without a face comes back as it is, for the filters to refuse."""
        shown = [DetectedFace(Image.fromarray(job.target.image), job.target.face) for job in jobs if job.target.face]
        assert len(shown) == len(jobs), "attempts are made for targets with a face only"
        restruct = drawn(
            self.pipeline, self.tools, shown, np.stack([job.second for job in jobs]), [job.seed for job in jobs],
            self.conditions, self.options,
        )  # fmt: skip
        pictures = [np.asarray(image) for image in restruct]
        faces = [largest_face(self.tools, image) for image in restruct]
        rows = [row for row, face in enumerate(faces) if face is not None]
        if rows:
            seen = [DetectedFace(restruct[row], face) for row, face in enumerate(faces) if face is not None]
            third = np.stack([jobs[row].third for row in rows])
            swapped = self.swapper.swap(seen, third, [jobs[row].seed + 1 for row in rows])
            for row, image in zip(rows, swapped, strict=True):
                pictures[row] = np.asarray(image)
        return pictures


@dataclass(frozen=True, eq=False)
class Oracle:
    """The studio's exact render of the third person with E's expression and pose; what the others are measured by.

    Attributes:
        renderer: of pictures as large as the portraits.
    """

    renderer: Renderer
    name: str = "oracle"

    def make(self, jobs: Sequence[Job]) -> list[Picture]:
        """See the protocol.

        Raises:
            BadInput: if the data set was not made by the studio.
        """
        from mien.studio.person import sample_person
        from mien.studio.plans import plan_scene

        found = []
        for job in jobs:
            own, person = self.planned(job.sample), sample_person(job.third_sample.person)
            picture = plan_scene(person, job.third_sample.picture)
            found.append(self.renderer.render(person, picture.showing(own)).image)
        return found

    def planned(self, sample: Sample) -> Scene:
        """The picture that the studio planned for a portrait.

        Raises:
            BadInput: if it was not the studio that made it.
        """
        from mien.studio.person import sample_person
        from mien.studio.plans import plan_scene

        own = plan_scene(sample_person(sample.person), sample.picture)
        if sample.coefficients is None or not np.allclose(own.expression.coefficients, sample.coefficients, atol=1e-6):
            raise BadInput(f"The portrait {sample.key} is no render of this studio, so there is no exact answer.")
        return own
