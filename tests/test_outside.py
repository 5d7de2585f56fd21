"""Networks from outside: the worker's protocol, the result's shape, and the real package where it can be had."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput, MissingDependency

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))
outside, networks = importlib.import_module("outside"), importlib.import_module("outside_networks")


class Sees:
    """A face in every bright picture, happy."""

    def __call__(self, pictures: list[Image.Image]) -> dict[str, np.ndarray]:
        bright = float(np.mean(np.asarray(pictures[0]))) > 100
        return {"found": np.array([[0.8 * bright]]), "emotion": np.eye(7)[[1]]}


def test_shares_words_and_misses(tmp_path: Path) -> None:
    for name, level in (("a", 200), ("b", 210), ("c", 5)):
        Image.new("RGB", (48, 48), (level,) * 3).save(tmp_path / f"{name}.png")
    (tmp_path / ".hidden.png").write_bytes(b"no picture")
    found = outside.look_at(outside.pictures_in(tmp_path), Sees())
    assert found["found"]["value"] == pytest.approx(2 / 3) and found["found"]["n"] == 3
    assert found["words"] == {"happy": 2} and found["missed"] == ["c.png"] and found["score"] == 0.8
    assert "| here | 0.667 (0.208 to 0.939), n = 3 | 0.80 | happy 2 |" in outside.table_of({"here": found})


def test_an_interval_of_a_share() -> None:
    assert outside.wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)  # Newcombe 1998, table of examples
    assert outside.wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("text", ["renders", "=here", "renders=", "renders=/not/there"])
def test_a_folder_is_named(text: str) -> None:
    with pytest.raises(BadInput, match="NAME=FOLDER"):
        outside.named(text)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no picture"):
        outside.pictures_in(tmp_path)


def test_without_node_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingDependency, match=r"Node\.js"):
        networks.installed(tmp_path)
    (tmp_path / "installed.json").write_text(json.dumps({"private": True, "dependencies": networks.PACKAGES}))
    assert networks.installed(tmp_path) == tmp_path


@pytest.mark.net
def test_the_real_package_finds_a_face_and_knows_who_it_is() -> None:
    place = Path(os.environ.get("MIEN_OUTSIDE", "")) if os.environ.get("MIEN_OUTSIDE") else None
    folder = ROOT / "src/mien/assets/examples"
    files = sorted(folder.glob("person-*.png"))[:3]
    pictures = [Image.open(file).convert("RGB") for file in files]
    with networks.FaceApi(place) as read:
        found = read([*pictures, pictures[0].resize((96, 96)), Image.new("RGB", (64, 64))])
    assert (found["found"][:, 0] > 0).tolist() == [True, True, True, True, False]
    likeness = found["identity"][:4] @ found["identity"][:4].T
    assert likeness[3].argsort()[-2] == 0  # the small copy is nearest to what it is a copy of
    assert np.isnan(found["identity"][4]).all() and np.allclose(found["emotion"][:4].sum(1), 1, atol=1e-3)
