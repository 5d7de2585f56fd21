"""Frozen networks that say who a generated picture shows and which expression, with gradients to its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from mien.faces.alignment import CROP, arcface_matrix, warp_filtered
from mien.faces.arcface_embedder import ARCFACE_SIDE
from mien.faces.graph import Graph

if TYPE_CHECKING:
    from mien.faces.networks import StudioFaceNet


class OneOutput(nn.Module):
    """Embeddings [B, D] of a network that names its outputs: the first.

    Args:
        graph: the network.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, crops: Tensor) -> Tensor:
        """[B, 3, S, S] in [-1, 1] -> [B, D]."""
        return self.graph(crops)[self.graph.outputs[0]].flatten(1)


class StudioExpressionHead(nn.Module):
    """Blendshapes as the studio's face reader sees them, in whole pictures in the studio's framing.

    Args:
        network: a `StudioFaceNet`.
    """

    def __init__(self, network: StudioFaceNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor, points: Tensor) -> Tensor:
        """See :func:`expression_head`; the landmarks are not needed."""
        side = self.network.config["size"]
        if pictures.shape[-1] != side:
            pictures = F.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
        return self.network(pictures)["blendshapes"].sigmoid()


class FaceHeads(nn.Module):
    """Who pictures show, and which expression.

    Args:
        identity: see :func:`identity_head`.
        expression: see :func:`expression_head`.
    """

    def __init__(self, identity: Path, expression: Path) -> None:
        super().__init__()
        self.embedder, self.crop = identity_head(identity)
        self.reader = expression_head(expression)

    def person(self, pictures: Tensor, points: Tensor) -> Tensor:
        """Embeddings [B, D] of pictures [B, 3, H, W] in [-1, 1] with landmarks [B, 478, 2 or 3] in their pixels."""
        return self.embedder(warp_filtered(pictures, arcface_matrix(points, self.crop), self.crop))

    def expression(self, pictures: Tensor, points: Tensor) -> Tensor:
        """Blendshapes [B, 52] in [0, 1] of the same."""
        return self.reader(pictures, points)


def identity_head(place: Path) -> tuple[nn.Module, int]:
    """What embeds aligned crops [B, 3, S, S] in [-1, 1], and S; only the direction of an embedding counts.

    Args:
        place: the folder of an `IdentityEmbedder`, or an ArcFace network as an ONNX file.
    """
    if place.is_dir():
        from mien.faces.networks import IdentityEmbedder

        return _frozen(IdentityEmbedder.from_pretrained(place)), CROP
    from mien.faces.torch_onnx import onnx_graph, picture_side

    return _frozen(OneOutput(onnx_graph(place))), picture_side(place, ARCFACE_SIDE)


def expression_head(place: Path) -> nn.Module:
    """Pictures [B, 3, H, W] in [-1, 1] and landmarks [B, 478, 3] of the faces in them -> blendshapes [B, 52] in [0, 1].

    The landmarks say where to look, and get no gradient.

    Args:
        place: the folder of a `StudioFaceNet`, or MediaPipe's ``face_landmarker.task``.
    """
    if place.is_dir():
        from mien.faces.networks import StudioFaceNet

        return _frozen(StudioExpressionHead(StudioFaceNet.from_pretrained(place)))
    from mien.faces.mediapipe_torch import TorchFaceLandmarker

    return _frozen(TorchFaceLandmarker(place))


def _frozen(head: nn.Module) -> nn.Module:
    return head.float().eval().requires_grad_(False)
