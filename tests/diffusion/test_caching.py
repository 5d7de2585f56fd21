"""What is computed at which step, and differences that are kept in between."""

from __future__ import annotations

import pytest
import torch

from mien.diffusion.caching import (
    SPEEDS,
    Caching,
    DifferenceCaching,
    FeatureReuse,
    GuidanceInterval,
    caching_of,
)
from mien.diffusion.differences import Differences, noise_factor
from mien.diffusion.guidance import Difference, Guidance
from mien.diffusion.prediction import PREDICTIONS, convert, signal_and_noise
from mien.errors import ConfigError
from tests.tiny import tiny_scheduler
from tests.tolerance import PASS


def told(caching: Caching, count: int = 25, evaluations: int = 4) -> str:
    """One word a step: whole or one evaluation, guided or not, with the deep blocks or without."""
    return " ".join(
        ("W" if step.whole else "o") + ("g" if step.guided else "-") + ("d" if step.deep else ".")
        for step in caching.schedule(count, evaluations)
    )


def test_gaps_between_differences_grow() -> None:
    assert sorted(DifferenceCaching(1.5).steps(25)) == [0, 1, 4, 8, 13, 20]
    assert sorted(DifferenceCaching(1.0).steps(25)) == [0, 1, 3, 6, 10, 15, 21]
    assert DifferenceCaching(0.0).steps(7) == frozenset(range(7))
    assert DifferenceCaching(9.0).steps(1) == {0}


def test_schedules() -> None:
    assert told(Caching(), 3) == "Wgd Wgd Wgd"
    assert told(SPEEDS["fast"], 10) == "Wgd Wgd og. og. Wgd og. og. ogd Wgd og."
    assert told(Caching(features=FeatureReuse(3)), 5) == "Wgd Wg. Wg. Wgd Wg."
    assert told(Caching(interval=GuidanceInterval(0.25, 0.75)), 5) == "o-d Wgd Wgd Wgd o-d"
    # a whole step after steps of one evaluation has rows that the deep blocks have not seen
    both = Caching(interval=GuidanceInterval(0.4, 1.0), features=FeatureReuse(4))
    assert told(both, 6) == "o-d o-. Wgd Wg. Wg. Wg."
    # the first step with guidance needs its differences whatever the gaps say
    late = Caching(DifferenceCaching(9.0), GuidanceInterval(0.5, 1.0))
    assert told(late, 5) == "o-d o-d Wgd ogd ogd"


def test_one_evaluation_is_always_whole() -> None:
    assert told(SPEEDS["fast"], 4, evaluations=1) == "Wgd Wg. Wg. Wgd"


@pytest.mark.parametrize(
    "wrong", [lambda: DifferenceCaching(-1.0), lambda: GuidanceInterval(0.5, 0.5), lambda: FeatureReuse(0)]
)
def test_settings_out_of_range(wrong: object) -> None:
    with pytest.raises(ConfigError):
        wrong()  # type: ignore[operator]


def test_modes_by_name() -> None:
    own = Caching(features=FeatureReuse(2))
    assert caching_of(own) is own
    assert caching_of("exact") == Caching()
    with pytest.raises(ConfigError, match="choose exact, fast, few"):
        caching_of("faster")  # type: ignore[arg-type]


def test_differences_go_on_as_they_did() -> None:
    start, slope = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    line, stay = Differences(), Differences(extrapolate=False)
    for kept in (line, stay):
        kept.keep(1, start + slope, torch.tensor(1.0))
        torch.testing.assert_close(kept.at(2, torch.tensor(1.0)), start + slope)  # one alone stays
        kept.keep(4, start + 4 * slope, torch.tensor(1.0))
    torch.testing.assert_close(line.at(6, torch.tensor(2.0)), (start + 6 * slope) / 2)
    torch.testing.assert_close(stay.at(6, torch.tensor(1.0)), start + 4 * slope)
    with pytest.raises(ValueError, match="No difference"):
        Differences().at(0, torch.tensor(1.0))


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_the_factor_makes_noise_of_any_prediction(kind: str) -> None:
    scheduler = tiny_scheduler(kind)
    noisy, timestep = torch.randn(2, 4, 3, 3), torch.tensor(400)
    a, s = signal_and_noise(scheduler, timestep)
    noises = torch.randn(2, 2, 4, 3, 3)
    one, other = (convert(noise, noisy, a, s, "epsilon", kind) for noise in noises)  # type: ignore[arg-type]
    found = (one - other) * noise_factor(scheduler, timestep)
    torch.testing.assert_close(found, noises[0] - noises[1], **PASS)


def test_the_reference_is_the_most_conditioned_that_is_added() -> None:
    weights = {"identity": 2.5, "landmarks": 2.0, "emotion": 2.0}
    guide = Guidance.around(weights, [["identity"]])
    assert guide.evaluations()[guide.reference()] == {"identity", "landmarks"}
    assert guide.rows_sharing("identity") == (0, 1, 1, 1)
    assert guide.rows_sharing("nothing") == (0, 0, 0, 0)
    away = Guidance((Difference("landmarks", -1.0, frozenset({"landmarks"}), frozenset()),))
    assert away.evaluations()[away.reference()] == frozenset()
