"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LP_NUM_THREADS", "1")
os.environ.setdefault("MIEN_CONSENT", "known")  # commands say it once to a user, and write down that they did
os.environ.setdefault("MIEN_OFFLINE", "1")  # no test fetches anything unasked

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the checkout with the morphable model, MediaPipe's model and two portraits."""
    folder = ROOT.parent / "shared"
    if not (folder / "facekit").is_dir():
        pytest.skip(f"needs {folder} (the morphable model and the MediaPipe model), which is not here")
    return folder


@pytest.fixture(scope="session")
def kit_path(shared: Path) -> Path:
    """The quantised ICT-FaceKit file."""
    return shared / "facekit" / "ict_facekit_quantized.npz"


@pytest.fixture
def assets_folder(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MIEN_ASSETS points to the real MediaPipe model."""
    folder = shared / "models"
    monkeypatch.setenv("MIEN_ASSETS", str(folder))
    return folder
