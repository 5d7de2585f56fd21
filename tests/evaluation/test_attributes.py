"""Attributes of the identity that a picture keeps."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.evaluation.control.attributes import MEANINGS, attribute_scores
from mien.evaluation.control.scene import Pair, Subject
from mien.evaluation.readings.arrays import Readings
from mien.studio.person import sample_person
from mien.studio.scene import Glasses, attributes, sample_scene

CLASSES = {"glasses": ("none", "round", "oval"), "beard": ("none", "goatee")}


def subject(glasses: str, beard: str) -> Subject:
    person = sample_person(1)
    scene = replace(
        sample_scene(0, person), beard=beard,
        glasses=None if glasses == "none" else Glasses(style=glasses, color="black", size=1.0, wire=0.01),
    )  # fmt: skip
    return Subject(person, scene)


def benchmark(*people: Subject) -> Any:
    pairs = [Pair(person, target) for person in range(len(people)) for target in range(2)]
    exact = readings(*(CLASSES["glasses"].index(attributes(p.person, p.picture)["glasses"]) for p in people))
    return SimpleNamespace(identities=list(people), pairs=pairs, weights=np.ones((3, len(pairs))), exact=exact)


def readings(*glasses: int) -> Readings:
    """The class of each person's glasses, in both pictures; a beard nowhere."""
    rows = np.repeat(np.array(glasses, np.float32), 2)[:, None]
    return Readings({"attributes.glasses": rows, "attributes.beard": np.zeros_like(rows)})


def test_people_with_and_without_count_half_each() -> None:
    stage = benchmark(*(subject(kind, "none") for kind in ("none", "none", "none", "round")))
    found = attribute_scores(stage, readings(0, 0, 0, 0), CLASSES)
    assert set(found) == {"attribute.glasses", "attribute.beard"} < set(MEANINGS)
    told = found["attribute.glasses"].as_json()
    assert (told["value"], told["ceiling"]) == (pytest.approx(0.5), 1.0), "never glasses: right for one half"
    assert found["attribute.beard"].as_json()["value"] == 1.0, "where nobody has one, the others are all"
    one_wrong = attribute_scores(stage, readings(0, 0, 1, 1), CLASSES)["attribute.glasses"].as_json()["value"]
    assert one_wrong == pytest.approx(0.5 * 2 / 3 + 0.5, abs=1e-5)  # reports have five decimals
    shape = attribute_scores(stage, readings(0, 0, 0, 2), CLASSES)["attribute.glasses"].as_json()["value"]
    assert shape == pytest.approx(0.5), "glasses of another shape are not these glasses"


def test_a_class_the_judge_does_not_know_is_left_out() -> None:
    stage = benchmark(subject("none", "none"), subject("none", "stubble"))
    found = attribute_scores(stage, readings(0, 0), CLASSES)["attribute.beard"].as_json()
    assert (found["value"], found["n"], found["n_failed"]) == (1.0, 2, 2)
