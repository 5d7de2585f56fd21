"""Sides take turns, and ratios are of one round each."""

from __future__ import annotations

import time

import pytest

from mien.bench.timing import Timing, pairs, ratio, spread, take_turns


def test_sides_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []
    advances: list[int] = []
    sides = {name: lambda name=name: order.append(name) for name in "abc"}
    found = take_turns(sides, 2, warm_up=1, advance=advances.append)
    assert "".join(order) == "cba" + "abc" + "cba"
    assert [len(one.wall) for one in found.values()] == [len(one.cpu) for one in found.values()] == [2, 2, 2]
    assert sum(advances) == 9


def test_the_device_is_waited_for_before_and_after() -> None:
    events: list[str] = []
    take_turns({"a": lambda: events.append("run")}, 1, warm_up=0, wait=lambda: events.append("wait"))
    assert events == ["wait", "run", "wait"]


def test_seconds_are_what_a_run_takes() -> None:
    found = take_turns({"sleep": lambda: time.sleep(0.05), "nothing": lambda: None}, 2)
    assert all(0.05 <= seconds < 5 for seconds in found["sleep"].wall)
    assert max(found["sleep"].cpu) < 0.05  # sleeping is no work


def test_ratios_are_taken_round_by_round() -> None:
    slow, fast = Timing([2.0, 9.0, 4.0], [1.0, 1.0, 1.0]), Timing([1.0, 3.0, 4.0], [0.5, 0.25, 0.0])
    found = ratio(slow, fast)
    assert (found["median"], found["minimum"], found["maximum"], found["rounds"]) == (2.0, 1.0, 3.0, 3)
    assert found["cpu"] == {"median": 3.0, "minimum": 2.0, "maximum": 4.0}  # a round without any is left out
    advances = pairs({"slow": slow, "fast": fast}, [("slow", "fast"), ("slow", "absent")])
    assert advances == [{"of": "slow", "to": "fast", "ratio": found}]
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "minimum": 1.0, "maximum": 3.0}
    with pytest.raises(ValueError, match="zip"):
        ratio(slow, Timing([1.0], [1.0]))
