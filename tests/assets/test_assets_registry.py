from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from mien.assets.registry import FILE as REGISTRY
from mien.assets.registry import HUB_SUFFIXES, Asset, asset, assets, lies_flat, permissive_instead
from mien.errors import BadInput
from tests.assets.conftest import ENTRY

PERMISSIVE = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT"}
"""SPDX ids that an asset may carry that calls itself permissive."""


def test_no_name_occurs_twice() -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), names
        return dict(pairs)

    json.loads(REGISTRY.read_text(encoding="utf-8"), object_pairs_hook=unique)


@pytest.mark.parametrize("name", sorted(assets()))
def test_an_entry_can_be_trusted_and_found(name: str) -> None:
    one = asset(name)
    assert name == name.lower()
    assert one.licence.strip()
    assert one.permissive == (one.licence in PERMISSIVE)
    assert one.permissive or one.commercial, "what is not permissive says why"
    assert one.citation.url.startswith("https://")
    for file in one.files:
        assert all(url.startswith("https://") for url in file.urls)
        assert len(set(file.urls)) == len(file.urls)
        assert file.urls or file.name.endswith(HUB_SUFFIXES)
    if one.hub is not None:
        assert len(one.hub.revision) == 40, "a branch can change, a commit cannot"


def test_what_the_project_needs_is_there() -> None:
    needed = {
        "mediapipe-face-landmarker", "fid-inception", "lpips-alex", "lpips-vgg", "arcface", "facenet", "emonet",
        "smirk", "sd15", "sdxl", "sdxl-vae-fp16-fix", "arc2face", "ip-adapter-sd15", "ip-adapter-sdxl", "inswapper",
    }  # fmt: skip
    assert needed <= assets().keys()


def test_research_models_are_not_called_permissive() -> None:
    for name in ("arcface", "arcface-r50", "scrfd", "inswapper", "emonet", "smirk", "facenet", "sd15", "arc2face"):
        assert not asset(name).permissive


def test_an_alternative_is_of_the_same_kind_and_permissive() -> None:
    assert permissive_instead(asset("arcface")) == ["auraface"]
    assert permissive_instead(asset("inswapper")) == []


def test_a_file_name_of_two_assets_is_only_looked_for_in_folders() -> None:
    assert lies_flat(asset("mediapipe-face-landmarker"))
    assert not lies_flat(asset("arcface"))  # AuraFace's file is called glintr100.onnx as well
    assert not lies_flat(asset("sd15"))


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(BadInput, match="arcface or arcface-r50"):
        asset("arcfac")
    with pytest.raises(BadInput, match="mien assets list"):
        asset("xyzzy")


FILE = {"name": "a.bin", "urls": ["https://example.org/a.bin"]}


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"files": [FILE, FILE]},
        {"files": [{**FILE, "name": "../a.bin"}]},
        {"files": [{**FILE, "name": "/etc/a.bin"}]},
        {"files": [{**FILE, "sha256": "12ab"}]},
        {"files": [{**FILE, "sha256_prefix": "12345678"}]},
        {"files": [{**FILE, "name": "a-12345678.bin", "sha256_prefix": "12345678", "sha256": "0" * 64}]},
        {"files": [{"name": "a.safetensors"}]},
        {"files": [{"name": "a.bin"}], "hub": {"repo": "a/b", "revision": "main"}},
        {"licence": ""},
        {"colour": "red"},
        {"kind": "emotions"},
    ],
)
def test_a_mistake_in_an_entry_is_refused(change: dict[str, Any]) -> None:
    Asset(name="a", **{**ENTRY, "files": [FILE]})
    with pytest.raises(ValidationError):
        Asset(name="a", **{**ENTRY, "files": [FILE], **change})
