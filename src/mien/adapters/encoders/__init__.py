"""Condition encoders: what turns a condition into the tokens c_b [B, N, D] of a branch."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from mien.adapters.encoders.base import ConditionEncoder
from mien.adapters.encoders.emotion import EmotionEncoder
from mien.adapters.encoders.expression import ExpressionProjection
from mien.adapters.encoders.identity import IdentityProjection
from mien.adapters.encoders.landmarks import LandmarkEncoder
from mien.adapters.encoders.resampler import FaceResampler, Resampler
from mien.core.pixels import pictures_to_tensor
from mien.errors import ConfigError

Kind = Literal["identity", "expression", "landmarks", "emotion"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ENCODERS: dict[str, type[ConditionEncoder]] = {
    "identity": IdentityProjection,
    "expression": ExpressionProjection,
    "landmarks": LandmarkEncoder,
    "emotion": EmotionEncoder,
}


_TYPES: dict[str, type[ConditionEncoder]] = {
    "linear": ExpressionProjection,
    "mlp": IdentityProjection,
    "resampler": Resampler,
    "face resampler": FaceResampler,
}
"""Encoders that may stand in the place of a kind's own, by the ``type`` in their settings: adapters of others have
them."""


def build_encoder(kind: str, token_dim: int, settings: dict[str, Any]) -> ConditionEncoder:
    """Build the encoder of a branch.

    Args:
        kind: one of :data:`KINDS`.
        token_dim: D, the width of its tokens.
        settings: the encoder's own keyword arguments, and its ``type`` where it is not the kind's own.

    Raises:
        ConfigError: for an unknown kind, an unknown setting or a missing one.

    Example:
        >>> from mien.adapters.encoders import build_encoder
        >>> type(build_encoder("emotion", 16, {"hidden": 8, "tokens": 2})).__name__
        'EmotionEncoder'
    """
    if kind not in _ENCODERS:
        raise ConfigError(f"A branch of kind {kind!r} is unknown; choose among {', '.join(KINDS)}.")
    own = dict(settings)
    chosen = own.pop("type", None)
    if chosen is not None and chosen not in _TYPES:
        raise ConfigError(f"An encoder of type {chosen!r} is unknown; choose among {', '.join(_TYPES)}.")
    try:
        return (_ENCODERS[kind] if chosen is None else _TYPES[chosen])(token_dim=token_dim, **own)
    except TypeError as error:
        raise ConfigError(f"The settings of the {kind} encoder do not fit ({error}); check their names.") from error


def encode(encoder: ConditionEncoder, condition: Tensor) -> Tensor:
    """Run an encoder on a condition in the encoder's own dtype; see each encoder for shapes.

    Example:
        >>> import torch
        >>> from mien.adapters.encoders import EmotionEncoder, encode
        >>> encode(EmotionEncoder(16, hidden=8), torch.zeros(1, 10, dtype=torch.float64)).dtype
        torch.float32
    """
    parameter = next(encoder.parameters())
    condition = condition.to(parameter.device)
    if condition.dtype == torch.uint8:  # pictures [B, H, W, 3]: a quarter of the size on the way here
        condition = pictures_to_tensor(condition)
    return encoder(condition.to(parameter.dtype))


__all__ = [
    "KINDS",
    "ConditionEncoder",
    "EmotionEncoder",
    "ExpressionProjection",
    "FaceResampler",
    "IdentityProjection",
    "Kind",
    "LandmarkEncoder",
    "Resampler",
    "build_encoder",
    "encode",
]
