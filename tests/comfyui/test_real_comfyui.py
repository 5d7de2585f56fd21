"""Example workflows on a real ComfyUI server, against the same requests in our pipeline (opt-in)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.comfyui.comparison import GUIDANCE, compared, embedded_picture, small_server
from tests.comfyui.server import Server, where

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        where() is None,
        reason="MIEN_COMFYUI names no checkout of ComfyUI (and MIEN_COMFYUI_PYTHON its interpreter)",
    ),
]


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def base(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def both(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Any]]:
    found = where()
    assert found is not None
    with small_server(*found, base, tmp_path_factory.mktemp("comfyui")) as server_and_pipeline:
        yield server_and_pipeline


@pytest.mark.parametrize("example", GUIDANCE)
def test_a_workflow_gives_our_picture(both: tuple[Server, Any], base: str, example: str) -> None:
    found = compared(*both, base, example)
    print(f"{base}, {example}: {found}")  # noqa: T201
    assert found.moved > 20  # else the comparison would say nothing of the branches
    assert found.largest <= 2


def test_the_embedded_model_draws(both: tuple[Server, Any]) -> None:
    assert embedded_picture(both[0]).size == (256, 256)
