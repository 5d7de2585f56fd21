"""Known values of what the weights are measured with: groups, reconstructions, captions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien.evaluation.protocols.text_scores import right_of, text_scores
from mien.faces.linear.face import LinearFace
from mien.metrics.groups import behind_mean
from mien.metrics.reconstruction import MARGIN, decibels, region_mask, squared_error


def test_behind_the_mean() -> None:
    behind = behind_mean([[0.9, 1.0, -1.0], [1.1, 1.0, 0.5], [1.0, 0.7, 0.2]])
    assert behind[:, 0] == pytest.approx([0.1, -0.1, 0.0])
    assert behind[:, 1] == pytest.approx([-1 / 9, -1 / 9, 2 / 9])
    assert np.isnan(behind[:, 2]).all()  # a share of a negative mean says nothing
    assert np.isnan(behind_mean([[1.0], [np.nan]])).all()


def test_regions_lie_on_eyes_and_mouth() -> None:
    size = 128
    points = LinearFace.load().landmarks(size=size)
    eyes, mouth = (region_mask(points, name, size) for name in ("eyes", "mouth"))
    assert not (eyes & mouth).any()
    for index, mask in ((468, eyes), (473, eyes), (13, mouth), (61, mouth)):  # irises, upper lip, corner of the mouth
        x, y = points[index, :2].astype(int)
        assert mask[y, x]
    nose = points[4, :2].astype(int)
    assert not eyes[nose[1], nose[0]] and not mouth[nose[1], nose[0]]
    width = np.ptp(points[[61, 291], 0]) * (1 + 2 * MARGIN)
    assert mouth.any(0).sum() == pytest.approx(width, abs=2)
    assert not region_mask(points + 500, "mouth", size).any()  # out of sight


def test_decibels_of_known_errors() -> None:
    black, grey = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)
    assert squared_error(black, grey) == pytest.approx(0.04)
    assert decibels(0.04) == pytest.approx(13.9794, abs=1e-4)
    assert np.isinf(decibels(squared_error(grey, grey)))
    half = grey.copy()
    half[:2] = 0
    mask = np.zeros((4, 4), bool)
    mask[2:] = True
    assert squared_error(black, half) == pytest.approx(0.02) and squared_error(black, half, mask) == pytest.approx(0.04)
    assert np.isnan(squared_error(black, half, np.zeros((4, 4), bool)))


def caption(**changes: Any) -> dict[str, Any]:
    plain = {"hair_style": "bob", "hair_color": "brown", "glasses": "none", "beard": "none", "background": "blue"}
    return {**plain, **changes}


def test_what_captions_say_is_counted() -> None:
    wanted = [
        caption(),
        caption(glasses="round", beard="goatee", background="teal"),
        caption(hair_style="bald", hair_color="black", beard="stubble"),
        caption(glasses="oval"),
    ]
    seen = [
        caption(hair_color="black"),
        caption(glasses="square", beard="full beard", background="teal"),
        caption(hair_color="white"),
        caption(glasses="none"),
    ]
    scores = {name: one.as_json() for name, one in text_scores(wanted, seen, wanted, np.ones((1, 4))).items()}
    assert {name: (one["value"], one["n"]) for name, one in scores.items() if not name.startswith("of_oracle")} == {
        "hair_color": (pytest.approx(2 / 3, abs=1e-4), 3),  # nobody asks for a bald head's colour
        "glasses": (0.75, 4), "glasses.asked": (0.5, 2), "glasses.kind": (0.0, 2),
        "beard": (1.0, 4), "beard.asked": (1.0, 1), "beard.kind": (0.0, 1),
        "background": (1.0, 4), "all": (0.5, 4),
    }  # fmt: skip
    assert right_of(wanted, seen) == [3, 4, 4, 3]
    assert scores["glasses"]["ceiling"] == 1 and scores["of_oracle.glasses"]["value"] == 0.75
    # the second caption's glasses in nobody else's picture, the fourth's in the second's
    assert scores["glasses.asked"]["floor"] == pytest.approx(1 / 6, abs=1e-4)
    assert scores["background"]["floor"] == pytest.approx(6 / 12)


def test_captions_that_ask_for_nothing_leave_the_question_out() -> None:
    bald = [caption(hair_style="bald")] * 2
    assert not {"hair_color", "glasses.asked", "beard.kind"} & text_scores(bald, bald, bald, np.ones((1, 2))).keys()
