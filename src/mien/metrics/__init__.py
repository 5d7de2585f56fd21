"""Metrics as pure functions of numpy arrays, in a module for each subject: ``metrics.expression.exp_distance``."""

from __future__ import annotations

from mien.metrics import (
    declared,
    distributions,
    diversity,
    emotion,
    expression,
    gaze,
    groups,
    identity,
    leak,
    parameters,
    pose,
    reconstruction,
    spectrum,
    transfer,
)

__all__ = [
    "declared",
    "distributions",
    "diversity",
    "emotion",
    "expression",
    "gaze",
    "groups",
    "identity",
    "leak",
    "parameters",
    "pose",
    "reconstruction",
    "spectrum",
    "transfer",
]
