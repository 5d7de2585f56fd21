"""What several tests of training start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.small_base import write_base


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained networks to train a base with, and pictures in ``data``."""
    return write_base(tmp_path_factory.mktemp("small_base"))
