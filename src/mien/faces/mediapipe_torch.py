"""MediaPipe's Face Landmarker as torch modules: blendshapes that gradients pass through, down to the pixels.

The two networks are read from ``face_landmarker.task`` and computed as MediaPipe's graphs do it (face_landmarker 0.10,
Apache-2.0): a rotated square around the face, 256 px of it to 478 landmarks, 146 of these to 52 blendshapes.
MediaPipe finds that square with its detector in a still picture, and from the last frame's landmarks in a video. Here
the landmarks are known (training data hold them), so it is the video's.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mien.errors import BadInput
from mien.faces.alignment import full_precision, invert, transform_points, warp, warp_filtered
from mien.faces.torch_tflite import tflite_graph

LARGEST_PART = 1 << 26
"""Bytes of a file in the bundle; the networks have up to 3 million."""
SIDE = 256
"""Side in pixels of the landmark network's picture."""
ROI_SCALE = 1.5
"""Side of the square as a multiple of the landmarks' longer extent."""
EYES = (33, 263)
"""Outer corners of the subject's right and left eye: the line between them is level in the square."""

BLENDSHAPE_LANDMARKS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81,
    82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154,
    155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263,
    267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321,
    323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387,
    388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, *range(468, 478),
)  # fmt: skip
"""The 146 landmarks that the blendshape network reads (MediaPipe's face_blendshapes graph)."""


DETECTOR, LANDMARKS, BLENDSHAPES, GEOMETRY = (
    "face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite",
    "geometry_pipeline_metadata_landmarks.binarypb",
)  # fmt: skip
"""Files in the bundle."""


def read_bundle(path: Path) -> dict[str, bytes]:
    """The files in ``face_landmarker.task``, a zip archive.

    Raises:
        BadInput: if it is no such archive, lacks one, or has a damaged one.
    """
    names = (DETECTOR, LANDMARKS, BLENDSHAPES, GEOMETRY)
    try:
        with zipfile.ZipFile(path) as archive:
            if any(archive.getinfo(name).file_size > LARGEST_PART for name in names):
                raise zipfile.BadZipFile("a file of another size")
            return {name: archive.read(name) for name in names}
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"{path} is no MediaPipe Face Landmarker bundle: get it again  (mien assets verify).") from error


class TorchFaceLandmarker(nn.Module):
    """478 landmarks and 52 blendshapes of faces whose place is known, differentiable to the pixels; nothing is trained.

    Args:
        bundle: ``face_landmarker.task``, or what `read_bundle` gave of it.

    Raises:
        BadInput: if the file is not that bundle, or its networks are of another kind.
        MissingDependency: without the package ``tflite``.
    """

    def __init__(self, bundle: Path | Mapping[str, bytes]) -> None:
        super().__init__()
        files = read_bundle(bundle) if isinstance(bundle, Path) else bundle
        self.landmark_net = tflite_graph(files[LANDMARKS], f"MediaPipe's {LANDMARKS}")
        self.blendshape_net = tflite_graph(files[BLENDSHAPES], f"MediaPipe's {BLENDSHAPES}")

    def forward(self, pictures: Tensor, points: Tensor) -> Tensor:
        """Blendshapes [B, 52] in [0, 1], MediaPipe's order; see :meth:`landmarks` for the arguments."""
        return self.blendshapes(self.landmarks(pictures, points))

    @full_precision
    def landmarks(self, pictures: Tensor, points: Tensor) -> Tensor:
        """Landmarks [B, 478, 3] in pixels of the pictures, z included.

        Args:
            pictures: [B, 3, H, W] in [-1, 1].
            points: [B, 478, 2 or 3] landmarks in pixels that say where each face is; they get no gradient.
        """
        matrix = roi_matrix(points.detach().float())
        crops = warp_filtered(pictures.float(), corner_to_corner(matrix), SIDE)
        made = self.landmark_net(((crops + 1) / 2).permute(0, 2, 3, 1))
        return transform_points(invert(matrix), made[self.landmark_net.outputs[0]].reshape(-1, 478, 3))

    @full_precision
    def blendshapes(self, landmarks: Tensor) -> Tensor:
        """Blendshapes [B, 52] of landmarks [B, 478, 2 or 3] in pixels; the network takes place and size away itself."""
        chosen = landmarks[:, BLENDSHAPE_LANDMARKS, :2].float()
        return self.blendshape_net(chosen)[self.blendshape_net.outputs[0]].reshape(-1, 52)


@full_precision
def roi_matrix(points: Tensor) -> Tensor:
    """Matrices [B, 2, 3] from picture to the landmark network's 256 px square, from landmarks [B, 478, 2 or 3].

    The upright box around all landmarks gives the middle and the side, the outer eye corners the turn.
    """
    points = points[..., :2]
    return level_square(points.amin(-2), points.amax(-2), points[..., EYES[1], :] - points[..., EYES[0], :])


def level_square(low: Tensor, high: Tensor, along: Tensor) -> Tensor:
    """Matrices [..., 2, 3] to the landmark network's square: `ROI_SCALE` times a box's longer side, turned.

    Args:
        low: the box's upper left corner [..., 2], pixels.
        high: its lower right corner [..., 2].
        along: a direction [..., 2] that is level in the square: from the subject's right eye to the left one.
    """
    scale = SIDE / (ROI_SCALE * (high - low).amax(-1)).clamp_min(1e-6)
    cos, sin = (along / along.norm(dim=-1, keepdim=True).clamp_min(1e-6) * scale[..., None]).unbind(-1)
    linear = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    shift = SIDE / 2 - (linear @ ((low + high) / 2)[..., None])
    return torch.cat([linear, shift], -1)


@full_precision
def sampled(pictures: Tensor, matrix: Tensor) -> Tensor:
    """The landmark network's input [B, 256, 256, 3] in [0, 1] under matrices [B, 2, 3], sampled as MediaPipe does it.

    Nothing is filtered and the picture's edge is repeated.
    """
    crops = warp(pictures.float(), corner_to_corner(matrix), SIDE)
    return ((crops + 1) / 2).permute(0, 2, 3, 1)


def corner_to_corner(matrix: Tensor) -> Tensor:
    """The matrix under which MediaPipe samples: it takes a pixel's index for its place, in the picture and the crop.

    So each crop pixel is read half a crop pixel up and left of where our convention has it, less half a picture pixel.
    """
    half = torch.full((2, 1), 0.5, device=matrix.device)
    return torch.cat([matrix[..., :2], matrix[..., 2:] + half - matrix[..., :2] @ half], -1)
