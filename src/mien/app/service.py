"""The warm service: one pipeline and one set of readers, built once, and one thread that draws for everybody.

What was uploaded lives in the job alone: nothing here keeps a picture, an embedding or a reading after the answer.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.app.jobs import Event, Job, Row, RowQueue, jobs_of
from mien.app.limits import Limits
from mien.app.lines import lines_of
from mien.app.pictures import encode_base64, encode_preview, studio_pictures
from mien.app.problems import WHOLE, FieldProblem, Refused
from mien.errors import MienError, NoFaceFound
from mien.faces.linear.expression_fit import forget_expressions
from mien.faces.linear.fit import forget_fits
from mien.generation.batches import conditions_of
from mien.generation.conditioning import open_inputs
from mien.generation.generate import Prepared, draw_requested, prepare
from mien.generation.request import SEVERAL, Role
from mien.generation.said import read_as
from mien.generation.tools import FaceTools
from mien.provenance.png import encode_picture

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from mien.faces.types import Picture, Reading
    from mien.pipelines.portrait import PortraitPipeline

log = logging.getLogger(__name__)

FAILED = "This could not be drawn, through a fault of the server: its log says more."


class Warm(NamedTuple):
    """What takes seconds to load.

    Attributes:
        pipeline: draws.
        tools: read faces.
    """

    pipeline: PortraitPipeline
    tools: FaceTools


class PortraitService:
    """Draws for many users, on one model.

    Args:
        limits: of the queue and the batches.
        base: see `mien.load`.
        reader: likewise.
        load: gives pipeline and readers; for tests.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        base: str = "studio",
        reader: str = "auto",
        load: Callable[[], Warm] | None = None,
    ) -> None:
        self.limits, self.base, self.reader = limits or Limits(), base, reader
        self.queue = RowQueue(self.limits)
        self.failure = ""
        self._load = load or self._load_base
        self._warm: Warm | None = None
        self._ready = threading.Event()
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mien-draw", daemon=True)

    @cached_property
    def studio(self) -> dict[str, Image.Image]:
        """The studio's people and templates, by name."""
        return studio_pictures()

    def start(self) -> None:
        """Begin to load, and then to draw."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch that is being drawn; who still waits is told so."""
        self.queue.close()
        if self._thread.is_alive():
            self._thread.join(timeout=60)

    @property
    def scales(self) -> dict[str, float]:
        """The base's own strengths of its branches; none before it is loaded."""
        return {} if self._warm is None else dict(self._warm.pipeline.config["scales"])

    @property
    def guidance(self) -> dict[str, float]:
        """The guidance weights of the base; none before it is loaded."""
        if self._warm is None:
            return {}
        from mien.pipelines.request import DEFAULT_GUIDANCE

        return DEFAULT_GUIDANCE | dict(self._warm.pipeline.config["guidance"])

    @property
    def ready(self) -> bool:
        """Whether the models are loaded."""
        return self._ready.is_set() and not self.failure

    def warm(self, timeout: float | None = 120) -> Warm:
        """The loaded models, waited for.

        Raises:
            MienError: if they cannot be loaded.
            Refused: if they are not there in time.
        """
        if not self._ready.wait(timeout):
            raise Refused("The models are still being loaded: try again in a moment.", 5)
        if self._warm is None:
            raise MienError(self.failure)
        return self._warm

    def submit(self, job: Job) -> None:
        """Put a job into the queue.

        Raises:
            Refused: if the queue is full.
        """
        job.tell(Event("queued", {"ahead": self.queue.put(job)}))

    def _load_base(self) -> Warm:
        from mien.generation.api import load
        from mien.generation.reading import PictureReader

        pipeline = load(self.base, reader=self.reader)
        pipeline.set_progress_bar_config(disable=True)
        assert isinstance(pipeline.reader, PictureReader)
        return Warm(pipeline, pipeline.reader.tools)

    def _run(self) -> None:
        try:
            self._warm = self._load()
        except Exception as error:
            self.failure = str(error) if isinstance(error, MienError) else f"The models cannot be loaded: {error}."
            log.exception("loading failed")
            self.queue.close()
        self._ready.set()
        while self._warm is not None and not self.queue.closed:
            rows = self.queue.take(timeout=1.0)
            if rows:
                self._draw_taken(rows, self._warm)
            del rows  # or the last pictures of the last user would stay here until somebody else draws
            self._forget(self._warm)

    def _forget(self, warm: Warm) -> None:
        """What was derived of faces and kept to be used again goes, too: after each batch and each second of rest."""
        warm.pipeline.forget()
        forget_fits()
        forget_expressions()

    def _draw_taken(self, rows: Sequence[Row], warm: Warm) -> None:
        groups: dict[tuple[bool, ...], list[Row]] = defaultdict(list)
        for job in jobs_of(rows):
            if not job.prepared and not job.cancelled.is_set():
                self._guarded([job], lambda job=job: self._prepare(job, warm))
        for row in rows:
            if not row.job.cancelled.is_set():
                groups[conditions_of(row.job.prepared[row.number].inputs)].append(row)
        for group in groups.values():
            self._guarded(jobs_of(group), lambda group=group: self._draw(group, warm))

    def _guarded(self, jobs: Sequence[Job], work: Callable[[], None]) -> None:
        """Whatever goes wrong is told to those whom it concerns, and the thread goes on."""
        try:
            work()
        except MienError as error:
            field = error.field if isinstance(error, FieldProblem) else WHOLE
            event = Event("error", {"status": 422, "errors": [{"field": field, "message": _capital(str(error))}]})
        except Exception:
            log.exception("drawing failed")
            event = Event("error", {"status": 500, "errors": [{"field": WHOLE, "message": FAILED}]})
        else:
            return
        for job in jobs:
            job.fail(event)

    def _prepare(self, job: Job, warm: Warm) -> None:
        """Read the pictures of a job; those of a row's pictures are read once."""
        known: dict[int, tuple[Picture, Reading]] = {}
        notes: dict[str, None] = {}
        for request in job.requests:
            pictures = open_inputs(request)
            with self._reading, warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                job.prepared.append(prepare(request, pictures, warm.pipeline, _recalling(warm.tools, pictures, known)))
            notes |= {str(one.message): None for one in caught if one.category is UserWarning}
        words = read_as(job.requests[0], job.prepared[0].inputs)
        job.tell(Event("read", {"words": words, "notes": [_capital(note) for note in notes]}))

    def _draw(self, rows: Sequence[Row], warm: Warm) -> None:
        """Draw rows of one pattern in one batch, and hand each picture to its job."""
        first: Prepared = rows[0].job.prepared[rows[0].number]

        def on_step(pipeline: PortraitPipeline, step: int, _timestep: object, values: dict[str, Any]) -> dict[str, Any]:
            if all(row.job.cancelled.is_set() for row in rows):
                pipeline._interrupt = True  # diffusers' own way to end a sampling
                return values
            steps = len(pipeline.scheduler.timesteps)
            for number, row in enumerate(rows):
                if row.job.cancelled.is_set():
                    continue
                row.job.tell(Event("progress", {"picture": row.place, "step": step + 1, "steps": steps}))
                every = row.job.preview_every
                if every and (step + 1) % every == 0 and step + 1 < steps:
                    image = encode_preview(_estimate(pipeline, values["latents"], number))
                    row.job.tell(Event("preview", {"picture": row.place, "image": image}))
            return values

        images = draw_requested(
            warm.pipeline,
            first.request,
            [row.job.prepared[row.number].inputs for row in rows],
            [row.seed for row in rows],
            callback_on_step_end=on_step,
            **first.options,
        )
        for row, image in zip(rows, images, strict=True):
            job = row.job
            if job.cancelled.is_set():
                continue
            drawn = job.prepared[row.number].finish(image, row.picture)
            content = encode_base64(encode_picture(drawn.image, drawn.record))
            values = {"picture": row.place, "seed": row.seed, "image": content, **lines_of(row.alone)}
            job.tell(Event("picture", values))
            job.left -= 1
            if job.left == 0:
                job.tell(Event("done", lines_of(job.requests[0])))


