"""The toy's training set: people whom the embedded model draws and whose landmarks are read in the pictures.

The studio's renderer needs the morphable model, which does not ship; the embedded model draws in few steps instead.
What is written is a set as `mien studio render` writes it, so that training cannot tell the difference; its labels are
what the reader sees, not exact ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.core.progress import Advance
from mien.data.schema import Sample
from mien.data.shards import Entry, ShardWriter, shard_name
from mien.faces.drawing import draw_landmarks
from mien.faces.linear.face import LinearFace
from mien.faces.observed import DetectedFace, largest_face
from mien.generation.conditioning import PipelineInputs, run_pipeline
from mien.generation.tools import FaceTools
from mien.models import ID_PROMPT
from mien.studio.captions import caption
from mien.studio.person import Person, sample_person
from mien.studio.plans import plan_scene
from mien.studio.scene import Scene, attributes, sample_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from mien.faces.types import Face
    from mien.pipelines.portrait import PortraitPipeline

FIRST_PERSON = 870_000
"""Seed of the first person; nobody else begins there."""
PEOPLE_A_SHARD = 8
BATCH = 16
"""Pictures that go through the model together."""
TURNS = (35.0, 18.0, 15.0)
"""Largest yaw, pitch and roll, degrees: wider than in the studio's sets, so that few pictures tell what points mean."""
SHAPE_STD = 0.8
"""Standard deviation of the drawn people's shape on the linear face; 1 is that of the scans (*inferred*)."""


def draw_dataset(
    folder: Path,
    people: int,
    per_person: int,
    pipeline: PortraitPipeline,
    tools: FaceTools,
    on_pictures: Callable[[int], object] = lambda count: None,
) -> None:
    """Draw a training set into a folder; the same call continues an interrupted one.

    Args:
        folder: for `shard-00000.tar` and so on.
        people: how many.
        per_person: pictures of each, at least 2.
        pipeline: the embedded model, with weights for few steps.
        tools: readers whose faces have coefficients and a mask: the studio's.
        on_pictures: called with the number of pictures done.
    """
    for shard, first in enumerate(range(0, people, PEOPLE_A_SHARD)):
        path, count = folder / shard_name(shard), min(PEOPLE_A_SHARD, people - first)
        if path.exists():
            on_pictures(count * per_person)
            continue
        seeds = [FIRST_PERSON + first + index for index in range(count)]
        with ShardWriter(path) as writer:
            for entry in _draw_people(seeds, per_person, pipeline, tools, on_pictures):
                writer.write(entry)


def _draw_people(
    seeds: Sequence[int],
    per_person: int,
    pipeline: PortraitPipeline,
    tools: FaceTools,
    advance: Advance,
) -> list[Entry]:
    """Entries of some people, those without a face left out.

    The first picture of each is drawn from words alone and says who it is; the others are of that identity.
    """
    found: list[Entry] = []
    identities: dict[int, Any] = {}
    people = [sample_person(seed) for seed in seeds]
    first = [(person, 0, planned(person, 0)) for person in people]
    others = [(person, n, planned(person, n)) for person in people for n in range(1, per_person)]
    for wanted in (first, others):
        for start in range(0, len(wanted), BATCH):
            plans = [plan for plan in wanted[start : start + BATCH] if wanted is first or plan[0].seed in identities]
            rows = [steering(*plan, identities.get(plan[0].seed)) for plan in plans]
            for plan, row, image in zip(plans, rows, _draw(pipeline, rows, plans), strict=True):
                face = largest_face(tools, image)
                if face is not None:
                    found.append(entry(*plan, str(row.prompt).removeprefix(f"{ID_PROMPT}, "), image, face))
                    if wanted is first:
                        identities[plan[0].seed] = tools.embed(DetectedFace(image, face))[0]
            advance(len(wanted[start : start + BATCH]))
    return found


def planned(person: Person, number: int) -> Scene:
    """Scene ``number`` of a person: the first nearly frontal and at rest, the others turned at random."""
    if number == 0:
        return plan_scene(person, 0)
    yaw, pitch, roll = np.random.default_rng([number, person.seed]).uniform(-1, 1, 3) * TURNS
    return replace(sample_scene(number, person), pose=(float(yaw), float(pitch), float(roll)))


def _draw(
    pipeline: PortraitPipeline, rows: Sequence[PipelineInputs], plans: Sequence[tuple[Person, int, Scene]]
) -> list[Image.Image]:
    """Each picture with noise of its own, in few steps."""
    seeds = [person.seed * 1000 + number for person, number, _ in plans]
    return run_pipeline(pipeline, rows, seeds, speed="few") if rows else []


def steering(
    person: Person, number: int, picture: Scene, identity: NDArray[np.float32] | None = None
) -> PipelineInputs:
    """What a picture of a studio person is drawn from: words, a landmark picture, and the identity if it is known."""
    rng = np.random.default_rng([person.seed, number])
    face_shape = SHAPE_STD * np.random.default_rng(person.seed).normal(size=LinearFace.load().shapes)
    state = picture.expression
    points = LinearFace.load().landmarks(state.coefficients, picture.pose, state.gaze, face_shape)
    words = caption(person, picture, rng)
    return PipelineInputs(
        prompt=words if identity is None else f"{ID_PROMPT}, {words}",
        identity=identity,
        landmark_image=draw_landmarks(points, 128),
    )


def entry(person: Person, number: int, picture: Scene, words: str, image: Image.Image, face: Face) -> Entry:
    """A drawn picture with what the reader saw in it; its attributes are those that were asked for."""
    valence, arousal, *probabilities = np.zeros(10) if face.emotion is None else face.emotion
    sample = Sample.checked(
        person=person.seed,
        picture=number,
        caption=words,
        coefficients=_listed(face.coefficients, 0.0),
        gaze=(0.0, 0.0),
        flush=0.0,
        pose=face.pose or picture.pose,
        landmarks=_listed(face.landmarks),
        emotion={
            "probabilities": _listed(probabilities, 0.0),
            "valence": float(np.clip(valence, -1, 1)),
            "arousal": float(np.clip(arousal, -1, 1)),
        },
        attributes=attributes(person, picture),
    )
    return Entry(np.asarray(image.convert("RGB")), face.mask, sample)


def _listed(values: Any, least: float | None = None) -> list[Any]:
    """Plain numbers; those that have a least value are shares, and end at 1."""
    found = np.asarray(values, np.float64)
    return np.round(found if least is None else found.clip(least, 1.0), 3).tolist()
