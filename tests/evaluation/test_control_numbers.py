from __future__ import annotations

import numpy as np
import pytest

from mien.errors import BadInput
from mien.evaluation.control.likeness import donor_leak, likeness, look_alike_top1
from mien.evaluation.control.measures import Measure, distances, nearness, other_class
from mien.evaluation.control.scene import Pair, identity_subjects, lay_out, target_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.summary import pair_weights, summarise
from mien.evaluation.readings.arrays import Readings
from mien.metrics.expression import coefficient_distance

GAP = Measure("gap", "judge.coefficients", coefficient_distance, "")


def _pairs(people: int = 3, targets: int = 4) -> list[Pair]:
    return [Pair(person, target) for person in range(people) for target in range(targets)]


def _goals(targets: int = 4) -> np.ndarray:
    return np.random.default_rng(0).random((targets, 53))


def _score(share: float, missing: tuple[int, ...] = ()) -> dict:
    """A model that goes ``share`` of the way from the mean of all targets to the wanted one."""
    pairs, goals = _pairs(), _goals()
    exact = goals[[pair.target for pair in pairs]]
    drawn = share * exact + (1 - share) * goals.mean(0)
    drawn[list(missing)] = np.nan
    part = GAP.part
    rows = distances(GAP, Readings({part: drawn}), Readings({part: exact}), goals, pairs)
    return summarise(rows, pair_weights(pairs, 50))


def test_transfer_is_one_for_the_exact_render_and_grows_with_control() -> None:
    perfect, half, none = _score(1.0), _score(0.5), _score(0.0)
    assert perfect["transfer"]["value"] == pytest.approx(1)
    assert perfect["model"]["value"] == perfect["oracle"]["value"] == 0
    assert 0.3 < half["transfer"]["value"] < 0.9
    assert abs(none["transfer"]["value"]) < 0.15
    assert half["transfer"]["low"] <= half["transfer"]["value"] <= half["transfer"]["high"]


def test_failures_are_counted_and_count_against() -> None:
    told = _score(1.0, missing=(0, 5, 7))
    assert (told["n"], told["n_failed"], told["oracle_failed"]) == (9, 3, 0)
    assert told["transfer"]["value"] == pytest.approx(1)
    assert told["transfer_all"]["value"] == pytest.approx(0.75)
    nothing = _score(1.0, missing=tuple(range(12)))
    assert nothing["n"] == 0
    assert nothing["transfer"] == {"value": None, "low": None, "high": None}


def test_squared_measures_give_the_root_of_the_mean() -> None:
    yaw = Measure("yaw", "judge.pose", lambda target, seen: np.abs(seen - target)[..., 0], "", squared=True)
    pairs = _pairs(2, 2)
    goals = np.array([[0.0], [10.0]])
    exact = goals[[pair.target for pair in pairs]]
    drawn = exact + np.array([[3.0], [-4.0], [3.0], [-4.0]])
    rows = distances(yaw, Readings({"judge.pose": drawn}), Readings({"judge.pose": exact}), goals, pairs)
    told = summarise(rows, pair_weights(pairs, 5), squared=True)
    assert told["model"]["value"] == pytest.approx(12.5**0.5, abs=1e-4)
    assert told["shuffled"]["value"] == pytest.approx(((7**2 + 6**2) / 2) ** 0.5, abs=1e-4)


def test_a_failed_row_of_squares_counts_before_the_root() -> None:
    pairs, goals = _pairs(2, 2), np.array([[0.0], [10.0]])
    yaw = Measure("yaw", "judge.pose", lambda target, seen: np.abs(seen - target)[..., 0], "", squared=True)
    exact = goals[[pair.target for pair in pairs]]
    drawn = np.where(np.arange(4)[:, None] == 0, np.nan, exact)
    rows = distances(yaw, Readings({"judge.pose": drawn}), Readings({"judge.pose": exact}), goals, pairs)
    told = summarise(rows, pair_weights(pairs, 5), squared=True)
    assert told["transfer"]["value"] == 1
    assert told["transfer_all"]["value"] == pytest.approx(0.5)  # a quarter of the squares left, half of the root


def test_shuffled_is_the_mean_over_all_other_targets() -> None:
    pairs, goals = _pairs(1, 3), np.array([[0.0] * 53, [1.0] * 53, [0.5] * 53])
    seen = Readings({GAP.part: np.zeros((3, 53))})
    rows = distances(GAP, seen, seen, goals, pairs)
    assert rows.shuffled == pytest.approx([0.75, 0.25, 0.5])


