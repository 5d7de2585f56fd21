"""Rendering a data set: people x pictures into shards, by any number of processes, resumable by the same command."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mien.core.io import sha256_of
from mien.core.progress import Bar, silent
from mien.core.stages.execute import execute
from mien.core.stages.stage import Process, Stage
from mien.core.stages.trial import Trial, sample_of
from mien.data.rendering.request import DatasetRequest, claim_folder
from mien.data.schema import Sample, Template, rounded, sample_key
from mien.data.shards import Entry, ShardWriter, shard_name
from mien.faces.linear.emotions import emotion_of
from mien.studio.captions import caption
from mien.studio.person import Person, sample_person
from mien.studio.plans import PHOTO_LIKE, plan_portrait, plan_scene
from mien.studio.scene import Scene, attributes, sample_scene

if TYPE_CHECKING:
    from mien.faces.mediapipe import MediaPipeReader
    from mien.studio.renderer import Render, Renderer

log = logging.getLogger(__name__)

_CAPTION_SALT = 0x63617074
_TEMPLATE_SALT = 0x74656D70
_FIRST_TEMPLATE, _TEMPLATE_PEOPLE = 5_000_000, 1_000_000
"""People who show others' expressions: seeds that no data set and no benchmark begins with."""


@dataclass(frozen=True, eq=False)
class RenderTools:
    """What one process renders with.

    Attributes:
        renderer: draws.
        reader: reads each picture; None where the data set is to have no readings.
    """

    renderer: Renderer
    reader: MediaPipeReader | None


def open_tools(request: DatasetRequest, kit: Path | None) -> RenderTools:
    """Open the renderer and, where the request reads, MediaPipe."""
    from mien.studio.kit import FaceKit
    from mien.studio.renderer import Renderer

    reader = None
    if request.read:
        from mien.faces.mediapipe import MediaPipeReader

        reader = MediaPipeReader(max_faces=1)
    return RenderTools(Renderer(FaceKit.load(kit), size=request.size), reader)


def _reading(reader: MediaPipeReader | None, image: np.ndarray) -> dict[str, Any]:
    faces = reader.read(image).faces if reader else ()
    if not faces:
        return {"landmarks_mediapipe": None, "blendshapes_mediapipe": None, "pose_mediapipe": None}
    face = faces[0]
    return {
        "landmarks_mediapipe": rounded(face.landmarks, 2),
        "blendshapes_mediapipe": rounded(face.blendshapes, 4),
        "pose_mediapipe": rounded(face.pose, 2),
    }


def make_sample(person: Person, number: int, picture: Scene, render: Render, reader: MediaPipeReader | None) -> Sample:
    """The record of a render; ``number`` is the picture's among the person's."""
    emotion = emotion_of(picture.expression)
    rng = np.random.default_rng([number, _CAPTION_SALT, person.seed])
    return Sample.checked(
        person=person.seed,
        picture=number,
        caption=caption(person, picture, rng),
        coefficients=list(picture.expression.coefficients),
        gaze=picture.expression.gaze,
        flush=picture.expression.flush,
        pose=rounded(picture.pose, 3),
        landmarks=rounded(render.landmarks, 2),
        **_reading(reader, render.image),
        emotion={
            "probabilities": list(emotion.probabilities),
            "valence": emotion.valence,
            "arousal": emotion.arousal,
        },
        attributes=attributes(person, picture),
    )


def render_template(person: Person, number: int, picture: Scene, tools: RenderTools) -> tuple[np.ndarray, Template]:
    """The expression and pose of a picture on another person, in a picture of that person's own."""
    rng = np.random.default_rng([number, _TEMPLATE_SALT, person.seed])
    other = sample_person(_FIRST_TEMPLATE + int(rng.integers(_TEMPLATE_PEOPLE)))
    own = sample_scene(int(rng.integers(PHOTO_LIKE, 1000)), other)
    render = tools.renderer.render(other, own.showing(picture))
    read = _reading(tools.reader, render.image)["landmarks_mediapipe"]
    landmarks = rounded(render.landmarks, 2) if read is None else read
    return render.image, Template(source="oracle", person=other.seed, landmarks=landmarks)


def render_picture(request: DatasetRequest, person: Person, number: int, tools: RenderTools) -> Entry:
    """A picture of a person with its record."""
    picture = (plan_portrait if request.portraits else plan_scene)(person, number)
    render = tools.renderer.render(person, picture)
    sample, shown = make_sample(person, number, picture, render, tools.reader), None
    if request.templates:
        shown, template = render_template(person, number, picture, tools)
        sample = sample.model_copy(update={"template": template})
    return Entry(render.image, render.mask, sample, shown, render.matte)


