"""Expression: features of a face crop from an image encoder to tokens, in the layout of IP-Adapter."""

from __future__ import annotations

from torch import Tensor, nn

from mien.adapters.encoders.base import ConditionEncoder


class ExpressionProjection(ConditionEncoder):
    """Image features -> Linear -> LayerNorm, if ``norm`` (IP-Adapter's ``ImageProjModel``: keys proj, norm).

    Args:
        token_dim: D, width of a token.
        feature_dim: F, width of the encoder's features (CLIP ViT-H 1024, ViT-bigG 1280).
        tokens: N. With pooled features the tokens made of each vector; token-wise, the tokens the encoder gives
            (0: any number).
        pooled: True for features [B, F] (IP-Adapter), False for features [B, N, F], projected token by token.
        grid: side of the square grid of the picture that the features lie on, for a ``local`` branch (*ours*); the
            crop is taken to fill the picture, which portraits nearly do.
        norm: False leaves the layer norm out, for features that are tokens of another branch already (*ours*).

    Example:
        >>> import torch
        >>> from mien.adapters.encoders import ExpressionProjection
        >>> ExpressionProjection(token_dim=16, feature_dim=20, tokens=4)(torch.zeros(2, 20)).shape
        torch.Size([2, 4, 16])
    """

    def __init__(
        self,
        token_dim: int,
        feature_dim: int = 1024,
        tokens: int = 4,
        pooled: bool = True,
        grid: int | None = None,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.tokens = tokens
        self.pooled = pooled
        self.condition_shape = (feature_dim,) if pooled else (tokens or 1, feature_dim)
        self.proj = nn.Linear(feature_dim, token_dim * tokens if pooled else token_dim)
        self.norm = nn.LayerNorm(token_dim) if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F] or [B, N, F] -> tokens [B, N, D]."""
        tokens = self.proj(features)
        return self.norm(tokens.unflatten(1, (self.tokens, -1)) if self.pooled else tokens)
