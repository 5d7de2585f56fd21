"""A person animated by the video of another: each frame an expression template, one seed, a steady crop."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.core.io import check_apart, check_writable, make_folder
from mien.core.log import only_process
from mien.core.progress import Bar, silent
from mien.errors import BadInput
from mien.generation.conditioning import (
    PipelineInputs,
    build_inputs,
    open_inputs,
    people_shape,
    with_readable_prompt,
)
from mien.generation.request import GenerateRequest
from mien.media.pictures import files_in
from mien.media.video import read_frames
from mien.provenance.video import check_video, write_video

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from mien.generation.tools import FaceTools
    from mien.pipelines.portrait import PortraitPipeline
    from mien.provenance.record import Record

log = logging.getLogger(__name__)
BATCH = 8
"""Frames drawn at once: a fixed partition, so that the bits do not depend on where a run was interrupted."""
LOCK = ".lock"
"""Held in the folder of frames by the process that draws them."""
STEADY = 1.0
"""Seconds over which the place and size of the driving face are averaged: the head moves, the frame does not shake."""
_SMOOTH = np.array([0.25, 0.5, 0.25])


@dataclass(frozen=True, eq=False)
class Track:
    """The driving face over the video.

    Attributes:
        landmarks: [T, 478, 3] pixels of the pictures to be drawn.
        crops: of each frame the expression crop [1, 3, H, W] (110 kB for the studio), or None without that branch.
        rate: frames a second.
        unread: frames without a face, which keep the last one's.
    """

    landmarks: NDArray[np.float32]
    crops: list[Tensor] | None
    rate: float
    unread: int


def animate(
    request: GenerateRequest,
    driving: Path,
    output: Path,
    *,
    rate: float | None = None,
    retarget: bool = True,
    pipeline: PortraitPipeline | None = None,
    tools: FaceTools | None = None,
    bar: Bar = silent,
) -> Path:
    """Draw a video of the person of a request with the expressions and poses of a driving video.

    Frames are kept in ``OUTPUT.frames`` until the video is written; the same call goes on with those that are missing.

    Args:
        request: the person, words, emotion and how to draw; it must not name an expression or a pose.
        driving: see `mien.media.video.read_frames`.
        output: ``.mp4``, ``.gif`` or ``.webp``.
        rate: frames a second; see `mien.media.video.read_frames`.
        retarget: put the person's face shape into the landmarks (*ours*).
        pipeline: see `mien.generation.generate.generate`.
        tools: see `mien.generation.generate.generate`.
        bar: makes progress bars.

    Returns:
        ``output``.

    Raises:
        BadInput: if the request asks for an expression or pose, no frame shows a face, or a file cannot be used or
            would be written over.
        MienError: see `mien.generation.generate.generate`.
    """
    from mien.generation.records import record_maker
    from mien.generation.tools import FaceTools
    from mien.pipelines.load import branch_kinds, load_pipeline, picture_size

    if request.expression is not None or request.builds_landmarks:
        raise BadInput("The driving video gives expression and pose: leave --expression, --pose and angles out.")
    check_video(output)
    frames, driven = output.with_name(output.name + ".frames"), _driving_files(driving)
    check_apart([output, frames], [*request.input_files, driving, *driven.values()])
    check_writable([output])
    people = open_inputs(request)
    tools = tools or FaceTools.load(request.base, request.reader)
    drawn_by = load_pipeline(request.base, request.loading) if pipeline is None else pipeline
    size, kinds = picture_size(drawn_by), branch_kinds(drawn_by)
    person = build_inputs(request, people, tools, size, kinds - {"landmarks"})  # these are the driving face's
    person, used = with_readable_prompt(request, person, drawn_by)
    shape = people_shape(request, person.seen, size) if retarget else None
    with bar(None, "reading") as read:
        track = follow(driving, tools, size, "expression" in kinds, rate, shape, read)
    if track.unread:
        log.warning("%d frames of %s show no face; they keep the face before", track.unread, driving)
    animation = used | {"animation": {"rate": round(track.rate, 4), "retarget": retarget}}
    records = record_maker(request, drawn_by, tools, driven, animation)
    count = len(track.landmarks)
    with bar(count, "drawing") as drawn:
        row = partial(frame_inputs, person, track, size)
        make_folder(frames)
        with only_process(frames / LOCK, str(output)):
            files = draw_frames(drawn_by, request, row, count, records, frames, drawn)
            write_video(output, files, track.rate, records(0) if request.provenance else None)
            shutil.rmtree(frames, ignore_errors=True)  # some systems do not remove a file that is open, as the lock is
    return output


def follow(
    driving: Path,
    tools: FaceTools,
    size: int,
    crops: bool,
    rate: float | None,
    shape: NDArray[np.float64] | None,
    read: Callable[[int], object] = lambda done: None,
) -> Track:
    """Read the driving face in every frame and bring it into a steady frame.

    Args:
        driving: see `mien.media.video.read_frames`.
        tools: readers.
        size: side of the pictures to be drawn.
        crops: whether expression crops are wanted.
        rate: see `animate`.
        shape: face shape to put in, or None.
        read: called with 1 for each frame.

    Raises:
        BadInput: if no frame shows a face.
    """
    import torch

    from mien.faces.alignment import studio_matrix, transform_points
    from mien.faces.linear.fit import retarget
    from mien.faces.observed import DetectedFace, landmarks_of, largest_face

    video = read_frames(driving, rate)
    points: list[Any] = []
    pictures: list[Any] = []
    unread = 0
    for number, image in enumerate(video.images):
        face = largest_face(tools, image, f"{driving}, frame {number + 1}")
        if face is None:
            unread += 1
            points.append(points[-1] if points else None)
            pictures.append(pictures[-1] if pictures else None)
        else:
            seen = DetectedFace(image, face)
            points.append(np.asarray(landmarks_of(seen), np.float32))
            pictures.append(tools.crop(seen) if crops else None)
        read(1)
    first = next((number for number, one in enumerate(points) if one is not None), None)
    if first is None:
        raise BadInput(f"No frame of {driving} shows a face; give a video in which one face is large and lit.")
    points[:first], pictures[:first] = [points[first]] * first, [pictures[first]] * first
    faces = torch.from_numpy(smoothed(np.stack(points), _SMOOTH))
    window = max(1, round(STEADY * video.rate) // 2 * 2 + 1)
    matrices = smoothed(studio_matrix(faces, size).numpy(), np.full(window, 1 / window))
    framed = transform_points(torch.from_numpy(matrices), faces).numpy()
    if shape is not None:
        framed = np.stack([retarget(one, shape) for one in framed])
    return Track(framed.astype(np.float32), pictures if crops else None, video.rate, unread)


def smoothed(values: NDArray[np.float32], kernel: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values [T, ...] averaged over time with an odd kernel; the ends are held."""
    half = len(kernel) // 2
    held = np.concatenate([values[:1].repeat(half, 0), values, values[-1:].repeat(half, 0)])
    total = sum(weight * held[start : start + len(values)] for start, weight in enumerate(kernel))
    return np.asarray(total, np.float32)


