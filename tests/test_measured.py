"""What was asked of speed and size holds in the committed measurements; a worse one cannot be committed unseen."""

from __future__ import annotations

from typing import Any

from mien.core.io import read_json
from tests.conftest import ROOT


def measured(name: str) -> Any:
    return read_json(ROOT / "benchmarks" / "results" / f"{name}.json")


def test_a_rank_with_many_pictures_is_small_and_begins_soon() -> None:
    ranks = {one["workers"]: one for one in measured("loader")["ranks"]}
    for one in ranks.values():
        assert one["pictures"] == 200_000
        assert one["most_mb_beyond_the_model"] < 4000
        assert one["seconds_to_the_first_batch"] < 30
    assert ranks[2]["pictures_a_second"] >= 200


def test_two_processes_are_nearly_twice_as_fast_as_one() -> None:
    found = measured("scaling")
    assert found["workers"] == 2 and found["ratio"] >= 1.8


def test_the_rehearsal_was_walked_to_its_end_in_time() -> None:
    found = measured("rehearsal")
    assert found["passed"] and found["form"] == "whole" and found["papers"].keys() == {"facecrafter", "emojidiff"}
    assert sum(one["seconds"] for one in (found["made"], *found["papers"].values())) < 20 * 60


def test_the_page_answers_soon_and_loses_nothing() -> None:
    found = measured("app")
    alone, load = found["alone"], found["load"]
    assert alone["first_picture_s"] < 15 and alone["few_s"]["median"] < 1
    assert load["users"] == 32 and load["minutes"] == 10
    assert load["lost"] == load["crossed"] == load["still_waiting"] == 0
