"""MediaPipe's face detector (BlazeFace, short range) as a torch module: boxes and six points of every face.

The network comes from ``face_landmarker.task``; anchors, decoding and weighted suppression are those of MediaPipe's
graph (Bazarevsky et al. 2019, arXiv 1907.05047, and the package's face_detector graph, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn

from mien.faces.alignment import full_precision, warp
from mien.faces.graph import Graph
from mien.faces.mediapipe_torch import corner_to_corner

SIDE = 128
"""Side in pixels of the detector's picture."""
STRIDES = ((8, 2), (16, 6))
"""(pixels a cell, anchors in it) of the two grids whose outputs the network puts in a row: 512 and 384 anchors."""
OVERLAP = 0.3
"""Intersection over union from which two detections are one face."""


@cache
def anchors() -> Tensor:
    """Middles [896, 2] of the anchors in shares of the side; all are as large as the picture."""
    found = []
    for stride, each in STRIDES:
        cells = SIDE // stride
        axis = (torch.arange(cells) + 0.5) / cells
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        found.append(torch.stack([x, y], -1).reshape(-1, 1, 2).expand(-1, each, 2).reshape(-1, 2))
    return torch.cat(found)


class BlazeFace(nn.Module):
    """Finds faces; nothing is trained.

    Args:
        net: the graph of ``face_detector.tflite``.
    """

    def __init__(self, net: Graph) -> None:
        super().__init__()
        self.net = net

    @torch.no_grad()
    @full_precision
    def forward(self, pictures: Sequence[Tensor], threshold: float = 0.5) -> list[tuple[Tensor, Tensor]]:
        """Faces of some pictures, the most certain of each first; the network sees all pictures at once.

        Args:
            pictures: B pictures [1, 3, H, W] in [-1, 1], each of its own size.
            threshold: least score, in [0, 1].

        Returns:
            For each picture, on the processor: points [N, 8, 2] in its pixels: two corners of the box, then the
            subject's right eye, left eye, nose, mouth, right ear, left ear; and scores [N].
        """
        scales, shifts, squares = [], [], []
        for picture in pictures:
            height, width = picture.shape[-2:]
            scales.append(SIDE / max(height, width))
            shifts.append(torch.tensor([(SIDE - width * scales[-1]) / 2, (SIDE - height * scales[-1]) / 2]))
            matrix = torch.cat([torch.eye(2) * scales[-1], shifts[-1][:, None]], 1)[None]
            squares.append(warp(picture, corner_to_corner(matrix).to(picture.device), SIDE, padding="zeros"))
        outputs = self.net(torch.cat(squares).permute(0, 2, 3, 1))
        # regressions of all anchors, then their scores
        shape = (len(pictures), len(anchors()), -1)
        raw, logits = (outputs[name].reshape(shape).cpu() for name in self.net.outputs)
        found = []
        for own, certain, scale, shift in zip(raw, logits[..., 0], scales, shifts, strict=True):
            scores = certain.clamp(-100, 100).sigmoid()
            rows = (scores >= threshold).nonzero()[:, 0]
            kept, scores = suppress(decode(own[rows], anchors()[rows]), scores[rows])
            found.append(((kept * SIDE - shift) / scale, scores))
        return found


def decode(raw: Tensor, middles: Tensor) -> Tensor:
    """Points [N, 8, 2] in shares of the side: corners of the box, then six points; from outputs [N, 16] and anchors."""
    pairs = raw.reshape(-1, 8, 2) / SIDE
    centre, size, points = pairs[:, 0] + middles, pairs[:, 1], pairs[:, 2:] + middles[:, None]
    return torch.cat([(centre - size / 2)[:, None], (centre + size / 2)[:, None], points], 1)


def suppress(points: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted suppression: detections that overlap the best one are averaged with it by their scores.

    Args:
        points: [N, 8, 2], the first two the corners of the box.
        scores: [N].

    Returns:
        Points [K, 8, 2] and scores [K], each of the best of its group; the most certain first.
    """
    order = scores.argsort(descending=True, stable=True)
    points, scores = points[order], scores[order]
    groups, best = [], []
    while len(points):
        together = overlap(points[:1], points) > OVERLAP
        together[0] = True
        weights = scores[together, None, None]
        groups.append((points[together] * weights).sum(0) / weights.sum())
        best.append(scores[0])
        points, scores = points[~together], scores[~together]
    if not groups:
        return points, scores
    return torch.stack(groups), torch.stack(best)


def overlap(one: Tensor, others: Tensor) -> Tensor:
    """Intersection over union [N] of a box with others; [N, 2 or more, 2], the first two points are the corners."""
    low = torch.maximum(one[:, 0], others[:, 0])
    high = torch.minimum(one[:, 1], others[:, 1])
    shared = (high - low).clamp_min(0).prod(-1)
    areas = [(boxes[:, 1] - boxes[:, 0]).clamp_min(0).prod(-1) for boxes in (one, others)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-12)
