from __future__ import annotations

from pathlib import Path

import pytest

from mien.assets import find_asset, require_asset
from mien.errors import BadInput, MissingAsset

NAME, FILE = "mediapipe-face-landmarker", "face_landmarker.task"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_users_folder_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_asset(NAME) is None
    flat_in_cache = put(tmp_path / "cache" / "assets" / FILE)
    assert find_asset(NAME) == flat_in_cache
    downloaded = put(tmp_path / "cache" / "assets" / NAME / FILE)
    assert find_asset(NAME) == downloaded
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "mine"))
    assert find_asset(NAME) == downloaded
    flat = put(tmp_path / "mine" / FILE)
    assert find_asset(NAME) == flat == require_asset(NAME)
    named = put(tmp_path / "mine" / NAME / FILE)
    assert find_asset(NAME) == named


def test_a_folder_counts_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    put(tmp_path / "sdxl-vae-fp16-fix" / "config.json")
    assert find_asset("sdxl-vae-fp16-fix") is None
    put(tmp_path / "sdxl-vae-fp16-fix" / "diffusion_pytorch_model.safetensors")
    assert find_asset("sdxl-vae-fp16-fix") == tmp_path / "sdxl-vae-fp16-fix"
    put(tmp_path / "ghost_1_256.onnx")
    assert find_asset("ghost") is None
    put(tmp_path / "crossface_ghost.onnx")
    assert find_asset("ghost") == tmp_path


def test_files_of_one_name_are_not_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    put(tmp_path / "glintr100.onnx")
    assert find_asset("arcface") is None
    assert find_asset("auraface") is None
    mine = put(tmp_path / "auraface" / "glintr100.onnx")
    assert find_asset("auraface") == mine
    assert find_asset("arcface") is None


def test_what_is_missing_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingAsset) as caught:
        require_asset("emonet")
    sentence = str(caught.value)
    assert "  mien assets get emonet  " in sentence
    assert "CC-BY-NC-ND-4.0" in sentence
    assert sentence.count(". ") == 0
    with pytest.raises(MissingAsset) as caught:
        require_asset(NAME)
    assert "licence" not in str(caught.value)
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "mine"))
    with pytest.raises(MissingAsset) as caught:
        require_asset("sd15")
    assert "mien assets get sd15" in str(caught.value)
    assert str(tmp_path / "mine" / "sd15") in str(caught.value)


def test_an_unknown_name_is_no_missing_file() -> None:
    with pytest.raises(BadInput):
        find_asset("mediapipe")
