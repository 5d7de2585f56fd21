"""The simulation of costs on cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.test_docs_results import script

pytest.importorskip("simpy")
NEVER = math.inf


@pytest.mark.parametrize(("servers", "expected"), [(1, 70.0), (2, 40.0), (7, 10.0), (50, 10.0)])
def test_without_chance_tasks_take_their_turns(servers: int, expected: float) -> None:
    assert script("costs").queue_seconds(7, 10.0, servers, NEVER, 0.0, 0.0) == pytest.approx(expected)


def test_without_chance_training_is_shared_among_all() -> None:
    assert script("costs").training_seconds(1000.0, 4, NEVER, 0.0, 60.0, 0.0) == pytest.approx(250.0)


@pytest.mark.parametrize("what", ["queue", "training"])
def test_what_failures_cost_one_server_is_what_the_formula_says(what: str) -> None:
    """Work of length t that begins again after each failure (rate f, then r to restart) takes (1/f + r)(e^ft - 1)."""
    costs, length, failure, restart, count = script("costs"), 1.0, 2.0, 1.0, 20

    def seconds(seed: int) -> float:
        if what == "queue":
            return costs.queue_seconds(count, length, 1, failure, restart, 0.0, seed)
        return costs.training_seconds(count * length, 1, failure, restart, length, 0.0, seed)

    expected = count * (failure + restart) * math.expm1(length / failure)
    found = [seconds(seed) for seed in range(300)]
    assert np.mean(found) == pytest.approx(expected, rel=0.05)  # its standard error is 1 %


def test_features_wait_for_cores_that_embed() -> None:
    costs = script("costs")
    values = {kind: {name: one["value"] for name, one in costs.read_json(costs.INPUTS)[kind].items()}
              for kind in ("numbers", "forwards")}  # fmt: skip
    stage = {"name": "features", "on": "gpus", "samples": 200000, "cost": "features"}
    plain = costs.stage_cost(stage, **values, gpus=8)
    values["numbers"]["identity_core_seconds"] = 0.186
    assert costs.stage_cost(stage, **values, gpus=8) == plain, "eight cores embed while their GPU does the rest"
    values["numbers"]["identity_core_seconds"] = 1.86
    slow = costs.stage_cost(stage, **values, gpus=8)
    assert (plain["limit"], slow["limit"]) == ("GPUs", "cores")
    assert slow["hours"] == pytest.approx(200000 * 1.86 / 64 / 3600, rel=0.05)


def test_the_slowest_of_many_is_waited_for_and_a_batch_that_does_not_divide_leaves_gpus_idle() -> None:
    costs = script("costs")
    alone, many = (costs.training_seconds(640.0, gpus, NEVER, 0.0, 60.0, 0.1) for gpus in (1, 64))
    assert alone == pytest.approx(640, rel=0.03) and 1.2 < many / 10 < 1.4  # of 64 normal numbers, 2.35 deviations
    values = {kind: {name: one["value"] for name, one in costs.read_json(costs.INPUTS)[kind].items()}
              for kind in ("numbers", "forwards")}  # fmt: skip
    stage = {"name": "landmarks", "on": "training", "preset": "facecrafter-landmarks", "cost": "branch"}
    assert costs.stage_cost(stage, **values, gpus=64)["gpus"] == 16
    assert costs.stage_cost(stage, **values, gpus=64)["limit"] == "batch of 16"
