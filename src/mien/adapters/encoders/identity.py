"""Identity: a face embedding to a few tokens, in the layout of IP-Adapter-FaceID."""

from __future__ import annotations

from torch import Tensor, nn

from mien.adapters.encoders.base import ConditionEncoder, start_from_input


class IdentityProjection(ConditionEncoder):
    """Face embedding -> MLP -> tokens (IP-Adapter-FaceID's ``MLPProjModel``: keys proj.0, proj.2, norm).

    Args:
        token_dim: D, width of a token.
        embedding_dim: width of the embedding (512 for ArcFace).
        hidden: width of the MLP; upstream takes twice the embedding.
        tokens: N, number of tokens.

    Example:
        >>> import torch
        >>> from mien.adapters.encoders import IdentityProjection
        >>> IdentityProjection(token_dim=16, hidden=8, tokens=4)(torch.zeros(2, 512)).shape
        torch.Size([2, 4, 16])
    """

    def __init__(self, token_dim: int, embedding_dim: int = 512, hidden: int = 1024, tokens: int = 4) -> None:
        super().__init__()
        self.tokens = tokens
        self.condition_shape = (embedding_dim,)
        self.proj = nn.Sequential(nn.Linear(embedding_dim, hidden), nn.GELU(), nn.Linear(hidden, token_dim * tokens))
        self.norm = nn.LayerNorm(token_dim)
        start_from_input(self.proj)

    def forward(self, embedding: Tensor) -> Tensor:
        """Embedding [B, E] of L2 norm 1 (zeros for nobody) -> tokens [B, N, D]."""
        return self.norm(self.proj(embedding).unflatten(1, (self.tokens, -1)))
