"""What a training run is: a preset is one of these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainConfig(BaseModel):
    """One stage of training. Budgets are in pictures, so that they mean the same at any batch size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    objective: str  # dotted "module:Class" below mien.training.objectives
    options: dict[str, Any] = Field(
        default_factory=dict
    )  # keyword arguments of the objective, checked by its signature
    needs: tuple[str, ...] = ()  # presets whose results this one reads, the first that has a part
    pictures: int = Field(gt=0)
    batch: int = Field(default=40, gt=0)
    lr: float = Field(default=4e-4, gt=0)
    warmup: int = Field(default=4000, ge=0)  # pictures of linear warm-up
    decay: float = Field(default=0.4, ge=0, le=1)  # last fraction of the budget over which the rate falls linearly
    final_lr: float = Field(default=0.03, ge=0, le=1)  # what is left of the rate at the end
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.0  # gradient norm
    ema: float = 7.0  # power-function EMA: weight (1 - 1/(n+1))^(ema+1) on the past; 0 turns it off
    precision: Literal["no", "bf16"] = "bf16"
    seed: int = 0
    checkpoint_minutes: float = 4.0
    log_every: int = 50  # steps


def learning_rate(config: TrainConfig, seen: int) -> float:
    """Rate after ``seen`` pictures: linear warm-up, constant, linear decay over the last ``decay`` of the budget."""
    warm = min(1.0, (seen + config.batch) / config.warmup) if config.warmup else 1.0
    start = config.pictures * (1 - config.decay)
    if seen <= start or not config.decay:
        return config.lr * warm
    rest = (config.pictures - seen) / (config.pictures - start)
    return config.lr * warm * max(config.final_lr, rest)
