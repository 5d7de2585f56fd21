"""Bringing faces into a standard position: similarity transforms from landmarks, crops, and the way back.

Convention:
    Points are continuous pixel coordinates, x right, y down: the centre of the top left pixel is (0.5, 0.5). A matrix
    [..., 2, 3] maps points of the picture to points of the crop: ``crop = matrix[:, :2] @ point + matrix[:, 2]``.

Kept beside scikit-image's ``SimilarityTransform`` and insightface's ``norm_crop``, which take one face in numpy: losses
of the training need batches of crops that gradients pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from PIL import Image

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Switch autocast off inside: in bf16 a coordinate near 100 is only known to half a pixel."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return function(*args, **kwargs)

    return wrapped


ARCFACE_TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""The five points of ArcFace's 112 px crop (InsightFace, MIT): subject's right and left eye, nose tip, mouth corners
right and left."""

AT_ONCE = 8
"""Pictures that are made floats at a time."""

CROP = 96
"""Side in pixels of the aligned crop our own identity networks read."""

STABLE = (
    10, 338, 297, 284, 251, 389, 356, 454, 234, 127, 162, 21, 54, 67, 109, 33, 133, 263, 362, 168, 6, 197, 195, 5, 4,
)  # fmt: skip
"""Landmarks that hardly move with the expression: forehead, temples, eye corners, bridge of the nose."""

STUDIO_RADIUS = 0.235
"""Root mean square 3-D distance of the stable landmarks to their centroid, as a share of the studio picture's side
(mean over renders; it varies by 5 %)."""

STUDIO_CENTRE = (0.5, 0.408)
"""Where that centroid lies in a studio picture, as a share of its side."""


def five_points(landmarks: Tensor) -> Tensor:
    """The five points of ``ARCFACE_TEMPLATE`` from [..., 478, 2 or 3] landmarks -> [..., 5, 2].

    Eyes are the middle of their corners, so that gaze and blinks do not move the crop. Five points stay what they are.
    """
    points = landmarks[..., :2]
    if points.shape[-2] == len(ARCFACE_TEMPLATE):
        return points
    right = points[..., [33, 133], :].mean(-2)
    left = points[..., [263, 362], :].mean(-2)
    return torch.stack([right, left, points[..., 1, :], points[..., 61, :], points[..., 291, :]], -2)


@full_precision
def similarity(source: Tensor, target: Tensor) -> Tensor:
    """Least-squares rotation, uniform scale and shift (no reflection) from ``source`` to ``target``, both [..., N, 2].

    Returns:
        [..., 2, 3]. The closed form of Umeyama (1991) in two dimensions, by complex numbers.
    """
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    s, t = source - source_mean[..., None, :], target - target_mean[..., None, :]
    power = s.square().sum((-1, -2)).clamp_min(1e-8)
    cos = (s * t).sum((-1, -2)) / power
    sin = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(-1) / power
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    shift = target_mean - (linear @ source_mean[..., None])[..., 0]
    return torch.cat([linear, shift[..., None]], -1)


@full_precision
def transform_points(matrix: Tensor, points: Tensor) -> Tensor:
    """Points [..., N, 2 or 3] under matrices [..., 2, 3]; a third coordinate is multiplied by the scale."""
    linear, shift = matrix[..., :2], matrix[..., 2]
    moved = points[..., :2] @ linear.transpose(-1, -2) + shift[..., None, :]
    if points.shape[-1] == 2:
        return moved
    scale = torch.linalg.det(linear).abs().sqrt()
    return torch.cat([moved, points[..., 2:] * scale[..., None, None]], -1)


@full_precision
def invert(matrix: Tensor) -> Tensor:
    """The matrix [..., 2, 3] of the way back."""
    linear = torch.linalg.inv(matrix[..., :2])
    return torch.cat([linear, -(linear @ matrix[..., 2:])], -1)


@full_precision
def compose(second: Tensor, first: Tensor) -> Tensor:
    """The matrix that applies ``first``, then ``second``, both [..., 2, 3]."""
    linear = second[..., :2] @ first[..., :2]
    return torch.cat([linear, second[..., :2] @ first[..., 2:] + second[..., 2:]], -1)


@full_precision
def warp(images: Tensor, matrix: Tensor, size: int, *, padding: str = "border") -> Tensor:
    """Crops [B, C, size, size] of pictures [B, C, H, W] under matrices [B, 2, 3] (picture to crop), bilinear.

    Nothing is filtered: where the crop shrinks the picture by more than about 1.5, shrink first (see ``crop_picture``).

    Args:
        images: any float pictures.
        matrix: picture pixels to crop pixels.
        size: side of the crops.
        padding: what lies outside the picture: "border", "reflection" or "zeros".
    """
    height, width = images.shape[-2:]
    back = invert(matrix.float())
    # affine_grid's coordinates: -1 and 1 are the outer edges, for source and crop alike (align_corners=False)
    to_unit = torch.tensor([2.0 / width, 2.0 / height], device=images.device)
    linear = back[..., :2] * (size / 2) * to_unit[:, None]
    middle = back[..., :2].sum(-1) * (size / 2) + back[..., 2]
    theta = torch.cat([linear, (middle * to_unit - 1)[..., None]], -1)
    grid = F.affine_grid(theta, [len(images), images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), mode="bilinear", padding_mode=padding, align_corners=False)


