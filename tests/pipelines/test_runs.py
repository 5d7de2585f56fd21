"""The learning rate of a run, and what its steps are worth."""

from __future__ import annotations

import pytest

from mien.pipelines.runs import RateSchedule


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = RateSchedule(batch=10, pictures=1000, warm_up=100, decay=0.4, final=0.1)
    assert [schedule.share(seen) for seen in (0, 90, 600)] == [0.1, 1.0, 1.0]
    assert [schedule.share(seen) for seen in (800, 990)] == [pytest.approx(0.5), 0.1]


def test_full_rate_steps_are_the_sum_of_the_rates() -> None:
    late = RateSchedule(batch=10, pictures=400, warm_up=800, decay=0.0, final=0.03)
    assert late.full_rate_steps(400) == pytest.approx(sum((step + 1) / 80 for step in range(40)))
    assert late._replace(warm_up=0).full_rate_steps(400) == 40
    # the alignment arms: 1,600 pictures of a budget of 1,600 under a warm-up of 4,000
    assert RateSchedule(16, 1600, 4000, 0.4, 0.03).full_rate_steps(1600) < 20
