from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput
from mien.evaluation import score as module
from mien.evaluation.pairing import pair_up
from mien.faces.types import Face, NoFace, Reading, reading_of
from mien.metrics.declared import METRICS


class CodedReader:
    """Reads a face from the picture's first pixel: red is the expression, black is no face."""

    name = "coded"

    def read(self, image: Any, source: str = "the picture") -> Reading:
        red, green, blue = (int(v) for v in np.asarray(image)[0, 0])
        if red + green + blue == 0:
            return NoFace(source)
        points = np.zeros((478, 3), np.float32)
        points[133], points[33], points[145] = (10, 0, 0), (0, 0, 0), (5, red / 25.5, 0)
        points[159] = (5, 0, 0)
        probabilities = np.eye(8, dtype=np.float32)[blue % 8]
        return reading_of([Face(
            "coded", (0, 0, 9, 9), landmarks=points, blendshapes=np.full(52, red / 255, np.float32),
            pose=(float(green), 0.0, 0.0), emotion=np.concatenate([[0.5, 0.0], probabilities]).astype(np.float32),
            identity=np.eye(512, dtype=np.float32)[blue],
        )])  # fmt: skip

    def read_batch(self, images: Any) -> list[Reading]:
        return [self.read(image) for image in images]


def write(folder: Path, colours: dict[str, tuple[int, int, int]]) -> Path:
    folder.mkdir()
    for name, colour in colours.items():
        Image.new("RGB", (40, 40), colour).save(folder / name)
    return folder


def run(reference: Path, generated: Path, **options: Any) -> dict[str, Any]:
    reader: Any = CodedReader()
    return module.score(pair_up(reference, generated), reader, reader, draws=50, **options)


def test_the_values_by_hand_with_floor_and_failures(tmp_path: Path) -> None:
    a = write(tmp_path / "a", {"1.png": (51, 10, 1), "2.png": (102, 20, 2), "3.png": (0, 9, 3), "x.png": (9, 9, 9)})
    b = write(tmp_path / "b", {"1.png": (102, 13, 1), "2.png": (102, 16, 1), "3.png": (0, 0, 0)})
    report = run(a, b)
    metrics = report["metrics"]
    assert (report["pairs"], report["unpaired"], report["faces"]) == (3, 1, {"reference": 3, "generated": 2})
    assert metrics["exp"]["value"] == pytest.approx((0.2 + 0) / 2, abs=1e-6)
    assert metrics["exp_sum"]["value"] == pytest.approx(5.2, abs=1e-5)
    assert metrics["exp"]["floor"] == pytest.approx((0 + 0.2) / 2, abs=1e-6)
    assert metrics["yaw"]["value"] == pytest.approx((9 / 2 + 16 / 2) ** 0.5)
    assert metrics["lms"]["value"] == pytest.approx(0.1, abs=1e-5)
    assert metrics["identity.studio"]["value"] == pytest.approx(0.5)
    assert metrics["emotion_accuracy.studio"]["value"] == pytest.approx(0.5)
    assert metrics["emotion_l2.studio"]["value"] == pytest.approx(2**0.5 / 2)
    assert all((one["n"], one["n_failed"]) == (2, 1) for one in metrics.values())
    assert metrics["exp"]["low"] <= metrics["exp"]["value"] <= metrics["exp"]["high"]
    assert {name.partition(".")[0] for name in metrics} <= METRICS.keys()


def test_two_pictures_have_a_value_and_no_floor(tmp_path: Path) -> None:
    a = write(tmp_path / "a", {"1.png": (51, 10, 1)}) / "1.png"
    metrics = run(a, a)["metrics"]
    assert metrics["exp"]["value"] == 0 and metrics["exp"]["floor"] is None and metrics["exp"]["low"] is None
    assert metrics["exp"]["enough"] and not metrics["yaw"]["enough"]


def test_no_face_anywhere_is_no_number(tmp_path: Path) -> None:
    a = write(tmp_path / "a", {"1.png": (0, 0, 0)})
    found = run(a, a)["metrics"]["exp"]
    assert (found["value"], found["n"], found["n_failed"], found["enough"]) == (None, 0, 1, False)


def test_sets_are_compared_in_the_judges_features(tmp_path: Path) -> None:
    from mien.faces.networks import JudgeAttributes

    rng = np.random.default_rng(0)
    colours = {f"{i}.png": tuple(int(v) for v in rng.integers(1, 255, 3)) for i in range(6)}
    a = write(tmp_path / "a", colours)  # type: ignore[arg-type]
    metrics = run(a, a, judge=JudgeAttributes(classes={"beard": ("no", "yes")}).eval())["metrics"]
    assert metrics["frechet.studio"]["value"] == pytest.approx(0, abs=1e-3)  # roots of a singular covariance
    assert metrics["kid.studio"]["value"] < 1e-9 and metrics["kid.studio"]["n"] == 6
    assert not metrics["frechet.studio"]["enough"]


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [("nowhere", "one", "nothing at"), ("one", "one/1.png", "not one of each"), ("one", "other", "paired by name")],
)
def test_what_cannot_be_paired_is_said(tmp_path: Path, a: str, b: str, sentence: str) -> None:
    write(tmp_path / "one", {"1.png": (1, 1, 1)})
    write(tmp_path / "other", {"2.png": (1, 1, 1)})
    with pytest.raises(BadInput, match=sentence):
        pair_up(tmp_path / a, tmp_path / b)


def test_the_two_forms_of_an_accented_letter_are_one_name(tmp_path: Path) -> None:
    """macOS writes the accent apart from its letter (NFD), most other systems write one character (NFC)."""
    one = write(tmp_path / "one", {unicodedata.normalize("NFC", "Zoë é.png"): (1, 1, 1), "alone.png": (1, 1, 1)})
    other = write(tmp_path / "other", {unicodedata.normalize("NFD", "Zoë é.png"): (1, 1, 1), "._x.png": (1, 1, 1)})
    pairs = pair_up(one, other)
    assert (len(pairs.reference), len(pairs.generated)) == (1, 1)
    assert [path.name for path in pairs.unpaired] == ["alone.png"]


def test_pairs_come_in_natural_order(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", {f"frame{number}.png": (1, 1, 1) for number in (10, 2, 1)})
    assert [Path(str(path)).name for path in pair_up(folder, folder).reference] == [
        "frame1.png",
        "frame2.png",
        "frame10.png",
    ]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", {"1.png": (1, 1, 1), "1.bmp": (1, 1, 1)})
    with pytest.raises(BadInput, match="rename"):
        pair_up(folder, folder)
