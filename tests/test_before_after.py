"""The sheet that holds two sets of weights against each other: equal weights draw equal rows."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mien.assets import embedded_or_none
from mien.generation.sweep import GAP, LABEL
from tests.fakes import fake_tools

SIDE = 256
ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))
before_after = importlib.import_module("before_after")


def test_equal_weights_draw_equal_rows(tmp_path: Path) -> None:
    folder = embedded_or_none("studio")
    if folder is None:
        pytest.skip("the embedded weights are not here")
    file = tmp_path / "sheet.png"
    before_after.main(folder, folder, file, "studio", "exact", 2, 1)
    wishes = before_after.cases(seed=1, steps=2, reader="studio")
    with Image.open(file) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    height = (pixels.shape[0] - GAP) // 4
    tops = [GAP + row * height for row in range(4)]
    assert height == SIDE + LABEL + GAP and pixels.shape[1] == len(wishes) * (SIDE + GAP) + GAP
    people, templates, before, after = (pixels[top : top + SIDE] for top in tops)
    assert np.array_equal(before, after)
    # three columns are of words alone: no person and no template above them
    assert (people[:, : 3 * (SIDE + GAP)] == before_after.PAPER).all() and not (people == before_after.PAPER).all()
    assert not (templates == before_after.PAPER).all()
    columns = [before[:, GAP + column * (SIDE + GAP) :][:, :SIDE] for column in range(len(wishes))]
    assert len({column.tobytes() for column in columns}) == len(wishes)


def test_each_model_is_told_who_it_is_by_its_own_embedder() -> None:
    reader, asked = fake_tools(), []

    def embed(seen: object) -> tuple[np.ndarray, dict[str, object]]:
        asked.append(seen)
        return np.eye(1, 512, 7, dtype=np.float32)[0], {}

    pipeline = SimpleNamespace(
        unet=SimpleNamespace(config=SimpleNamespace(sample_size=16)), vae_scale_factor=8,
        adapters={"landmarks": SimpleNamespace(kind="landmarks")}, expression_encoder=None,
    )  # fmt: skip
    wishes = [one for one in before_after.cases(seed=1, reader="studio") if one.person]
    given = before_after.steerings(wishes, pipeline, reader, replace(reader, embed=embed))
    assert all(one.identity[7] == 1 and one.prompt == "portrait of a person" for one in given)
    assert all(seen.face.identity is None for seen in asked)


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "before_after.py"), str(tmp_path), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2 and "holds no model_index.json" in result.stderr and "Traceback" not in result.stderr
