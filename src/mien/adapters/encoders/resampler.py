"""Resamplers of IP-Adapter: a few learned queries look at all of an image encoder's tokens (diffusers' own classes)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import IPAdapterFaceIDPlusImageProjection, IPAdapterPlusImageProjection
from torch import Tensor

from mien.adapters.encoders.base import ConditionEncoder

CLIP_TOKENS = 257
"""Tokens of CLIP's ViT-H/14 and ViT-bigG/14 at 224 pixels."""


class Resampler(ConditionEncoder):
    """Image tokens -> N tokens (IP-Adapter Plus).

    Args:
        token_dim: D, width of a token.
        feature_dim: F, width of the image encoder's tokens before its last layer (ViT-H 1280).
        hidden: width inside.
        heads: attention heads, each 64 wide.
        tokens: N, learned queries.
        depth: blocks.

    Attributes:
        absent: features [1, M, F] of a picture of zeros, which stand for none in IP-Adapter Plus; zeros until they are
            set, since only the image encoder knows them.

    Example:
        >>> import torch
        >>> from mien.adapters.encoders import Resampler
        >>> encoder = Resampler(token_dim=16, feature_dim=24, hidden=64, heads=1, tokens=4, depth=1)
        >>> encoder(torch.zeros(2, 9, 24)).shape
        torch.Size([2, 4, 16])
    """

    absent: Tensor | None

    def __init__(
        self,
        token_dim: int,
        feature_dim: int = 1280,
        hidden: int = 768,
        heads: int = 12,
        tokens: int = 16,
        depth: int = 4,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.condition_shape = (CLIP_TOKENS, feature_dim)
        self.net = IPAdapterPlusImageProjection(feature_dim, token_dim, hidden, depth, 64, heads, tokens)
        self.register_buffer("absent", None, persistent=False)

    def null(self, batch: int) -> Tensor:
        """Features of a picture of zeros [B, M, F]."""
        return super().null(batch) if self.absent is None else self.absent.expand(batch, -1, -1)

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, M, F] -> tokens [B, N, D]."""
        return self.net(features)


class FaceResampler(ConditionEncoder):
    """A face embedding, refined by looking at image tokens of the face (IP-Adapter-FaceID Plus and Plus v2).

    Embedding and image tokens come as one condition: see :func:`face_and_picture`.

    Args:
        token_dim: D, width of a token.
        embedding_dim: E, width of the face embedding.
        feature_dim: F, width of the image encoder's tokens before its last layer (ViT-H 1280).
        heads: attention heads, each 64 wide.
        tokens: N.
        depth: blocks.
        shortcut: tokens of the embedding plus what the picture adds (v2); else only the latter (v1).

    Example:
        >>> import torch
        >>> from mien.adapters.encoders import FaceResampler
        >>> from mien.adapters.encoders.resampler import face_and_picture
        >>> encoder = FaceResampler(token_dim=64, embedding_dim=32, feature_dim=24, heads=1, tokens=4, depth=1)
        >>> encoder(face_and_picture(torch.zeros(2, 32), torch.zeros(2, 9, 24))).shape
        torch.Size([2, 4, 64])
    """

    looks = True

    def __init__(
        self, token_dim: int, embedding_dim: int = 512, feature_dim: int = 1280, heads: int = 12, tokens: int = 4,
        depth: int = 4, shortcut: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.tokens = tokens
        self.embedding_dim, self.feature_dim = embedding_dim, feature_dim
        self.condition_shape = (1 + CLIP_TOKENS, max(embedding_dim, feature_dim))
        self.net = IPAdapterFaceIDPlusImageProjection(
            token_dim, token_dim, feature_dim, embedding_dim, depth, 64, heads, tokens
        )
        self.net.shortcut = shortcut

    def forward(self, condition: Tensor) -> Tensor:
        """Condition [B, 1 + M, max(E, F)] -> tokens [B, N, D]."""
        # diffusers' class takes the picture's features from an attribute: [B, 1, M, F]
        net: Any = self.net
        net.clip_embeds = condition[:, None, 1:, : self.feature_dim]
        try:
            return net(condition[:, 0, : self.embedding_dim])
        finally:
            net.clip_embeds = None


def face_and_picture(embedding: Tensor, features: Tensor) -> Tensor:
    """The condition of :class:`FaceResampler`.

    Args:
        embedding: face embeddings [B, E], L2 norm 1.
        features: tokens before the last layer of CLIP's image encoder, of the face crop [B, M, F].

    Returns:
        [B, 1 + M, max(E, F)], the embedding in the first row.
    """
    width = max(embedding.shape[-1], features.shape[-1])
    rows = [F.pad(part, (0, width - part.shape[-1])) for part in (embedding[:, None].to(features), features)]
    return torch.cat(rows, 1)
