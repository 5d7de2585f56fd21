"""Three verdicts: held, not held, and not tested, with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.core.log import write_lines
from mien.evaluation.claims.catalogue import catalogue, catalogue_sha256
from mien.evaluation.claims.training import ArmTraining, gap_of, runs_of, schedule_of, training_of
from mien.evaluation.claims.verdicts import claims_report
from mien.evaluation.statistics.scores import mean_score
from mien.pipelines.spec import load_spec
from mien.training.config import TrainConfig

TRAINED = ArmTraining("studio-alignment", 80_000, 3000.0, 0.2, 0.1)
METRIC = "nearness.identity"


def report(gain: float, training: dict[str, Any], refused: dict[str, Any] | None = None) -> dict[str, Any]:
    weights = np.concatenate([np.ones((1, 40)), np.random.default_rng(0).multinomial(40, [1 / 40] * 40, 100)])
    people = np.random.default_rng(1).normal(size=40)
    scores = {
        name: {METRIC: mean_score(people + plus, people, weights.astype(float), "higher")}
        for name, plus in (("ica", gain), ("longer", 0.0))
    }
    found = claims_report(scores, "mien evaluate", training, refused or {})
    (row,) = [row for row in found["claims"] if row["id"] == "emojidiff-ica-identity"]
    return found | {"row": row}


def test_a_trained_arm_is_held_or_not() -> None:
    arms = {"ica": [TRAINED], "longer": [TRAINED]}
    for gain, verdict in ((0.5, "held"), (-0.5, "not held")):
        found = report(gain, arms)
        assert found["row"]["verdict"] == verdict and found["row"]["holds"] == (verdict == "held")
        assert "interval of the effect" in found["row"]["reason"]
        assert found["training"]["ica"][0]["full_rate_steps"] == 3000
    assert report(0.5, {})["row"]["verdict"] == "held"  # nothing is known of a model that was not trained here
    assert found["claims_file"] == {"frozen": catalogue().frozen, "sha256": catalogue_sha256()}


@pytest.mark.parametrize(
    ("arm", "reason"),
    [
        (TRAINED._replace(full_rate_steps=13.0), "13 steps at full rate"),
        (TRAINED._replace(weight_change=0.0001), "moved by 0.01%"),
        (TRAINED._replace(gap=0.0005), "0.05% of the error"),
    ],
)
def test_an_arm_that_did_not_train_tests_nothing(arm: ArmTraining, reason: str) -> None:
    row = report(0.5, {"ica": [arm], "longer": [TRAINED]})["row"]
    assert row["verdict"] == "not tested" and reason in row["reason"] and row["holds"]
    assert report(0.5, {"other": [arm]})["row"]["verdict"] == "held"  # another arm's training says nothing
    assert report(0.5, {"longer#1": [arm]})["row"]["verdict"] == "not tested"  # a seed of the baseline does


def test_a_metric_on_which_a_dummy_is_better_tests_nothing() -> None:
    row = report(0.5, {}, {METRIC: ["copy-identity"]})["row"]
    assert row["verdict"] == "not tested" and row["holds"]
    assert "a dummy model (copy-identity) is better" in row["reason"]


def both(judge: float, reader: float, refused: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """The row of a claim that has to hold by two judges, with these gains."""
    weights = np.concatenate([np.ones((1, 40)), np.random.default_rng(0).multinomial(40, [1 / 40] * 40, 100)])
    people = np.random.default_rng(1).normal(size=40)
    scores = {
        name: {
            metric: mean_score(people + gain * plus, people, weights.astype(float), "higher")
            for metric, gain in (("nearness.expression.judge", judge), ("nearness.expression", reader))
        }
        for name, plus in (("ica", 1.0), ("animate", 0.0))
    }
    found = claims_report(scores, "mien evaluate", {}, refused or {})["claims"]
    (row,) = [row for row in found if row["id"] == "emojidiff-vs-animate-exp"]
    return row


def test_a_claim_has_to_hold_by_each_judge() -> None:
    row = both(0.5, 0.25)
    assert row["verdict"] == "held" and row["holds"] and row["effect"] == pytest.approx(0.5)
    (other,) = row["also"]
    assert other["studio"]["metric"] == "nearness.expression" and other["effect"] == pytest.approx(0.25)
    for gains in ((0.5, -0.25), (-0.5, 0.25)):
        row = both(*gains)
        assert row["verdict"] == "not held" and not row["holds"]
        assert row["reason"].count(" lies above 0") == 1 and row["reason"].count("does not lie above 0") == 1
    row = both(0.5, 0.25, {"nearness.expression": ["copy-template"]})
    assert row["verdict"] == "not tested" and "on nearness.expression a dummy model" in row["reason"]


def test_of_a_leak_the_size_counts() -> None:
    """The exact render has 0: more of the template's person is worse, and so is less."""
    weights = np.concatenate([np.ones((1, 40)), np.random.default_rng(0).multinomial(40, [1 / 40] * 40, 100)])
    around = np.random.default_rng(1).normal(scale=0.01, size=40)
    for ours, theirs, holds in ((0.1, 0.4, True), (-0.1, 0.4, True), (-0.4, 0.1, False), (0.4, 0.1, False)):
        scores = {
            name: {"leak": mean_score(around + level, around, weights.astype(float), "zero")}
            for name, level in (("refined", ours), ("same", theirs))
        }
        (row,) = claims_report(scores, "mien evaluate", {}, {})["claims"]
        assert row["id"] == "emojidiff-idi-leak" and row["holds"] == holds
        assert row["effect"] == pytest.approx(abs(theirs) - abs(ours), abs=0.01)


def test_the_schedule_of_a_run_is_read_from_its_config() -> None:
    config = TrainConfig(name="a", objective="b:C", pictures=8000, global_batch=16)
    assert schedule_of(config.model_dump()) == config.schedule
    old = {"pictures": 8000, "batch": 16, "warmup": 400, "decay": 0.4, "final_lr": 0.03}  # of 0.1.0
    assert schedule_of(old) == config.schedule


def test_a_run_is_read_from_its_log(tmp_path: Path) -> None:
    assert training_of(tmp_path / "none") is None
    run = tmp_path / "studio-alignment"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"pictures": 160, "batch": 16, "warmup": 0, "decay": 0.0}))
    lines = [
        {"seen": 80, "loss": 1.0, "weight_change": 0.01},
        {"seen": 160, "validation": {"right_900": 0.9, "shuffled_900": 1.0, "right_600": 0.8, "shuffled_600": 1.0}},
    ]
    write_lines(run / "log.jsonl", lines)
    assert training_of(run) == ("studio-alignment", 160, 10, 0.01, pytest.approx(0.2))
    assert gap_of({"loss": 1.0}) is None


def test_the_runs_of_a_spec() -> None:
    assert runs_of(load_spec("embedded")) == []
    assert "studio-alignment" in runs_of(load_spec("e-adapter-ica"))


def test_the_catalogue_is_whole() -> None:
    claims = catalogue().claims
    assert len({claim.id for claim in claims}) == len(claims) > 50
    assert all(claim.margin >= 0 and claim.baseline for claim in claims)