@full_precision
def warp_filtered(images: Tensor, matrix: Tensor, size: int, *, padding: str = "border") -> Tensor:
    """As :func:`warp`, for crops that shrink the picture: whole blocks of pixels are averaged first.

    So every pixel of the face counts, and gets a gradient. Blocks are as large as they can be without making any of
    the crops unsharp; below a factor of 2 nothing is averaged.
    """
    scale = torch.linalg.det(matrix[..., :2].float()).abs().sqrt().amax()
    block = min(int(1 / scale.clamp_min(1e-6)), *images.shape[-2:])
    if block > 1:
        images = F.avg_pool2d(images, block)
        matrix = torch.cat([matrix[..., :2] * block, matrix[..., 2:]], -1)
    return warp(images, matrix, size, padding=padding)


@full_precision
def filtered_crops(images: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Crops of pictures as files hold them, each shrunk by as much as it needs itself, whatever is in the batch beside.

    A few pictures at a time are made floats, which then stay in a processor's cache, and in bytes' units: only crops
    are brought to [-1, 1].

    Args:
        images: uint8 [B, H, W, 3].
        matrices: picture pixels to crop pixels, [B, K, 2, 3] of K crops of each picture.
        size: side of the crops.

    Returns:
        Float32 [B, K, 3, size, size] in [-1, 1]; see :func:`warp_filtered`.
    """
    scales = torch.linalg.det(matrices[..., :2].float()).abs().sqrt().clamp_min(1e-6)
    blocks = (1 / scales).int().clamp_min(1)
    crops = torch.empty(*matrices.shape[:2], 3, size, size, device=images.device)
    for start in range(0, len(images), AT_ONCE):
        pictures = images[start : start + AT_ONCE].permute(0, 3, 1, 2).float()
        for kind in range(matrices.shape[1]):
            own = blocks[start : start + AT_ONCE, kind]
            for block in own.unique():
                rows = (own == block).nonzero()[:, 0]
                crops[start + rows, kind] = warp_filtered(pictures[rows], matrices[start + rows, kind], size)
    return crops.div_(127.5).sub_(1)


def filtered_crop(images: Tensor, matrix: Tensor, size: int) -> Tensor:
    """One crop of each picture, float32 [B, 3, size, size], by matrices [B, 2, 3]; see :func:`filtered_crops`."""
    return filtered_crops(images, matrix[:, None], size)[:, 0]


def arcface_matrix(landmarks: Tensor, size: int = CROP) -> Tensor:
    """Matrices [B, 2, 3] that bring faces onto ArcFace's template, scaled from 112 to ``size``.

    Args:
        landmarks: [B, 478, 2 or 3], or the five points of the template [B, 5, 2].
        size: side of the crop.
    """
    template = torch.tensor(ARCFACE_TEMPLATE, device=landmarks.device) * (size / 112)
    return similarity(five_points(landmarks).float(), template)


def align_batch(images: Tensor, landmarks: Tensor, size: int = CROP) -> Tensor:
    """Aligned tight crops [B, 3, size, size] of pictures [B, 3, H, W] with landmarks [B, 478, 2 or 3] in pixels."""
    return warp(images, arcface_matrix(landmarks, size), size)


def judge_identity_matrix(landmarks: Tensor, size: int = CROP) -> Tensor:
    """The identity judge's own crop: eyes and mouth on the template, 12 % closer than ``arcface_matrix``, no nose."""
    points = five_points(landmarks).float()[..., [0, 1, 3, 4], :]
    template = torch.tensor(ARCFACE_TEMPLATE, device=landmarks.device)[[0, 1, 3, 4]]
    return similarity(points, ((template - 56.0) * 1.12 + 56.0) * (size / 112))


def judge_face_matrix(landmarks: Tensor, size: int = CROP) -> Tensor:
    """The face judge's crop: the upright square around the landmarks, a tenth larger; the head's roll stays."""
    return box_matrix(landmarks, size, 1.1)


def judge_gaze_matrices(landmarks: Tensor, size: int = 64) -> Tensor:
    """The gaze judge's crops [B, 3, 2, 3]: the subject's right eye, left eye (each 0.9 face radii wide), the face.

    Squares stay upright; their side follows the face's 3-D size, so that a turned head does not change the scale.
    """
    points, radius = landmarks[..., :2].float(), face_place(landmarks)[..., 2]
    scale = size / (0.9 * radius).clamp_min(1e-6)
    eyes = [
        scale_and_shift(scale, size / 2 - scale[..., None] * points[..., corners, :].mean(-2))
        for corners in ([33, 133], [263, 362])
    ]
    return torch.stack([*eyes, judge_face_matrix(landmarks, size)], -3)


def judge_face_crops(images: Tensor, landmarks: Tensor, size: int) -> Tensor:
    """What the face judge reads, [B, 3, size, size], in pictures uint8 [B, H, W, 3] with landmarks [B, 478, 2 or 3]."""
    return filtered_crop(images, judge_face_matrix(landmarks, size), size)


def judge_gaze_crops(images: Tensor, landmarks: Tensor, size: int) -> Tensor:
    """What the gaze judge reads, [B, 3, 3, size, size], in pictures uint8 [B, H, W, 3] with landmarks [B, 478, 3]."""
    return filtered_crops(images, judge_gaze_matrices(landmarks, size), size)


def expression_matrix(landmarks: Tensor, size: int = CROP) -> Tensor:
    """The expression encoder's crop: the upright square around the landmarks, a quarter larger."""
    return box_matrix(landmarks, size, 1.25)


def box_matrix(landmarks: Tensor, size: int, margin: float) -> Tensor:
    """Matrices [B, 2, 3] of the upright square around landmarks [B, 478, 2 or 3], ``margin`` times their extent."""
    points = landmarks[..., :2].float()
    low, high = points.amin(-2), points.amax(-2)
    scale = size / (margin * (high - low).amax(-1)).clamp_min(1e-6)
    return scale_and_shift(scale, size / 2 - scale[..., None] * (low + high) / 2)


def studio_matrix(landmarks: Tensor, size: int = 128) -> Tensor:
    """Matrices [B, 2, 3] (scale and shift only) that bring faces [B, 478, 3] into the studio's framing.

    The scale comes from the 3-D spread of the stable landmarks, so that it does not change when the head turns.
    """
    return placed_matrix(landmarks, torch.tensor([*STUDIO_CENTRE, STUDIO_RADIUS], device=landmarks.device) * size)


def placed_matrix(landmarks: Tensor, place: Tensor) -> Tensor:
    """Matrices [..., 2, 3] (scale and shift only) that bring faces [..., 478, 3] to places [..., 3] (`face_place`)."""
    own = face_place(landmarks)
    scale = place[..., 2] / own[..., 2].clamp_min(1e-6)
    return scale_and_shift(scale, place[..., :2] - scale[..., None] * own[..., :2])


def face_place(landmarks: Tensor) -> Tensor:
    """Where a face is and how large, [..., 3] (x, y, radius) pixels, from landmarks [..., 478, 3].

    The centroid of the stable landmarks and their root mean square 3-D distance to it.
    """
    points = landmarks[..., STABLE, :].float()
    middle = points.mean(-2)
    radius = (points - middle[..., None, :]).square().sum(-1).mean(-1).sqrt()
    return torch.cat([middle[..., :2], radius[..., None]], -1)


FRAMINGS: Final = {"box": expression_matrix, "studio": studio_matrix}
"""How an expression encoder's crop is framed -> the matrices of landmarks and the crop's side."""


def scale_and_shift(scale: Tensor, shift: Tensor) -> Tensor:
    """Matrices [..., 2, 3] from scales [...] and shifts [..., 2]."""
    linear = scale[..., None, None] * torch.eye(2, device=scale.device)
    return torch.cat([linear, shift[..., None]], -1)


def crop_picture(image: Image.Image, matrix: Tensor, size: int) -> Image.Image:
    """Crop one PIL picture under a matrix [2, 3] of any similarity, antialiased; outside it the border is repeated."""
    from PIL import Image

    scale = float(torch.linalg.det(matrix[:, :2].double()).abs().sqrt())
    factor = min(1.0, 1.0 / max(1e-6, 1.0 / scale))
    if factor < 1.0:
        # PIL's resize filters; what is left for the bilinear step is a turn and a shift without shrinking
        width, height = (max(1, round(side * factor)) for side in image.size)
        fx, fy = width / image.width, height / image.height
        matrix = matrix.clone()
        matrix[:, 0] /= fx
        matrix[:, 1] /= fy
        image = image.resize((width, height), Image.Resampling.BOX if factor < 0.1 else Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float()
    crop = warp(pixels, matrix[None].float(), size)[0].permute(1, 2, 0)
    return Image.fromarray(crop.round().clamp(0, 255).byte().numpy())


def studio_crop(image: Image.Image, landmarks: np.ndarray, size: int = 128) -> tuple[Image.Image, np.ndarray, Tensor]:
    """Bring any photograph into the studio's frame.

    Args:
        image: RGB picture.
        landmarks: [478, 3] pixels of it.
        size: side of the crop.

    Returns:
        The crop, the landmarks [478, 3] in its pixels, and the matrix [2, 3] from picture to crop.
    """
    points = torch.from_numpy(np.asarray(landmarks, np.float32))
    matrix = studio_matrix(points[None], size)[0]
    return crop_picture(image, matrix, size), transform_points(matrix, points).numpy(), matrix


def paste(picture: Image.Image, crop: Tensor, matrix: Tensor) -> Image.Image:
    """A crop [1, 3, S, S] in [0, 1] brought back by ``matrix`` [1, 2, 3] into a picture's frame (edges repeat)."""
    from PIL import Image

    width, height = picture.size
    whole = warp(crop, matrix, max(width, height))[0, :, :height, :width]
    return Image.fromarray((whole.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
