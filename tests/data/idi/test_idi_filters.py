"""What the filters keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien.data.idi.filters import Read, calibrated, judge_template, sharpness
from mien.data.idi.request import Thresholds
from mien.errors import BadInput
from mien.faces.types import Face

RNG = np.random.default_rng(0)
POINTS = (RNG.normal(size=(478, 3)) * 20 + 64).astype(np.float32)


def seen(blend: float = 0.1, who: int = 0, points: Any = POINTS, image: Any = None, face: bool = True) -> Read:
    pixels = np.random.default_rng(9).integers(0, 256, (128, 128, 3), np.uint8) if image is None else image
    told = Face("t", (20, 20, 100, 100), landmarks=points, blendshapes=np.full(52, blend, np.float32))
    return Read(pixels, told if face else None, np.eye(512, dtype=np.float32)[who] if face else None)


def test_reasons_in_their_order() -> None:
    target = seen()
    wide = POINTS.copy()
    wide[:, 1] *= 3
    cases = {
        "no face": seen(face=False),
        "exp": seen(0.2, 1, wide),
        "lms": seen(0.1, 1, wide),
        "identity": seen(0.1, 0),
        "kept": seen(0.12, 1),
    }
    for reason, template in cases.items():
        verdict = judge_template(template, target, Thresholds())
        assert verdict.reason == reason and verdict.kept == (reason == "kept")
    assert judge_template(seen(who=1), seen(face=False), Thresholds()).reason == "no face in the target"
    assert judge_template(cases["kept"], target, Thresholds()).exp == pytest.approx(0.02, abs=1e-5)


def test_the_paper_sentence_as_it_stands_keeps_the_others() -> None:
    literal = Thresholds(direction="exclude")
    assert judge_template(seen(0.12, 1), seen(), literal).reason == "exp and lms"
    assert judge_template(seen(0.3, 1), seen(), literal).kept


def test_blurred_templates_are_refused_when_asked() -> None:
    blurred = np.full((128, 128, 3), 100, np.uint8)
    assert sharpness(seen(image=blurred)) == 0.0
    assert judge_template(seen(who=1, image=blurred), seen(), Thresholds()).kept, "off unless asked for"
    assert judge_template(seen(who=1, image=blurred), seen(), Thresholds(sharpness=0.1)).reason == "sharpness"


def test_calibration_loses_one_good_pair_in_ten() -> None:
    pairs = [(seen(0.1 + 0.001 * k, 1), seen()) for k in range(101)]
    limits = calibrated(pairs, Thresholds(identity=0.3))
    assert limits.exp == pytest.approx(0.09, abs=1e-4) and limits.identity == 0.3
    assert 90 <= sum(judge_template(*pair, limits.model_copy(update={"lms": 1.0})).kept for pair in pairs) <= 92
    with pytest.raises(BadInput, match="No face was read"):
        calibrated([(seen(face=False), seen())], Thresholds())
