"""The headline measures, the dummy models beside them, and which metrics a report refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.evaluation.control.baselines import DUMMIES, refused
from mien.evaluation.control.headline import MEANINGS, headline, nearness_score
from mien.evaluation.control.measures import Distances, gaze_angles
from mien.evaluation.control.scene import Pair
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.summary import pair_weights
from mien.evaluation.outside import same_word
from mien.evaluation.protocols import EvaluationRun, protocol_named
from mien.evaluation.report.page import write_report
from mien.evaluation.statistics.scores import mean_score
from tests.evaluation.fake_control import FakeAttributeJudge, FakeGazeJudge, FakeModel, FakeOutside, fake_control_tools

SETTINGS = ControlSettings(
    people=5, targets=4, pairs_per_person=None, steps=2, batch=8, look_alikes=0, draws=60, cross_talk_people=0
)
WEIGHTS = np.ones((3, 4))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("headline")
    deaf = replace(SETTINGS, conditions=("identity",))
    models = {
        "told": (SETTINGS, fake_control_tools(FakeModel())),
        "deaf": (deaf, fake_control_tools(FakeModel(blank=1))),
    }
    more = {
        "judge_gaze": FakeGazeJudge(), "outside": FakeOutside(), "judge_attributes": FakeAttributeJudge()
    }  # fmt: skip
    models = {name: (asked, replace(tools, **more)) for name, (asked, tools) in models.items()}
    found = protocol_named("control").run(EvaluationRun(SETTINGS, models, folder / "kept"))
    write_report(folder / "report", found.data, found.cases)
    return found.data, folder / "report"


def test_a_model_that_draws_the_exact_render_is_at_the_ceiling_and_a_blank_at_nothing(report: Any) -> None:
    models = report[0]["headline"]["models"]
    assert set(models) == {"told", "deaf", "exact", *DUMMIES}
    for name in ("nearness.expression", "nearness.expression.judge", "nearness.identity"):
        assert models["exact"][name]["value"] == pytest.approx(1, abs=1e-4), name
        assert models["told"][name]["value"] == pytest.approx(1, abs=0.05), name
        assert models["blank"][name]["value"] == 0 and models["blank"][name]["n"] == 0, name
    assert models["deaf"]["nearness.expression"]["value"] < 0.5 < models["deaf"]["nearness.identity"]["value"]
    assert models["mean-face"]["nearness.expression"]["value"] < 0.5
    assert models["exact"]["identity.top1"]["value"] == models["copy-identity"]["identity.top1"]["value"] == 1
    assert models["copy-template"]["identity.top1"]["value"] < 0.5 and models["blank"]["identity.top1"]["value"] == 0
    assert models["deaf"]["identity.top1"]["value"] == pytest.approx(0.95)


def test_a_gaze_is_off_by_the_root_mean_square_of_its_two_angles() -> None:
    wanted, seen = np.zeros((2, 2)), np.array([[3.0, 4.0], [-5.0, 0.0]])
    assert gaze_angles(wanted, seen) == pytest.approx(np.sqrt([12.5, 12.5]))


def test_leak_is_zero_for_the_exact_render_and_one_for_a_copy_of_the_template(report: Any) -> None:
    models = report[0]["headline"]["models"]
    assert models["exact"]["leak"]["value"] == 0
    assert models["copy-template"]["leak"]["value"] == pytest.approx(1)
    assert models["blank"]["leak"]["value"] is None
    assert abs(models["told"]["leak"]["value"]) < 0.1


def test_networks_from_outside_stand_in_the_headline(report: Any) -> None:
    models = report[0]["headline"]["models"]
    assert models["exact"]["outside.found"]["value"] == models["exact"]["outside.emotion"]["value"] == 1
    assert models["blank"]["outside.found"]["value"] == models["blank"]["outside.emotion"]["value"] == 0
    assert models["blank"]["outside.identity"]["value"] == 0
    assert models["exact"]["outside.identity"]["value"] == models["copy-identity"]["outside.identity"]["value"] == 1
    assert models["copy-template"]["outside.identity"]["value"] < 0.5
    assert models["told"]["outside.emotion"]["value"] > models["deaf"]["outside.emotion"]["value"]


def test_a_word_is_the_same_only_where_both_show_a_face() -> None:
    happy, sad, none = np.eye(7)[1], np.eye(7)[2], np.full(7, np.nan)
    seen = np.array([happy, sad, none, happy, none], np.float32)
    wanted = np.array([happy, happy, happy, none, none], np.float32)
    assert same_word(seen, wanted).tolist() == [1, 0, 0, 0, 0]


def test_the_papers_own_measures_stand_beside(report: Any) -> None:
    data, folder = report
    measured = data["headline"]["models"]["told"]
    assert set(measured) == set(MEANINGS) == set(data["headline"]["meanings"])
    assert measured["exp"]["value"] == data["models"]["told"]["metrics"]["fake.exp"]["value"]
    text = (folder / "report.md").read_text()
    assert "Headline measures" in text and "| copy-template |" in text
    assert "copy of the template scores" in text  # beside the transfers


def test_a_metric_on_which_a_dummy_beats_the_exact_render_is_refused() -> None:
    def scores(value: float, better: str) -> Any:
        rows = np.full(4, value)
        return mean_score(rows, rows, WEIGHTS, better)

    metrics = {
        "exp": ("lower", 0.05, 0.0), "near": ("higher", 1.0, 0.2), "even": ("lower", 0.1, 0.1),
        "leak": ("zero", 0.0, -0.2),
    }  # fmt: skip
    baselines = {
        "exact": {name: scores(exact, better) for name, (better, exact, _) in metrics.items()},
        "copy-template": {name: scores(copy, better) for name, (better, _, copy) in metrics.items()},
    }
    assert refused(baselines) == {"exp": ["copy-template"]}
    noise = np.array([0.0, 1.0, 0.0, 1.0])  # better on average, but by chance
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 2, 0], [0, 2, 0, 2]])
    lucky = {name: {"exp": mean_score(rows, rows, weights, "lower")}
             for name, rows in (("exact", np.full(4, 0.6)), ("copy-template", noise))}  # fmt: skip
    assert refused(lucky) == {}
    found = headline({}, baselines)
    assert "exp" not in found["measures"] and "nearness.gaze" in found["measures"]
    assert found["models"]["copy-template"]["exp"]["value"] == 0


def test_a_picture_without_a_face_counts_as_no_control() -> None:
    pairs = [Pair(person, target) for person in range(2) for target in range(2)]
    weights = pair_weights(pairs, 10)
    exact = Distances(np.zeros(4), np.zeros(4), np.ones(4))
    half = Distances(np.array([0.0, 0.0, np.nan, np.nan]), np.zeros(4), np.array([1.0, 1.0, np.nan, np.nan]))
    score = nearness_score(half, exact, weights).as_json()
    assert score["value"] == 0.5 and (score["n"], score["n_failed"]) == (2, 2)
    ceiling = Distances(np.full(4, 0.5), np.zeros(4), np.ones(4))
    assert nearness_score(exact, ceiling, weights).as_json()["value"] == 2  # the exact render is above the ceiling
    assert nearness_score(ceiling, ceiling, weights).as_json()["value"] == 1
    blind = Distances(np.ones(4), np.zeros(4), np.ones(4))
    assert nearness_score(blind, blind, weights).as_json()["value"] is None  # a measure that sees no control


@pytest.mark.parametrize("protocol", ["distribution", "diversity"])
def test_dummies_stand_in_other_protocols(protocol: str, tmp_path: Path) -> None:
    from tests.evaluation.test_protocols import tools

    found = protocol_named(protocol).run(EvaluationRun(SETTINGS, {"a": (SETTINGS, tools(FakeModel()))}, tmp_path)).data
    dummies = set(DUMMIES) - ({"copy-template"} if protocol == "diversity" else set())
    assert set(found["baselines"]) == {"exact", *dummies}
    assert all(one["metrics"].keys() == found["models"]["a"]["metrics"].keys() for one in found["baselines"].values())
    assert found["refused"].keys() <= found["models"]["a"]["metrics"].keys()
