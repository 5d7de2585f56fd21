"""A run says whether it trained: full-rate steps, weight change and gaps, in its log and in trained.json."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.core.io import read_json
from mien.training.config import WARMUP_SHARE, TrainConfig, learning_rate
from mien.training.loop import fit
from mien.training.objective import Logs, Objective
from mien.training.presets import PRESETS
from mien.training.proof import START, TRAINED, WeightChange, is_due, part_of
from mien.training.run import resolve
from mien.training.validation import right_and_shuffled


class Follower(Objective):
    """y = w c under a condition c, and a part that begins at zero; its gap is that of the paper's measure."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({"one": nn.Linear(1, 1, bias=False), "two": nn.Linear(1, 1, bias=False)})
        self.frozen = nn.BatchNorm1d(1).eval().requires_grad_(False)
        for name, weight in (("one", 0.5), ("two", 0.0)):
            nn.init.constant_(self.branches[name].weight, weight)  # type: ignore[arg-type]
        self.measured: list[float] = []

    def batch(self, corpus: Any, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        return {"c": torch.from_numpy(rng.normal(size=(size, 1))).float()}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        c = batch["c"]
        found = self.branches["one"](c) + self.branches["two"](c) + 0.0 * torch.rand(1)
        return (found - 3 * c).pow(2).mean(), {}

    def gaps(self, corpus: Any) -> Logs:
        assert not self.training and not torch.is_grad_enabled()
        torch.rand(3)  # a validation may draw what it likes
        weight = self.branches["one"].weight
        assert isinstance(weight, torch.Tensor)
        self.measured.append(weight.item())
        return {"right_900": 2.0, "shuffled_900": 2.0 + self.measured[-1], "gap": self.measured[-1] / 2}

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)


HELD_OUT: Any = SimpleNamespace(held_out=SimpleNamespace(), digest="", on_device=True)


def config(**changes: Any) -> TrainConfig:
    settings = {"name": "line", "objective": "none:none", "pictures": 400, "batch": 10, "lr": 0.01, "weight_decay": 0.0,
                "precision": "no", "log_every": 10}  # fmt: skip
    return TrainConfig.model_validate(settings | changes)


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_spends_more_than_a_twentieth_on_warm_up(name: str) -> None:
    preset = PRESETS[name]
    assert preset.warmup_images <= WARMUP_SHARE * preset.pictures and preset.warning() is None


def test_warm_up_follows_the_length_of_the_run_and_a_longer_one_is_warned_of() -> None:
    assert [config(pictures=n).warmup_images for n in (4, 1600, 80_000, 10**6)] == [0, 80, 4000, 4000]
    ica = resolve("studio-alignment", {"pictures": 1600})
    assert ica.warmup_images == 80 and ica.warning() is None
    assert learning_rate(ica, 160) == ica.lr
    warned = resolve("studio-alignment", {"pictures": 1600, "warmup": 4000}).warning()
    assert warned is not None and "4000 of its 1600 pictures" in warned and "80 or less" in warned


def test_a_run_proves_that_it_trained(tmp_path: Path) -> None:
    objective = Follower()
    fit(config(validations=4), objective, HELD_OUT, tmp_path)
    found = read_json(tmp_path / TRAINED)
    assert found["pictures"] == 400 and found["finished"] and found["steps"] == 40 and found["warmup_images"] == 20
    assert found["full_rate_steps"] == pytest.approx(config().schedule.full_rate_steps(400), abs=0.01)
    change = found["weight_change_by_part"]
    assert change["branches.one"] == pytest.approx(objective_change(objective.measured), rel=1e-4)
    assert change["branches.two"] == 1.0  # from nothing
    assert found["weight_change"] > change["branches.one"]
    assert read_json(tmp_path / "config.json")["warmup_images"] == 20
    assert len(objective.measured) == 5
    assert found["first_gap"] == {"gap": 0.25} and found["last_gap"] == {"gap": objective.measured[-1] / 2}
    lines = logged(tmp_path)
    gaps = [(line["seen"], line["gaps"]["gap"]) for line in lines if "gaps" in line]
    assert [seen for seen, _ in gaps] == [0, 100, 200, 300] and gaps[0][1] == 0.25
    steps = [line for line in lines if "loss" in line]
    assert [line["full_rate_steps"] for line in steps] == [
        pytest.approx(config().schedule.full_rate_steps(10 * n), abs=0.01) for n in (10, 20, 30, 40)
    ]
    assert [line["lr"] for line in steps] == [learning_rate(config(), n) for n in (90, 190, 290, 390)]
    moved = [line["weight_change_by_part"]["branches.one"] for line in steps]
    assert moved[0] > 0 and moved == sorted(moved)
    assert lines[-1]["validation"]["gap"] == objective.measured[-1] / 2