def frame_inputs(person: PipelineInputs, track: Track, size: int, number: int) -> PipelineInputs:
    """What the pipeline is given for one frame."""
    from mien.faces.drawing import draw_landmarks

    points = track.landmarks[number]
    crop = None if track.crops is None else track.crops[number]
    return replace(person, landmarks=points, landmark_image=draw_landmarks(points, size), expression=crop)


def draw_frames(
    pipeline: PortraitPipeline,
    request: GenerateRequest,
    row: Callable[[int], PipelineInputs],
    count: int,
    records: Callable[[int], Record],
    folder: Path,
    drawn: Callable[[int], object],
) -> list[Path]:
    """Draw every frame that is not in the folder, all with one seed's noise; frames of another request are removed.

    Args:
        pipeline: see `mien.generation.generate.generate`.
        request: how to draw.
        row: number of a frame, from 0 -> what the pipeline is given for it.
        count: number of frames.
        records: number of a frame -> its record.
        folder: that is there, for ``00001.png`` and so on.
        drawn: called with the number of frames done.

    Returns:
        A file for each frame.

    Raises:
        BadInput: if the folder holds something else.
    """
    from mien.core.io import read_json, write_json
    from mien.generation.generate import draw_requested
    from mien.pipelines.anchor import anchored
    from mien.provenance.png import write_picture

    kept, made_with = folder / "made-with.json", records(0).model_dump() | {"provenance": request.provenance}
    if not kept.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise BadInput(f"{folder} is to hold the frames, but holds something else: move it away.")
    if kept.exists() and read_json(kept) != made_with:
        for file in folder.glob("*.png"):
            file.unlink()
    write_json(kept, made_with)
    files = [folder / f"{number + 1:05d}.png" for number in range(count)]
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        if not all(files[number].exists() for number in numbers):
            shown = [row(number) for number in (0, *numbers)]
            with anchored(pipeline.unet, len(shown)):
                images = draw_requested(pipeline, request, shown, [request.seed] * len(shown))
            for number, image in zip(numbers, images[1:], strict=True):
                write_picture(files[number], image, records(number) if request.provenance else None)
        drawn(len(numbers))
    return files


def _driving_files(driving: Path) -> dict[str, Path]:
    """The driving video, or the frames of a folder, by role."""
    if not driving.is_dir():
        return {"driving": driving}
    return {f"driving-{number}": file for number, file in enumerate(files_in(driving), 1)}
