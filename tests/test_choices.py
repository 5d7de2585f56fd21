"""The arms of the comparison are presets with one change, and what is told of them is what was measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from mien.io import read_json
from mien.models.unet import build_unet
from mien.training.run import resolve
from tests.test_docs_results import script

choices = script("choices")


def test_an_arm_changes_what_the_preset_has() -> None:
    preset = resolve("studio-base", {})
    for name, (_, options, other) in choices.ARMS.items():
        changed = preset.model_copy(update={"options": preset.options | options, **other})
        assert (changed == preset) == (name == "shipped"), name


def test_another_shape_is_another_unet() -> None:
    count = {
        name: sum(value.numel() for value in build_unet(**choices.ARMS[name][1].get("unet", {})).parameters())
        for name in ("shipped", "narrow", "wide", "no-attention-16", "attention-16")
    }
    assert count["narrow"] < count["no-attention-16"] < count["shipped"] < count["attention-16"] < count["wide"]


def test_the_summary_is_of_the_errors_and_of_what_telling_saves() -> None:
    validation = {"caption_right_900": 0.4, "caption_right_600": 0.2, "caption_right_300": 0.3,
                  "caption_shuffled_900": 0.75}  # fmt: skip
    found = choices.summary({"validation": validation})
    assert found["caption"] == pytest.approx(0.3) and found["caption gap"] == pytest.approx(0.35)
    assert found["landmarks"] is None and found["landmarks gap"] is None
    text = choices.told({"alone": {"told": "no branch", "parameters": 2_500_000, "validation": validation}})
    assert "| no branch | 2.5 | 0.3000 | - | - | 0.3500 | - | - |" in text


def test_half_of_a_shape_draws_with_the_same_heads_and_a_quarter_of_the_weights() -> None:
    for name, (_, options, _) in choices.ARMS.items():
        whole, half = options.get("unet", {}), choices.halved(options.get("unet", {}))
        large, small = (build_unet(**shape) for shape in (whole, half))
        assert large.config["attention_head_dim"] == small.config["attention_head_dim"], name
        counts = [sum(value.numel() for value in unet.parameters()) for unet in (large, small)]
        assert 0.2 < counts[1] / counts[0] < 0.5, name


def test_two_commands_share_their_arms_and_other_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, bool]] = []

    def measure(arm: str, corpus: Any, runs: Path, settings: dict[str, Any], half: bool) -> dict[str, Any]:
        trained.append((arm, half))
        (runs / arm).mkdir(parents=True)
        return {"parameters": 1_000_000, "seconds": 1.0, "validation": {}}

    class Set(list[int]):
        people = 1

    monkeypatch.setattr(choices, "measure", measure)
    monkeypatch.setattr(choices, "Corpus", SimpleNamespace(load=lambda folder: Set()))
    where: dict[str, Any] = {"runs": tmp_path / "runs", "output": tmp_path / "choices.json", "half": True}
    for only in (["even"], ["shipped"], ["even", "shipped"]):
        choices.main(only=only, pictures=100, **where)
    assert trained == [("even", True), ("shipped", True)]
    assert list(read_json(where["output"])["arms"]) == ["shipped", "even"]
    with pytest.raises(typer.BadParameter, match="other settings"):
        choices.main(only=["seed"], pictures=200, **where)
