"""The networks behind the studio's face reader, and the judges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.core.io import read_json
from mien.errors import BadInput
from mien.faces.networks.detector import Detector
from mien.faces.networks.embedder import IdentityEmbedder
from mien.faces.networks.expression import ExpressionEncoder
from mien.faces.networks.expression_reader import ExpressionReader
from mien.faces.networks.judges import JudgeAttributes, JudgeFace, JudgeGaze, JudgeIdentity
from mien.faces.networks.reader_net import StudioFaceNet

_EXPRESSION: Mapping[str, type[ExpressionEncoder | ExpressionReader]] = {
    kind.__name__: kind for kind in (ExpressionEncoder, ExpressionReader)
}


def expression_encoder_type(folder: Path) -> type[ExpressionEncoder | ExpressionReader] | None:
    """Class of the expression encoder in a folder; None if it is none of ours, such as CLIP.

    Example:
        >>> from mien.assets import embedded
        >>> from mien.faces.networks import expression_encoder_type
        >>> expression_encoder_type(embedded("studio") / "expression_encoder").__name__
        'ExpressionEncoder'
    """
    return _EXPRESSION.get(read_json(folder / "config.json").get("_class_name"))


def open_expression_encoder(folder: Path) -> ExpressionEncoder | ExpressionReader:
    """The expression encoder in a folder, float32, in evaluation mode.

    Raises:
        BadInput: if it is none of ours.

    Example:
        >>> import torch
        >>> from mien.assets import embedded
        >>> from mien.faces.networks import expression_input, open_expression_encoder
        >>> encoder = open_expression_encoder(embedded("studio") / "expression_encoder")
        >>> side = expression_input(encoder.config)["size"]
        >>> encoder(torch.zeros(1, 3, side, side)).shape[0]
        1
    """
    kind = expression_encoder_type(folder)
    if kind is None:
        raise BadInput(f"{folder} holds no {' or '.join(_EXPRESSION)}: give the folder of an expression encoder.")
    return kind.from_pretrained(folder).float().eval()


def expression_input(config: Any) -> dict[str, Any]:
    """The crop that an expression encoder reads, from its configuration: ``size`` in pixels and ``framing``.

    Args:
        config: ours, as diffusers or a file has it, or transformers' of a CLIP vision model.

    Example:
        >>> from mien.faces.networks import ExpressionEncoder, expression_input
        >>> expression_input(ExpressionEncoder(size=32, widths=(8, 8)).config)
        {'size': 96, 'framing': 'box'}
    """
    settings = config if isinstance(config, Mapping) else config.to_dict()
    return {"size": int(settings.get("image_size", 96)), "framing": settings.get("framing", "box")}


__all__ = [
    "Detector",
    "ExpressionEncoder",
    "ExpressionReader",
    "IdentityEmbedder",
    "JudgeAttributes",
    "JudgeFace",
    "JudgeGaze",
    "JudgeIdentity",
    "StudioFaceNet",
    "expression_encoder_type",
    "expression_input",
    "open_expression_encoder",
]
