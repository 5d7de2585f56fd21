"""Drawing what a request asks for: in memory, and into files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.core.io import check_apart, check_writable
from mien.generation.conditioning import (
    PipelineInputs,
    build_inputs,
    open_inputs,
    run_pipeline,
    with_readable_prompt,
)
from mien.generation.editing import Canvas, build_edit_inputs
from mien.generation.records import record_maker
from mien.generation.request import GenerateRequest, Role
from mien.generation.said import read_as, warn_of_limits
from mien.generation.tools import FaceTools
from mien.pipelines.bases import is_small
from mien.pipelines.load import branch_kinds, load_pipeline, picture_size
from mien.provenance.png import write_picture

if TYPE_CHECKING:
    from PIL import Image

    from mien.pipelines.portrait import PortraitPipeline
    from mien.provenance.record import Record

Progress = Callable[[int, int], object]
"""Called after each denoising step with (picture, step), both from 0."""


class DrawnPicture(NamedTuple):
    """A picture of a request.

    Attributes:
        image: RGB, without the watermark, which is put in where a file is written.
        record: what its file will carry; None where the request wants no provenance.
    """

    image: Image.Image
    record: Record | None


def generate(
    request: GenerateRequest,
    *,
    pipeline: PortraitPipeline | None = None,
    tools: FaceTools | None = None,
    only: int | None = None,
    on_read: Callable[[str], object] | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Draw the pictures of a request and write them as files.

    Args:
        request: what to draw.
        pipeline: see `draw_pictures`.
        tools: see `draw_pictures`.
        only: draw only this picture of the request, counted from 0.
        on_read: see `draw_pictures`.
        progress: called after each step.

    Returns:
        The files, in order of their seeds (`GenerateRequest.files`). Each is written as soon as it is drawn.

    Raises:
        MienError: if an input cannot be used or would be written over, weights are missing, or the folder cannot be
            written.
    """
    indices = list(range(request.count)) if only is None else [only]
    files = picture_files(request, indices)
    drawn = draw_pictures(request, indices, pipeline=pipeline, tools=tools, on_read=on_read, progress=progress)
    for path, picture in zip(files, drawn, strict=True):
        write_picture(path, picture.image, picture.record)
    return files


def draw_pictures(
    request: GenerateRequest,
    indices: Sequence[int] | None = None,
    *,
    pipeline: PortraitPipeline | None = None,
    tools: FaceTools | None = None,
    on_read: Callable[[str], object] | None = None,
    progress: Progress | None = None,
) -> Iterator[DrawnPicture]:
    """Draw the pictures of a request in memory, one after the other.

    One picture goes through the model at a time, so its bits do not depend on how many others were asked for.

    Args:
        request: what to draw.
        indices: which of its pictures, from 0; all when None.
        pipeline: a loaded pipeline; ``request.base`` is loaded if None.
        tools: readers and helpers; those of the request are loaded if None.
        on_read: called before the first picture with what was read in the inputs, in words, where anything was.
        progress: called after each step.

    Raises:
        MienError: if an input cannot be used, or weights are missing.
    """
    pictures = open_inputs(request)  # before the seconds of loading: a mistyped path should answer at once
    tools = tools or FaceTools.load(request.base, request.reader)
    drawn_by = load_pipeline(request.base, request.loading) if pipeline is None else pipeline
    prepared = prepare(request, pictures, drawn_by, tools)
    if on_read is not None and (words := read_as(request, prepared.inputs)):
        on_read(words)
    for index in range(request.count) if indices is None else indices:
        image = draw(
            drawn_by,
            request,
            prepared.inputs,
            request.seed + index,
            lambda step, i=index: progress and progress(i, step),
            **prepared.options,
        )
        yield prepared.finish(image, index)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request of which everything is done but the drawing.

    Attributes:
        request: what is asked for.
        inputs: every condition of the pipeline.
        options: further arguments of the pipeline, which an edit has.
        canvas: the portrait that an edit goes back into.
        record: index of a picture -> its record; None where the request wants no provenance.
    """

    request: GenerateRequest
    inputs: PipelineInputs
    options: Mapping[str, Any]
    canvas: Canvas | None
    record: Callable[[int], Record] | None

    def finish(self, image: Image.Image, index: int) -> DrawnPicture:
        """What the pipeline drew as the request's picture ``index``."""
        whole = image if self.canvas is None else self.canvas.put_back(image)
        return DrawnPicture(whole, self.record(index) if self.record else None)


