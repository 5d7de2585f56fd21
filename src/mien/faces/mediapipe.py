"""Reading faces with Google's MediaPipe Face Landmarker (package ``mediapipe``, model ``face_landmarker.task``)."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.assets.lookup import find_asset, how_to_get
from mien.core.optional import require
from mien.errors import MissingAsset
from mien.faces.limits import faces_within_limits
from mien.faces.types import Face, Picture, Reading, reading_of, rgb_array

ASSET = "mediapipe-face-landmarker"
DETECTED = 0.6
"""Least score of a detection (*ours*): below it lie animals and things, and no face of the development photographs that
a second look does not find (benchmarks/photographs.py)."""
PRESENT = 0.95
"""Least presence of a face in its square: set on pictures without faces, where things reach 0.92; faces that the
detector frames well have 0.99 and more (*ours*)."""


def find_model() -> Path:
    """The model file: in the folder ``MIEN_ASSETS`` first, then in the user's cache.

    Raises:
        MissingAsset: if it is in neither.
    """
    path = find_asset(ASSET)
    if path is None:
        raise MissingAsset(f"MediaPipe's model is not here: {how_to_get(ASSET)}.")
    return path


def pose_of(matrix: NDArray[np.floating]) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees from MediaPipe's facial transformation matrix [4, 4] or a rotation [3, 3].

    Convention:
        The matrix maps the canonical face (x to the subject's left, y up, z out of the face) to a camera that looks
        along -z; it is read as Ry(yaw) Rx(-pitch) Rz(-roll), so that yaw + turns to the subject's left, pitch + looks
        up, roll + tilts to the subject's left shoulder.
    """
    rotation = np.asarray(matrix, np.float64)[:3, :3]
    rotation = rotation / np.linalg.norm(rotation, axis=0, keepdims=True)
    yaw = np.degrees(np.arctan2(rotation[0, 2], rotation[2, 2]))
    pitch = np.degrees(np.arcsin(np.clip(rotation[1, 2], -1.0, 1.0)))
    roll = -np.degrees(np.arctan2(rotation[1, 0], rotation[1, 1]))
    return float(yaw), float(pitch), float(roll)


@contextmanager
def _quiet_native_stderr() -> Iterator[None]:
    """Drop what C++ code writes to file descriptor 2: MediaPipe greets with five lines that no setting turns off."""
    sys.stderr.flush()
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


def _landmarker(path: Path, mode: str, **options: Any) -> Any:
    tasks = require("mediapipe.tasks.python", extra="faces")
    vision = require("mediapipe.tasks.python.vision", extra="faces")
    base = tasks.BaseOptions(model_asset_path=str(path))
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=base, running_mode=vision.RunningMode[mode], output_face_blendshapes=True, **options
        )
    )


def tracked_reading(
    pixels: NDArray[np.uint8], model: Path, frames: int = 90
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """What MediaPipe says of one picture when it is shown as a video: where its tracking comes to rest.

    In a still picture it looks at the square that its detector finds; in a video at the one around the last frame's
    landmarks, which it smoothes over some frames. The two readings differ.

    Args:
        pixels: RGB [H, W, 3].
        model: ``face_landmarker.task``.
        frames: how often it is shown.

    Returns:
        Landmarks [478, 3] in pixels and blendshapes [52] of the first face; None if no face is found.

    Raises:
        MissingDependency: if the package is not installed.
    """
    mediapipe = require("mediapipe", extra="faces")
    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
    result: Any = None
    with _quiet_native_stderr(), _landmarker(model, "VIDEO") as landmarker:
        for frame in range(frames):
            result = landmarker.detect_for_video(picture, frame * 33)
    if result is None or not result.face_landmarks:
        return None
    shapes = np.array([shape.score for shape in result.face_blendshapes[0]], np.float32)
    return _in_pixels(result.face_landmarks[0], pixels), shapes


def _in_pixels(points: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """MediaPipe's normalised landmarks as [478, 3] pixels; z is normalised by the width, as x is."""
    height, width = pixels.shape[:2]
    return np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32)


_LIVE: weakref.WeakSet[MediaPipeReader] = weakref.WeakSet()
"""Readers that have not been freed."""


@atexit.register
def _forget_all() -> None:
    """At interpreter exit a landmarker's own destructor would raise, too: leave it nothing to do."""
    for reader in _LIVE:
        if reader._landmarker is not None:
            reader._landmarker._handle = None


class MediaPipeReader:
    """478 landmarks, 52 blendshapes and the pose; about 10 ms a picture. Use one object a process, from one thread.

    Args:
        model: path of ``face_landmarker.task``; ``None`` looks in ``MIEN_ASSETS``, then in the cache.
        max_faces: faces looked for in a picture; only those that are there cost time, and with fewer the largest may
            not be among them.
        retry: look again with a border added where nothing was found: its detector misses faces that fill the picture.
        confidence: least score of a detection, in [0, 1].

    Raises:
        MissingAsset: if the model file is not found.
        MissingDependency: if the package is not installed.

    Example:
        >>> from PIL import Image
        >>> from mien.faces import MediaPipeReader
        >>> reader = MediaPipeReader()
        >>> reader.read(Image.open("me.jpg")).face().landmarks.shape
        (478, 3)
        >>> reader.close()
    """

    name = "mediapipe"

    def __init__(
        self, model: Path | str | None = None, *, max_faces: int = 32, retry: bool = True, confidence: float = DETECTED
    ) -> None:
        path = Path(model) if model is not None else find_model()
        if not path.is_file():
            raise MissingAsset(f"MediaPipe's model is not at {path}: run  mien assets get {ASSET}  and name no path.")
        self._mediapipe = require("mediapipe", extra="faces")
        self.files = {path.name: path}
        self._retry = retry
        with _quiet_native_stderr():
            self._landmarker: Any = _landmarker(
                path,
                "IMAGE",
                num_faces=max_faces,
                min_face_detection_confidence=confidence,
                min_face_presence_confidence=PRESENT,
                output_facial_transformation_matrixes=True,
            )
            self._detect(np.zeros((64, 64, 3), np.uint8))  # the first call makes the last of the greetings
        # freed with the reader: a file handle, four threads and 23 MB
        self._free = weakref.finalize(self, self._landmarker.close)
        self._free.atexit = False  # then its worker threads are gone, and closing it would only raise
        _LIVE.add(self)

    def read(self, image: Picture, source: str = "the picture") -> Reading:
        """Read one RGB picture (PIL, or uint8 [H, W, 3])."""
        found = faces_within_limits(rgb_array(image), self._detect, 1 / 3 if self._retry else 0, "edge")
        return reading_of(found, source)

    def read_batch(self, images: Iterable[Picture]) -> list[Reading]:
        """Read several pictures in order; MediaPipe itself has no batches."""
        return [self.read(image) for image in images]

    def close(self) -> None:
        """Free MediaPipe's graph; the reader cannot be used afterwards."""
        self._free()
        self._landmarker = None

    def _detect(self, pixels: NDArray[np.uint8]) -> list[Face]:
        picture = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels)
        )
        result = self._landmarker.detect(picture)
        faces = []
        for points, shapes, matrix in zip(
            result.face_landmarks, result.face_blendshapes, result.facial_transformation_matrixes, strict=True
        ):
            landmarks = _in_pixels(points, pixels)
            (x0, y0), (x1, y1) = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
            face = Face(
                reader=self.name,
                box=(float(x0), float(y0), float(x1), float(y1)),
                landmarks=landmarks,
                blendshapes=np.array([shape.score for shape in shapes], np.float32),
                pose=pose_of(np.asarray(matrix)),
            )
            faces.append(face)
        return faces
