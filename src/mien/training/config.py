"""What a training run is: a preset is one of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from mien.pipelines.runs import RateSchedule
from mien.training.settings import Settings

Tracker = Literal["tensorboard", "wandb", "trackio"]
"""Where a run's numbers go beside its ``log.jsonl``."""
WARMUP_SHARE = 0.05
"""Largest share of a run that is warm-up: a longer one leaves too few steps at the full rate to learn anything."""
USUAL_WARMUP = 4000
"""Pictures of warm-up of a long run."""


def usual_warmup(pictures: int) -> int:
    """Pictures of warm-up of a run of so many, where nothing else is said."""
    return min(USUAL_WARMUP, int(WARMUP_SHARE * pictures))


class TrainConfig(Settings):
    """One stage of training. Budgets are in pictures, so that they mean the same at any batch size."""

    former_names: ClassVar[Mapping[str, str]] = {
        "needs": "depends_on", "decay": "lr_decay_fraction", "clip": "max_grad_norm", "warmup": "warmup_images",
        "ema": "ema_gamma", "batch": "global_batch",
    }  # fmt: skip

    name: str
    objective: str  # dotted "module:Class" below mien.training.objectives
    options: dict[str, Any] = Field(default_factory=dict)  # of the objective, checked by its own settings
    depends_on: tuple[str, ...] = ()  # presets whose results this one reads, the first that has a part
    pictures: int = Field(gt=0)
    global_batch: int = Field(default=40, gt=0)  # pictures of a step, of all processes together
    accumulate: int = Field(default=1, gt=0)  # parts in which a process computes its share of a step, one by one
    lr: float = Field(default=4e-4, gt=0)
    warmup_images: int = Field(
        default_factory=lambda data: usual_warmup(data.get("pictures", 0)), ge=0
    )  # linear warm-up
    lr_decay_fraction: float = Field(default=0.4, ge=0, le=1)  # last fraction of the budget, the rate falls linearly
    final_lr: float = Field(default=0.03, ge=0, le=1)  # what is left of the rate at the end
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_gamma: float = 7.0  # power-function EMA: weight (1 - 1/(n+1))^(gamma+1) on the past; 0 turns it off
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    frozen: Literal["auto", "full", "compute"] = "auto"  # type of frozen layers; auto: the compute type on a GPU
    seed: int = Field(default=0, ge=0, lt=2**32)  # torch's first weights follow 32 bits alone
    checkpoint_minutes: float = 4.0
    checkpoints: int = Field(default=2, ge=2)  # how many of the last are kept, beside the best
    log_every: int = 50  # steps
    validations: int = Field(default=2, ge=1)  # evenly spaced, the last at the end; one more before the first step
    validate_every: int | None = Field(default=None, gt=0)  # steps; in the place of evenly spaced ones
    grid: int = Field(default=4, ge=0)  # held-out pictures that are drawn at every validation
    trackers: tuple[Tracker, ...] | None = None  # None: TensorBoard where it is installed
    workers: int | None = Field(default=None, ge=0)  # processes that make batches ahead; 0: this one, as they are
    # needed; None: 2 where a GPU computes on pictures above 128 px, else 0
    loss_spike: float | None = Field(default=20.0, gt=1)  # a step whose loss is so many times the usual is skipped
    max_skipped: int = Field(default=10, ge=0)  # of the last 100 steps; beyond, the run stops
    timeout_minutes: float = Field(default=30.0, gt=0)  # how long processes wait for one another
    may_change: tuple[Literal["data", "global_batch", "seed", "processes"], ...] = ()  # when a run is continued

    @property
    def schedule(self) -> RateSchedule:
        """Of the learning rate."""
        return RateSchedule(self.global_batch, self.pictures, self.warmup_images, self.lr_decay_fraction, self.final_lr)

    def warning(self) -> str | None:
        """A sentence on settings with which a run hardly trains; None where there is nothing to say."""
        longest = int(WARMUP_SHARE * self.pictures)
        if self.warmup_images <= max(longest, self.global_batch):  # one step of warm-up is none
            return None
        return (
            f"{self.name} warms up over {self.warmup_images} of its {self.pictures} pictures, more than "
            f"{WARMUP_SHARE:.0%}, which leaves few steps at the full rate: set warmup_images to {longest} or less, or "
            "leave it out."
        )


def learning_rate(config: TrainConfig, seen: int) -> float:
    """Rate after ``seen`` pictures."""
    return config.lr * config.schedule.share(seen)