def prepare(
    request: GenerateRequest, pictures: Mapping[Role, Image.Image], pipeline: PortraitPipeline, tools: FaceTools
) -> Prepared:
    """Read the pictures of a request and build what the pipeline takes.

    Args:
        request: what to draw.
        pictures: its opened inputs by role.
        pipeline: what draws it.
        tools: readers and helpers.

    Raises:
        MienError: if an input cannot be used.
    """
    canvas, options = None, {}
    readings = (request, dict(pictures), tools, picture_size(pipeline), branch_kinds(pipeline))
    if request.edit is None:
        inputs = build_inputs(*readings)
    else:
        inputs, canvas = build_edit_inputs(*readings)
        options = canvas.arguments(request.strength)
    if is_small(request.base):
        warn_of_limits(request, inputs, pipeline)
    inputs, used = with_readable_prompt(request, inputs, pipeline)
    record = record_maker(request, pipeline, tools, extra_settings=used) if request.provenance else None
    return Prepared(request, inputs, options, canvas, record)


def draw_together(pipeline: PortraitPipeline, rows: Sequence[tuple[Prepared, int]]) -> list[DrawnPicture]:
    """Pictures of several requests, drawn in one batch.

    Args:
        pipeline: what they were prepared for.
        rows: B requests with the number of the picture in each; their `mien.generation.batches.batch_key` and
            ``conditions_of`` are equal.
    """
    first = rows[0][0]
    seeds = [one.request.seed + index for one, index in rows]
    images = draw_requested(pipeline, first.request, [one.inputs for one, _ in rows], seeds, **first.options)
    return [one.finish(image, index) for (one, index), image in zip(rows, images, strict=True)]


def picture_files(request: GenerateRequest, indices: Sequence[int], further: Sequence[Path] = ()) -> list[Path]:
    """Where the pictures of a request go, once it is clear that they can be written and replace nothing that is read.

    Args:
        request: what is drawn.
        indices: which of its pictures, from 0.
        further: files that are read besides its inputs.

    Raises:
        MienError: if a file cannot be written, or is one of the inputs.
    """
    files = request.files(indices)
    check_apart(files, [*further, *request.input_files])
    check_writable(files)
    return files


def draw(
    pipeline: PortraitPipeline,
    request: GenerateRequest,
    inputs: PipelineInputs,
    seed: int,
    on_step: Callable[[int], object] | None = None,
    **options: Any,
) -> Image.Image:
    """One picture for one seed; ``options``: further arguments of the pipeline."""

    def on_step_end(_pipeline: object, step: int, _timestep: object, values: dict[str, Any]) -> dict[str, Any]:
        if on_step:
            on_step(step)
        return values

    return draw_requested(pipeline, request, [inputs], [seed], callback_on_step_end=on_step_end, **options)[0]


def draw_requested(
    pipeline: PortraitPipeline,
    request: GenerateRequest,
    rows: Sequence[PipelineInputs],
    seeds: Sequence[int],
    **options: Any,
) -> list[Image.Image]:
    """`run_pipeline` with the scheduler, steps, speed, scales and guidance of a request."""
    from mien.pipelines.schedulers import sampling_with

    with sampling_with(pipeline, request.scheduler):
        return run_pipeline(
            pipeline,
            rows,
            seeds,
            scales=request.branch_scales,
            guidance=dict(request.guidance),
            guidance_rescale=request.guidance_rescale,
            num_inference_steps=request.steps,
            speed=request.speed,
            **options,
        )
