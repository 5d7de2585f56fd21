"""``benchmarks/latents.py``: arms whose settings fit, and its table. Its whole way takes hours and is not a test."""

from __future__ import annotations

import pytest

from mien.training.objectives.autoencoder import AutoencoderConfig
from mien.training.objectives.base import BaseConfig
from mien.training.run import resolve
from tests.test_docs_results import script

latents = script("latents")


@pytest.mark.parametrize("name", latents.ARMS)
def test_every_arm_is_one_change_that_its_stages_take(name: str) -> None:
    arm = latents.ARMS[name]
    AutoencoderConfig(**latents.AUTOENCODER | dict(arm.autoencoder))
    BaseConfig(**resolve("studio-base", {}).options | latents.BASE | dict(arm.base))
    assert arm.latents is None or not arm.autoencoder, "an arm with another's autoencoder changes the base alone"
    assert arm.latents is None or latents.ARMS[arm.latents].latents is None


def test_a_measure_that_is_missing_is_a_dash() -> None:
    values = {"kid.studio": 0.0123, "identity.top1": 0.5, "nearness.expression": None}
    told = latents.table_of({"a": {"told": "an arm", "values": values, "octaves": [1.0, 0.876], "psnr": 31.5}})
    assert [cell.strip() for cell in told.splitlines()[2].strip("|").split("|")] == [
        "an arm", "0.0123", "-", "-", "0.500", "-", "-", "-", "0.88", "31.50"
    ]  # fmt: skip
