"""Condition encoders: what turns a condition into the tokens c_b [B, N, D] of a branch."""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch import Tensor

from mien.adapters.encoders.base import ConditionEncoder
from mien.adapters.encoders.emotion import EmotionEncoder
from mien.adapters.encoders.expression import ExpressionProjection
from mien.adapters.encoders.identity import IdentityProjection
from mien.adapters.encoders.landmarks import LandmarkEncoder
from mien.errors import ConfigError

Kind = Literal["identity", "expression", "landmarks", "emotion"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ENCODERS: dict[str, type[ConditionEncoder]] = {
    "identity": IdentityProjection,
    "expression": ExpressionProjection,
    "landmarks": LandmarkEncoder,
    "emotion": EmotionEncoder,
}


def build_encoder(kind: str, token_dim: int, settings: dict[str, Any]) -> ConditionEncoder:
    """Build the encoder of a branch.

    Args:
        kind: one of :data:`KINDS`.
        token_dim: D, the width of its tokens.
        settings: the encoder's own keyword arguments.

    Raises:
        ConfigError: for an unknown kind, an unknown setting or a missing one.
    """
    if kind not in _ENCODERS:
        raise ConfigError(f"A branch of kind {kind!r} is unknown; choose among {', '.join(KINDS)}.")
    try:
        return _ENCODERS[kind](token_dim=token_dim, **settings)
    except TypeError as error:
        raise ConfigError(f"The settings of the {kind} encoder do not fit ({error}); check their names.") from error


def encode(encoder: ConditionEncoder, condition: Tensor) -> Tensor:
    """Run an encoder on a condition in the encoder's own dtype; see each encoder for shapes."""
    parameter = next(encoder.parameters())
    return encoder(condition.to(device=parameter.device, dtype=parameter.dtype))


__all__ = [
    "KINDS",
    "ConditionEncoder",
    "EmotionEncoder",
    "ExpressionProjection",
    "IdentityProjection",
    "Kind",
    "LandmarkEncoder",
    "build_encoder",
    "encode",
]
