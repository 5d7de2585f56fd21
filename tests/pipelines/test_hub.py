"""Models of ours on the hub: all of it is fetched that we read, and nothing that could hold code."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers.configuration_utils
import diffusers.pipelines.pipeline_utils
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects

from mien import pipelines
from mien.core.io import read_json
from mien.pipelines import PortraitPipeline, PortraitXLPipeline, hub
from mien.pipelines.bases import open_base
from tests.published import write_sd15
from tests.tiny import tiny_pipeline, tiny_xl_pipeline

KINDS = ("emotion", "landmarks")


@pytest.fixture(params=[tiny_pipeline, tiny_xl_pipeline])
def asked(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A hub with one model of ours, owner/portraits; how it was asked."""
    repository, snapshot = tmp_path / "repository", tmp_path / "snapshot"
    pipeline = request.param(KINDS)
    if request.param is tiny_xl_pipeline:
        pipeline.vae.register_to_config(scaling_factor=0.13025)  # SDXL's, which tells its autoencoder from SD1.5's
    pipeline.save_pretrained(repository)
    for name in ("unet/weights.bin", "unet/code.py", "old.ckpt", "weights.pt"):
        (repository / name).touch()
    told: list[dict[str, Any]] = []

    def config(name: str, filename: str, **options: Any) -> str:
        told.append(options)
        return str(repository / filename)

    def fetch(name: str, allow_patterns: list[str], **options: Any) -> str:
        told.append(options)
        for path in repository.rglob("*"):
            place = str(path.relative_to(repository))
            if path.is_file() and any(fnmatch.fnmatch(place, pattern) for pattern in allow_patterns):
                (snapshot / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, snapshot / place)
        return str(snapshot)

    monkeypatch.setattr(diffusers.configuration_utils, "hf_hub_download", config)
    monkeypatch.setattr(diffusers.pipelines.pipeline_utils, "hf_hub_download", config)
    monkeypatch.setattr(hub, "snapshot_download", fetch)
    return told


def test_a_model_of_ours_comes_with_its_adapters(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    opened = open_base("owner/portraits")
    kind = type(opened)
    assert kind in (PortraitPipeline, PortraitXLPipeline)
    for found in (opened, kind.from_pretrained("owner/portraits")):
        assert sorted(found.adapters) == sorted(KINDS) and found.folder == tmp_path / "snapshot"
    fetched = {path.suffix for path in (tmp_path / "snapshot").rglob("*") if path.is_file()}
    assert fetched <= {".json", ".txt", ".safetensors"}
    assert not kind.from_pretrained("owner/portraits", adapters={}).adapters


def test_diffusers_options_reach_the_hub(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    options: dict[str, Any] = {"revision": "v2", "cache_dir": tmp_path / "c", "local_files_only": True, "token": "t"}
    kind = getattr(pipelines, read_json(tmp_path / "repository" / "model_index.json")["_class_name"])
    kind.from_pretrained("owner/portraits", **options, torch_dtype=torch.float16)
    assert len(asked) == 2 and all(options.items() <= told.items() for told in asked)


def test_other_models_are_left_to_diffusers(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "repository" / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    assert hub.fetch_ours("owner/portraits") is None
    assert len(asked) == 1, "the index alone was asked for"


@pytest.mark.parametrize("half", [False, True])
def test_a_base_of_others_comes_in_half_precision_where_it_is_in_no_other(
    half: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """diffusers says that there are no safetensors."""
    repository, snapshot = tmp_path / "repository", tmp_path / "snapshot"
    write_sd15(repository)
    for path in repository.rglob("*.safetensors"):
        if half:
            path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    files = sorted(str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file())

    def config(name: str, filename: str, **options: Any) -> str:
        (snapshot / filename).parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copy(repository / filename, snapshot / filename))

    def fetch(name: str, allow_patterns: list[str], ignore_patterns: list[str], **options: Any) -> str:
        for place in filter_repo_objects(files, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns):
            config(name, place)
        return str(snapshot)

    def listed(name: str, **options: Any) -> SimpleNamespace:
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=place) for place in files])

    monkeypatch.setattr(diffusers.configuration_utils, "hf_hub_download", config)
    for called, by in (("hf_hub_download", config), ("model_info", listed), ("snapshot_download", fetch)):
        monkeypatch.setattr(diffusers.pipelines.pipeline_utils, called, by)
    opened = open_base("owner/base")
    assert type(opened) is PortraitPipeline
    weights = {path.name for path in (snapshot / "unet").iterdir()} - {"config.json"}
    assert weights == {f"diffusion_pytorch_model{'.fp16' if half else ''}.safetensors"}
