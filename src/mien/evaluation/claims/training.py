"""Whether an arm trained at all, read from the folder of its run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.core.io import read_json
from mien.core.log import read_lines
from mien.evaluation.claims.catalogue import TrainedBounds
from mien.pipelines.runs import RateSchedule

if TYPE_CHECKING:
    from mien.pipelines.spec import ModelSpec


class ArmTraining(NamedTuple):
    """What a training run did.

    Attributes:
        run: name of its folder.
        seen: pictures.
        full_rate_steps: optimizer steps, each counted by its share of the full learning rate.
        weight_change: norm of the change of the weights over the norm of those it started from; None where the log
            does not say.
        gap: the largest 1 - right / shuffled over the timesteps of the last validation; None without such a pair.
    """

    run: str
    seen: int
    full_rate_steps: float
    weight_change: float | None
    gap: float | None

    def untrained(self, bounds: TrainedBounds) -> str | None:
        """Why a claim about this arm is not tested; None if it trained."""
        if self.full_rate_steps < bounds.full_rate_steps:
            return (
                f"{self.run} took {self.full_rate_steps:.0f} steps at full rate, fewer than {bounds.full_rate_steps:g}"
            )
        if self.weight_change is not None and self.weight_change < bounds.weight_change:
            return f"the weights of {self.run} moved by {self.weight_change:.2%}, less than {bounds.weight_change:.2%}"
        if self.gap is not None and self.gap < bounds.gap:
            return (
                f"{self.run} tells the right condition from a shuffled one by {self.gap:.2%} of the error, less than "
                f"{bounds.gap:.2%}"
            )
        return None

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return self._asdict() | {"full_rate_steps": round(self.full_rate_steps, 1)}


def training_of(folder: Path) -> ArmTraining | None:
    """What a run did, from its ``config.json`` and ``log.jsonl``; None where there is no log."""
    if not (folder / "log.jsonl").is_file() or not (folder / "config.json").is_file():
        return None
    schedule = schedule_of(read_json(folder / "config.json"))
    lines = read_lines(folder / "log.jsonl")
    if not lines:
        return None
    validation = next((line["validation"] for line in reversed(lines) if "validation" in line), {})
    changes = [line["weight_change"] for line in [*lines, validation] if "weight_change" in line]
    seen = int(lines[-1]["seen"])
    return ArmTraining(
        folder.name, seen, schedule.full_rate_steps(seen), float(changes[-1]) if changes else None, gap_of(validation)
    )


def schedule_of(config: Mapping[str, Any]) -> RateSchedule:
    """The schedule of a run's learning rate, from its ``config.json``, also of 0.1.0."""
    return RateSchedule(
        int(config.get("global_batch", config.get("batch"))), int(config["pictures"]),
        config.get("warmup_images", config.get("warmup", 0)), config.get("lr_decay_fraction", config.get("decay", 0.0)),
        config.get("final_lr", 0.0),
    )  # fmt: skip


def gap_of(validation: Mapping[str, float]) -> float | None:
    """The largest 1 - right / shuffled over the timesteps of a validation; None without such a pair."""
    pairs = [(value, validation.get(name.replace("right", "shuffled"))) for name, value in validation.items()
             if "right" in name]  # fmt: skip
    gaps = [1 - right / shuffled for right, shuffled in pairs if shuffled]
    return max(gaps) if gaps else None


def runs_of(spec: ModelSpec) -> list[str]:
    """Names of the training runs that a `mien.pipelines.spec.ModelSpec` takes weights from."""
    from mien.pipelines.spec import run_named

    places = [*spec.adapters.values(), *(getattr(spec, part) for part in spec.model_fields if part in _PARTS)]
    names = [run_named(place) for place in places if place is not None]
    return list(dict.fromkeys(name for name in names if name is not None))


_PARTS = ("unet", "lora", "few_step", "controlnet", "text_encoder", "expression_encoder")
"""Fields of a spec, beside its adapters, that may name a run."""
