"""Options are typed and checked before anything is loaded; names of 0.1.0 are still taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.core.caches import DIGEST
from mien.errors import ConfigError
from mien.training.config import TrainConfig
from mien.training.loop import fit
from mien.training.objective import Logs, Objective
from mien.training.presets import PRESETS
from mien.training.run import build_objective, objective_type, options_of, resolve
from mien.training.state import FILE


@pytest.mark.parametrize("name", PRESETS)
def test_every_presets_options_are_those_of_its_objective(name: str) -> None:
    config = PRESETS[name]
    options = options_of(config)
    assert options == options_of(TrainConfig.model_validate_json(config.model_dump_json()))
    assert objective_type(config).config_type is type(options)


@pytest.mark.parametrize(
    ("preset", "options", "said"),
    [
        ("studio-autoencoder", {"emphasise": 1.0}, "options of studio-autoencoder: emphasise: "),
        ("studio-landmarks", {"kind": "landmark"}, "options of studio-landmarks: kind: "),
        ("studio-joint", {"noise": "none"}, ": noise: "),
        ("studio-joint", {"probabilities": [0.5, 0.5]}, ": probabilities.2: "),
        ("studio-few-step", {"branches": {}, "probabilities": {}, "steps": 5}, "studio-few-step: teacher=12"),
    ],
)
def test_options_that_do_not_fit_are_named_before_anything_is_loaded(
    preset: str, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        build_objective(resolve(preset, {"options": options}), tmp_path)


def test_one_option_is_changed_and_the_others_stay() -> None:
    plain = resolve("studio-base", {})
    changed = resolve("studio-base", {"options.aux_loss_fraction": 1.0, "options.gamma": 5.0, "lr": 1e-4})
    assert changed.options == plain.options | {"aux_loss_fraction": 1.0, "gamma": 5.0} and changed.lr == 1e-4
    assert plain.options == PRESETS["studio-base"].options, "a preset is not changed"
    of_0_1_0 = resolve("studio-base", {"options.late": 0.5})
    assert of_0_1_0.options == plain.options | {"aux_loss_fraction": 0.5}
    replaced = resolve("studio-base", {"options": {"gamma": 5.0}, "options.emphasis": 1.0})
    assert replaced.options == {"gamma": 5.0, "emphasis": 1.0}
    with pytest.raises(ConfigError, match=r"options of studio-base: emphasise: "):
        options_of(resolve("studio-base", {"options.emphasise": 1.0}))
    with pytest.raises(ConfigError, match="aux_loss_fraction is given twice, also as late"):
        resolve("studio-base", {"options.late": 0.5, "options.aux_loss_fraction": 0.5})


def test_a_fault_of_the_code_is_not_called_a_wrong_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mien.training.objectives import identity

    def broken(self: Any, config: Any) -> None:
        raise TypeError("a defect")

    monkeypatch.setattr(identity.IdentityObjective, "__init__", broken)
    with pytest.raises(TypeError, match="a defect"):
        build_objective(PRESETS["studio-identity"], tmp_path)


def test_names_of_the_release_before_are_taken() -> None:
    old = {"decay": 0.1, "clip": 2.0, "warmup": 8, "ema": 3.0, "needs": ["studio-identity"]}
    config = resolve("studio-landmarks", old)
    assert (config.lr_decay_fraction, config.max_grad_norm, config.warmup_images, config.ema_gamma) == (
        0.1,
        2.0,
        8,
        3.0,
    )
    assert config.depends_on == ("studio-identity",)
    stored = {"name": "studio-base", "objective": "base:BaseObjective", "pictures": 10, "clip": 0.5,
              "options": {"late": 0.25, "beside_words": 0.5, "wording": 0.3, "likeness": [0.1, 0.2]}}  # fmt: skip
    config = TrainConfig.model_validate(stored)
    options: Any = options_of(config)
    assert config.max_grad_norm == 0.5 and options.aux_loss_fraction == 0.25 and options.perceptual == (0.1, 0.2)
    assert options.branch_prob_with_caption == 0.5 and options.caption_readout == 0.3
    joint: Any = options_of(resolve("studio-joint", {"options": {"odds": [1, 0, 0, 0]}}))
    assert joint.probabilities == (1, 0, 0, 0)


def test_a_setting_under_both_its_names_is_refused() -> None:
    with pytest.raises(ConfigError, match="warmup_images is given twice, also as warmup"):
        resolve("studio-base", {"warmup": 10, "warmup_images": 20})
    both = resolve("studio-base", {"options": {"late": 0.1, "aux_loss_fraction": 0.2}})
    with pytest.raises(ConfigError, match="aux_loss_fraction is given twice, also as late"):
        options_of(both)


class Renamed(Objective):
    """A readout that had another name, and a tensor that is kept though it is not trained."""

    former_names = {"wording.": "caption_readout."}  # noqa: RUF012 - as the objectives have it

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.caption_readout = nn.Linear(1, 1)
        self.accuracy = torch.zeros(())

    def batch(self, corpus: Any, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        return {"x": torch.from_numpy(rng.normal(size=(size, 1))).float()}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        self.accuracy += 1
        return (self.caption_readout(batch["x"]) - 3 * batch["x"]).pow(2).mean(), {}

    def extra_state(self) -> dict[str, Tensor]:
        return {"accuracy": self.accuracy}

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)


def test_a_run_that_began_under_the_old_names_continues(tmp_path: Path) -> None:
    settings = {"name": "line", "objective": "none:none", "batch": 10, "precision": "no", "decay": 0.0, "warmup": 0}
    half, whole = (TrainConfig.model_validate(settings | {"pictures": pictures}) for pictures in (100, 200))
    unbroken = Renamed()
    fit(whole, unbroken, None, tmp_path / "whole")  # type: ignore[arg-type]
    fit(half, Renamed(), None, tmp_path / "run")  # type: ignore[arg-type]
    path = tmp_path / "run" / FILE
    with safe_open(path, framework="pt") as stored:
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - not a dict
        metadata = stored.metadata()
    assert "extra_state/accuracy" in tensors and "optimizer/caption_readout.weight/exp_avg" in tensors
    renamed = {
        key.replace("extra_state/", "kept/").replace("caption_readout.", "wording."): value
        for key, value in tensors.items()
    }
    assert renamed.keys().isdisjoint({"extra_state/accuracy", "model/caption_readout.weight"})
    # earlier checkpoints carry no digest of their content
    save_file(renamed, path, metadata={key: value for key, value in metadata.items() if key != DIGEST})
    continued = Renamed()
    fit(whole, continued, None, tmp_path / "run")  # type: ignore[arg-type]
    assert continued.accuracy == 20
    for one, other in zip(continued.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(one, other)
