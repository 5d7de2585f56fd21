"""What the benchmark says it worked with."""

from pathlib import Path

import pytest

from mien.evaluation.control.tools import load_tools


def test_the_first_readers_files_are_told(assets_folder: Path) -> None:
    """Its landmarks steer the model: pictures made through another reader are other pictures."""
    pytest.importorskip("mediapipe")
    tools = load_tools("studio", None, rendered=False)
    assert tools.first_reader == "mediapipe"
    assert "face_landmarker.task" in tools.models
    assert not any(name.startswith("reader/") for name in tools.models)


def test_without_mediapipe_they_are_the_studios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    tools = load_tools("studio", None, rendered=False)
    assert tools.first_reader == "studio"
    assert any(name.startswith("reader/face/") for name in tools.models)
