"""The arms of the comparison are presets with one change, and what is told of them is what was measured."""

from __future__ import annotations

import pytest

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