def render_shard(
    request: DatasetRequest, shard: int, folder: Path, tools: RenderTools, trial: Trial | None = None
) -> None:
    """Render one shard to its final name, without the pictures that the trial says have failed too often."""
    with ShardWriter(folder / shard_name(shard)) as writer:
        for seed in request.seeds(shard):
            person = sample_person(seed)
            for number in request.numbers:
                with sample_of(trial, sample_key(seed, number)) as wanted:
                    entry = render_picture(request, person, number, tools) if wanted else None
                if entry is not None:
                    writer.write(entry)
            if trial:
                trial.advance(len(request.numbers))


@dataclass
class RenderStage(Stage):
    """The shards of a data set.

    Attributes:
        folder: of the data set.
        request: what it consists of.
        kit: the face kit's file; None takes `MIEN_FACEKIT`.
    """

    name: ClassVar[str] = "rendering"

    folder: Path
    request: DatasetRequest
    kit: Path | None

    @property
    def count(self) -> int:
        """Of shards."""
        return self.request.shards

    def inputs(self) -> Sequence[Path]:
        """The face kit."""
        return () if self.kit is None else (self.kit,)

    def outputs(self, task: int) -> Sequence[Path]:
        """The shard."""
        return (self.folder / shard_name(task),)

    def size(self, task: int) -> int:
        """Pictures of a shard."""
        return len(self.request.seeds(task)) * len(self.request.numbers)

    def setup(self) -> Process:
        """Open what renders shards in this process."""
        tools = open_tools(self.request, self.kit)
        return lambda task, trial: render_shard(self.request, task, self.folder, tools, trial)


def can_read() -> bool:
    """Whether MediaPipe and its model are at hand."""
    from importlib.util import find_spec

    from mien.errors import MissingAsset
    from mien.faces.mediapipe import find_model

    try:
        find_model()
    except MissingAsset:
        return False
    return find_spec("mediapipe") is not None


def render_dataset(
    people: int,
    per_person: int,
    out: Path | str,
    first_seed: int = 0,
    workers: int | None = None,
    read: bool | None = None,
    kit: Path | str | None = None,
    size: int = 256,
    templates: bool = False,
    portraits: bool = False,
    executor: str = "local",
    part: tuple[int, int] | None = None,
    finish: bool = False,
    bar: Bar = silent,
) -> DatasetRequest:
    """Render a data set into a folder; the same command continues an interrupted one.

    A shard is finished when it has its final name. The partition into shards follows from the request alone, so any
    number of workers gives the same files.

    Args:
        people: number of people.
        per_person: pictures of each.
        first_seed: seed of the first person; see `DatasetRequest`.
        out: folder for `shard-00000.tar` ... and `dataset.json`.
        workers: processes; None is one a core.
        read: let MediaPipe read every picture; None reads if its model is at hand.
        kit: the face kit's file; None takes `MIEN_FACEKIT`.
        size: side of the pictures in px.
        templates: with each picture its expression and pose on another person: exact pairs (EmojiDiff's CIEP100k).
        portraits: instead of the pictures a portrait of each, see `plan_portrait`; training looks for those of a data
            set in its folder ``portraits``.
        executor: see `mien.core.stages.execute.execute`, as are the next two.
        part: (i, n): only these shards.
        finish: render nothing; check that all shards are there.
        bar: makes progress bars; finished shards count at once.

    Raises:
        ConfigError: if `out` holds another data set, or one that other versions began.
        MienError: if the kit, MediaPipe's model or a package is missing, or a process fails.
    """
    from mien.faces.mediapipe import find_model
    from mien.studio.kit import FaceKit

    path = Path(kit) if kit else None
    digest = FaceKit.load(path).sha256
    reads = can_read() if read is None else read
    reader = sha256_of(find_model()) if reads else ""
    request = DatasetRequest(people, per_person, first_seed, size, reads, digest, templates, portraits, reader)
    folder = Path(out)
    claim_folder(folder, request)
    stage = RenderStage(folder, request, path)
    execute(stage, executor=executor, workers=workers, part=part, finish_only=finish, bar=bar)
    log.info("%d pictures in %d shards in %s", request.pictures, request.shards, folder)
    return request