def _recalling(
    tools: FaceTools, pictures: Mapping[Role, Image.Image], known: dict[int, tuple[Picture, Reading]]
) -> FaceTools:
    """Tools that read a picture of a job once, and name the field of one that shows no face."""
    roles = {id(picture): role for role, picture in pictures.items()}

    def read(image: Picture, name: str) -> Reading:
        if id(image) not in known:
            role = roles.get(id(image))
            reading = tools.read(image, name if role is None else f"the {role} picture")
            if not reading.faces:
                try:
                    reading.face()
                except NoFaceFound as error:
                    raise FieldProblem(field_of_role(role or WHOLE), str(error)) from error
            known[id(image)] = image, reading  # the picture is held, so that nothing else gets its id
        return known[id(image)][1]

    return replace(tools, read=read)


def field_of_role(role: Role) -> str:
    """The request's field of an input picture; ``identity-2`` and so on stand in ``identities``."""
    return next((field for field, first in SEVERAL.items() if role.startswith(f"{first}-")), role)


def _estimate(pipeline: PortraitPipeline, latents: Tensor, number: int) -> Image.Image:
    """What picture ``number`` looks like so far: the sampler's own estimate of it, or the noisy latents themselves."""
    from mien.pipelines.autoencoders import decode_latents

    kept = getattr(pipeline.scheduler, "model_outputs", None)  # DPM-Solver's last estimates, newest at the end
    newest = kept[-1] if kept else None
    latents = latents if newest is None else newest
    pictures = decode_latents(pipeline.vae, latents[number : number + 1]).clamp(-1, 1)
    found: Any = pipeline.image_processor.postprocess(pictures, output_type="pil")  # of each output type another
    return found[0]


def _capital(sentence: str) -> str:
    """A sentence that begins and ends as one."""
    sentence = sentence[:1].upper() + sentence[1:]
    return sentence if sentence.endswith((".", "?", "!")) else sentence + "."
