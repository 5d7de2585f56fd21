"""LIQE as a filter of templates, on files in the layout that a user exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data.idi.folder import claim_pairs
from mien.data.idi.manifest import MANIFEST
from mien.data.idi.quality import PictureQuality
from mien.data.idi.request import PairsRequest
from mien.errors import BadInput
from tests.data.idi_fakes import builder
from tests.manifests import read_manifest
from tests.published_networks import onnx_file
from tests.synthetic import write_corpus

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'mien[eval]'")


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("size", [(128, 128), (224, 224), (512, 300)])
def test_the_mean_over_squares_of_a_picture(tmp_path: Path, batch: int | str, size: tuple[int, int]) -> None:
    quality = PictureQuality(onnx_file(tmp_path / "liqe.onnx", 224, {"quality": 1}, batch))
    grey = np.full((*size, 3), 102, np.uint8)
    # the file's output: (1 R + 2 G + 3 B) / 3
    assert quality(grey) == pytest.approx(0.4 * 2, abs=1e-5)


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"not \[N, 3, 224, 224\]"):
        PictureQuality(onnx_file(tmp_path / "small.onnx", 112, {"quality": 1}))
    wide = PictureQuality(onnx_file(tmp_path / "wide.onnx", 224, {"quality": 5}))
    with pytest.raises(BadInput, match="no number for each square"):
        wide(np.zeros((224, 224, 3), np.uint8))


def test_what_looks_bad_is_left_out_and_every_quality_told(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "portraits", people=4, per_person=3)
    made = builder(data, thresholds={"quality": 2.0})
    report = replace(made, quality=lambda image: float(image[0, 0, 0] % 4) + 1).build(tmp_path / "pairs")
    rows = [row for row in read_manifest(tmp_path / "pairs" / MANIFEST) if row["reason"] != "no face"]
    assert report["reasons"]["quality"] > 0 and report["pairs"] > 0
    assert {row["quality"] for row in rows} == {1, 2, 3, 4}
    assert all(row["quality"] >= 2 for row in rows if row["kept"])
    assert all(row["quality"] < 2 for row in rows if row["reason"] == "quality")


def test_without_liqe_a_folder_is_asked_for_as_before_it_was_there(tmp_path: Path) -> None:
    request = PairsRequest.checked(data="0", models={}, targets=3)
    assert "quality" not in request.stated()["thresholds"]
    claim_pairs(tmp_path, request)
    claim_pairs(tmp_path, request)
