from __future__ import annotations

import pytest

from mien.errors import ConfigError
from mien.training.presets import PRESETS, preset
from mien.training.run import resolve


def test_an_unknown_preset_is_named_with_its_alternatives() -> None:
    with pytest.raises(ConfigError, match="studio-base"):
        preset("studio-bass")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        resolve("studio-base", {"learning_rate": 1.0})
    assert resolve("studio-base", {"lr": 0.1}).lr == 0.1


def test_every_preset_needs_only_earlier_ones() -> None:
    seen: set[str] = set()
    for name, config in PRESETS.items():
        assert set(config.needs) <= seen, name
        seen.add(name)