def objective_change(measured: list[float]) -> float:
    """Of the averaged weight that is exported, against the 0.5 it began with."""
    return abs(measured[-1] - 0.5) / 0.5


def test_measuring_changes_nothing_of_the_training(tmp_path: Path) -> None:
    torch.manual_seed(3)
    watched, alone = Follower(), Follower()
    torch.manual_seed(4)
    fit(config(validations=8), watched, HELD_OUT, tmp_path / "watched")
    torch.manual_seed(4)
    fit(config(), alone, SimpleNamespace(held_out=None, digest="", on_device=True), tmp_path / "alone")  # type: ignore[arg-type]
    assert len(watched.measured) == 9 and len(alone.measured) == 1
    for one, other in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(one, other)
    losses = [[line["loss"] for line in logged(tmp_path / name) if "loss" in line] for name in ("watched", "alone")]
    assert losses[0] == losses[1]


def test_a_continued_run_goes_on_with_its_measurements(tmp_path: Path) -> None:
    first = Follower()
    fit(config(), first, HELD_OUT, tmp_path, minutes=0.0)
    paused = read_json(tmp_path / TRAINED)
    assert not paused["finished"] and paused["steps"] == 0 and paused["weight_change"] == 0.0
    fit(config(), Follower(), HELD_OUT, tmp_path)
    found = read_json(tmp_path / TRAINED)
    assert found["finished"] and found["first_gap"] == {"gap": 0.25}
    assert found["weight_change"] > 0
    # a run that began before this was measured says what it knows
    (tmp_path / START).unlink()
    fit(config(pictures=500), Follower(), HELD_OUT, tmp_path)
    found = read_json(tmp_path / TRAINED)
    assert found["steps"] == 50 and found["weight_change"] is None


def test_gaps_are_due_at_even_steps_and_not_at_the_end() -> None:
    two = config(validations=2)
    assert is_due(two, 0, [])
    assert [is_due(two, seen, [{"seen": 0}]) for seen in (10, 190, 200)] == [False, False, True]
    assert not is_due(two, 390, [{"seen": 0}, {"seen": 200}])


def test_the_gap_is_the_share_by_which_the_error_grows() -> None:
    from mien.training.diffusion import studio_scheduler

    torch.manual_seed(0)
    latents, seen = torch.randn(6, 2, 4, 4), torch.randn(6, 2, 4, 4)
    batch = {"latents": latents, "condition": latents, "other": seen}
    order = np.array([1, 2, 3, 4, 5, 0])
    logs = right_and_shuffled(
        studio_scheduler(), lambda given, noised, steps: given["condition"], batch, order,
        {"shuffled": "condition", "other_shuffled": "other"},
    )  # fmt: skip
    right, wrong = (np.mean([logs[f"{name}_{step}"] for step in (900, 600, 300)]) for name in ("right", "shuffled"))
    assert logs["gap"] == pytest.approx(wrong / right - 1) and abs(logs["gap"]) > 0.01
    assert logs["other_gap"] == 0.0


def test_the_change_of_a_part_is_that_of_its_weights(tmp_path: Path) -> None:
    weights = {"unet.a": nn.Parameter(torch.tensor([3.0])), "unet.b": nn.Parameter(torch.tensor([4.0]))}
    weights["branches.landmarks.kv.to_v"] = nn.Parameter(torch.zeros(2))
    change = WeightChange(tmp_path, weights, fresh=True)
    assert change() == {"weight_change": 0.0, "weight_change_by_part": {"branches.landmarks": 0.0, "unet": 0.0}}
    with torch.no_grad():
        weights["unet.a"].add_(1.0)
    assert change() == {"weight_change": 0.2, "weight_change_by_part": {"branches.landmarks": 0.0, "unet": 0.2}}
    assert part_of("net.stem.weight") == "net" and part_of("branches.emotion.encoder.0") == "branches.emotion"