def test_nearness_holds_a_picture_against_its_own_exact_render() -> None:
    pairs = [Pair(0, 0), Pair(1, 0), Pair(0, 1), Pair(0, 2), Pair(1, 1), Pair(2, 0)]
    exact, drawn = (np.tile(np.array(values)[:, None], (1, 53)) for values in (
        [0.0, 0.4, 1.0, 0.5, 0.8, 0.3], [0.1, 0.4, 0.9, 0.5, np.nan, 0.3]
    ))  # fmt: skip
    rows = nearness(GAP, Readings({GAP.part: drawn}), Readings({GAP.part: exact}), pairs)
    np.testing.assert_allclose(rows.model, [0.1, 0.0, 0.1, 0.0, np.nan, 0.0])
    np.testing.assert_allclose(rows.oracle, [0.0, 0.0, 0.0, 0.0, np.nan, 0.0])
    # the person's other renders; nobody else's, and none for a person drawn once
    np.testing.assert_allclose(rows.shuffled, [(0.9 + 0.4) / 2, 0.4, (0.9 + 0.4) / 2, 0.5, np.nan, np.nan])


def test_other_class() -> None:
    happy, sad = np.zeros(10), np.zeros(10)
    happy[3] = sad[4] = 1
    assert other_class(happy, np.stack([happy, sad])).tolist() == [0, 1]


def test_likeness_of_the_right_person() -> None:
    pairs = _pairs(4, 3)
    owners = [pair.person for pair in pairs]
    gallery = np.eye(4)
    exact = gallery[owners]
    drawn = exact.copy()
    drawn[0] = gallery[1]  # the wrong person
    drawn[1] = np.nan  # nobody
    told = likeness(drawn, exact, gallery, owners, pair_weights(pairs, 20))
    assert told["top1"]["model"]["value"] == pytest.approx(10 / 12, abs=1e-4)
    assert told["top1"]["oracle"]["value"] == 1
    assert told["top1"]["of_oracle"]["value"] == pytest.approx(10 / 12, abs=1e-4)
    assert (told["top1"]["n"], told["top1"]["n_failed"]) == (12, 1)
    assert told["cosine"]["model"]["value"] == pytest.approx(10 / 11, abs=1e-4)
    assert told["cosine"]["oracle"]["value"] == 1


def test_look_alikes_and_donors() -> None:
    pairs = _pairs(2, 2)
    gallery, donors = np.eye(4)[:2], np.eye(4)[2:]
    exact = gallery[[pair.person for pair in pairs]]
    weights = pair_weights(pairs, 20)
    owners = [pair.person for pair in pairs]
    decoys = np.stack([gallery * 0.5, donors], 1)
    assert look_alike_top1(exact, exact, gallery, decoys, owners, weights)["model"]["value"] == 1
    same = np.stack([gallery, donors], 1)  # a tie with a look-alike earns nothing
    assert look_alike_top1(exact, exact, gallery, same, owners, weights)["model"]["value"] == 0
    assert donor_leak(exact, exact, donors, gallery, pairs, weights)["leak"]["value"] == 0
    copies = donors[[pair.target for pair in pairs]]
    assert donor_leak(copies, exact, donors, gallery, pairs, weights)["leak"]["value"] == 1


def test_pairs_are_spread_evenly_and_keep_their_seeds() -> None:
    every = lay_out(ControlSettings(people=6, targets=4))
    assert len(every) == len({pair.seed for pair in every}) == 24
    few = lay_out(ControlSettings(people=6, targets=4, pairs_per_person=2))
    assert np.bincount([pair.target for pair in few]).tolist() == [3, 3, 3, 3]
    assert np.bincount([pair.person for pair in few]).tolist() == [2] * 6
    assert set(few) <= set(every)


def test_what_is_chosen_by_development_people_is_measured_on_others() -> None:
    seeds = {}
    for development in (False, True):
        settings = ControlSettings(people=3, targets=2, target_choice="first", development=development)
        chosen = [*identity_subjects(settings), *target_subjects(settings)]
        seeds[development] = [one.person.seed for one in chosen]
    assert seeds[False] == [900_000, 900_001, 900_002, 950_000, 950_001]
    assert seeds[True] == [810_000, 810_001, 810_002, 860_000, 860_001]


def test_all_targets_are_the_same_pictures_however_they_are_asked_for() -> None:
    every, said = ControlSettings(people=6, targets=4), ControlSettings(people=6, targets=4, pairs_per_person=4)
    assert lay_out(every) == lay_out(said) and every.of_pictures() == said.of_pictures()
    assert every.of_pictures() != ControlSettings(people=6, targets=4, pairs_per_person=2).of_pictures()


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": 1},
        {"targets": 1},
        {"pairs_per_person": 21},
        {"conditions": ("mood",)},
        {"conditions": ()},
        {"steps": 0},
    ],
)
def test_settings_that_cannot_be_run(wrong: dict) -> None:
    with pytest.raises(BadInput):
        ControlSettings(**wrong)
