"""Emotion: valence, arousal and eight class probabilities to a few tokens (FaceCrafter's emotion module)."""

from __future__ import annotations

from torch import Tensor, nn

from mien.adapters.encoders.base import ConditionEncoder, start_from_input

CONDITION_DIM = 10


class EmotionEncoder(ConditionEncoder):
    """[valence, arousal, p(8 classes)] -> MLP -> reshaped to a sequence (FaceCrafter sec. 3.1; layout *inferred*).

    Args:
        token_dim: D, width of a token.
        hidden: width of the MLP.
        tokens: N, number of tokens.

    Example:
        >>> import mien
        >>> import torch
        >>> from mien.adapters.encoders import EmotionEncoder
        >>> encoder = EmotionEncoder(token_dim=16, hidden=8, tokens=4)
        >>> encoder(torch.tensor([mien.Emotion.of("happy").vector()])).shape
        torch.Size([1, 4, 16])
    """

    def __init__(self, token_dim: int, hidden: int = 256, tokens: int = 4) -> None:
        super().__init__()
        self.tokens = tokens
        self.condition_shape = (CONDITION_DIM,)
        self.net = nn.Sequential(
            nn.Linear(CONDITION_DIM, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, token_dim * tokens),
        )  # fmt: skip
        self.norm = nn.LayerNorm(token_dim)
        start_from_input(self.net)

    def forward(self, emotion: Tensor) -> Tensor:
        """Emotion [B, 10]: valence and arousal in [-1, 1], probabilities in EmoNet's order -> tokens [B, N, D]."""
        return self.norm(self.net(emotion).unflatten(1, (self.tokens, -1)))
