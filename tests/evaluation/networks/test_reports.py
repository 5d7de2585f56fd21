"""Numbers of other groups' networks in the reports, under their names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import BadInput
from mien.evaluation import score as module
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.pairing import pair_up
from mien.evaluation.protocols import EvaluationRun, protocol_named
from mien.evaluation.protocols.control import compare
from mien.evaluation.protocols.diversity import DIVERSITY
from mien.evaluation.report.tables import comparison
from mien.media.pictures import files_below
from mien.metrics.declared import METRICS
from tests.evaluation.fake_control import FakeModel, fake_control_tools
from tests.evaluation.networks.fake_networks import fake_networks
from tests.evaluation.test_protocols import own_pictures
from tests.evaluation.test_score import CodedReader, write

SETTINGS = ControlSettings(
    people=5, targets=4, pairs_per_person=3, steps=2, batch=8, look_alikes=0, draws=40, cross_talk_people=0
)


def tools(model: FakeModel) -> Any:
    return replace(fake_control_tools(model), networks=fake_networks())


def test_control_reports_them_beside_the_judges(tmp_path: Path) -> None:
    """One model does as it is told, one hears of the identity alone and fails once."""
    deaf = replace(SETTINGS, conditions=("identity",))
    models = {"deaf": (deaf, tools(FakeModel(blank=1))), "told": (SETTINGS, tools(FakeModel()))}
    report = compare(EvaluationRun(SETTINGS, models, tmp_path))[0]
    deaf_numbers, numbers = (report["models"][name]["metrics"] for name in ("deaf", "told"))
    assert numbers["transfer.emonet.valence"]["value"] == pytest.approx(1, abs=0.05)
    assert abs(deaf_numbers["transfer.emonet.valence"]["value"]) < 0.5
    assert numbers["emonet.emotion_class"]["value"] == 0
    assert numbers["smirk.expression_parameters"]["value"] < deaf_numbers["smirk.expression_parameters"]["value"]
    assert numbers["smirk.pose_parameters"]["value"] == pytest.approx(0)
    assert numbers["arcface.identity.top1"]["value"] == 1 and numbers["arcface.identity.top1"]["floor"] == 0.2
    assert deaf_numbers["arcface.identity.top1"]["value"] == pytest.approx(14 / 15, abs=1e-4)
    assert numbers["arcface.identity"]["value"] > numbers["arcface.identity"]["floor"]
    assert deaf_numbers["arcface.identity"]["n_failed"] == 1
    plain = compare(EvaluationRun(SETTINGS, {"told": (SETTINGS, fake_control_tools(FakeModel()))}, tmp_path))[0]
    own = plain["models"]["told"]["metrics"]
    assert {name: numbers[name] for name in own} == own  # and change nothing else


def test_diversity_reports_lpips_and_fid(tmp_path: Path) -> None:
    report, _ = DIVERSITY.run(EvaluationRun(SETTINGS, {"told": (SETTINGS, tools(FakeModel()))}, tmp_path))
    numbers = report["models"]["told"]["metrics"]
    assert numbers["lpips.alex"]["value"] == 0 < numbers["lpips.alex"]["ceiling"]
    for what in ("expression", "pose"):
        assert numbers[f"diversity.{what}.smirk"]["value"] == 0, "one picture again and again"
    assert numbers["diversity.expression.smirk"]["ceiling"] > 0 and "diversity.expression.arcface" not in numbers
    assert numbers["fid.inception"]["value"] > 0 and numbers["kid.inception"]["n"] == 20
    assert "frechet.inception" not in numbers and "fid.studio" not in numbers


def test_own_pictures_are_compared_with_a_reference_set(tmp_path: Path) -> None:
    """The FID of Tables 2 and 3, as ``mien score --unpaired`` gives it of the same pictures; its place without one."""
    people, reference = own_pictures(tmp_path / "people", 3), own_pictures(tmp_path / "reference", 5)
    settings = replace(SETTINGS, targets=2, pairs_per_person=2)

    def run(reference: Path | None) -> Any:
        models = {"told": (settings, replace(tools(FakeModel()), renderer=None))}
        return DIVERSITY.run(EvaluationRun(settings, models, tmp_path / "kept", identities=people, reference=reference))

    report = run(reference).data
    numbers = report["models"]["told"]["metrics"]
    drawn = list((tmp_path / "kept").rglob("*.png"))
    found = module.score_sets(files_below(reference), drawn, fake_networks().sets)["metrics"]
    assert numbers["fid.inception"]["value"] == pytest.approx(found["fid.inception"]["value"], rel=1e-4)
    for name in ("fid.inception", "kid.inception"):  # KID leaves out pairs of pictures of one person
        assert numbers[name]["n"] == len(drawn) == 6 and numbers[name]["ceiling"] is None
    assert "As a set against 5 real pictures." in report["title"] and "unmeasured" not in report
    plain = run(None).data
    assert "fid.inception" not in plain["models"]["told"]["metrics"]
    assert "| fid.inception | lower | no reference set given | - | - | - |" in comparison(plain)


def test_a_reference_set_is_refused_where_it_means_nothing(tmp_path: Path) -> None:
    people, reference = own_pictures(tmp_path / "people", 3), own_pictures(tmp_path / "reference", 1)
    for protocol, identities in (("control", people), ("diversity", None)):
        with pytest.raises(BadInput, match="--reference is what synth-500 and agedb-500 are compared with"):
            protocol_named(protocol).check(identities, None, reference=reference)
    with pytest.raises(BadInput, match="reference has 1 pictures: a set has at least two"):
        DIVERSITY.check(people, None, reference=reference)
    with pytest.raises(BadInput, match="There is no folder"):
        DIVERSITY.check(people, None, reference=tmp_path / "nowhere")


def test_scores_of_two_folders(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours: Any = {f"{k}.png": tuple(int(v) for v in rng.integers(30, 255, 3)) for k in range(4)}
    a, b = write(tmp_path / "a", colours), write(tmp_path / "b", colours | {"3.png": (0, 0, 0)})
    reader: Any = CodedReader()
    report = module.score(pair_up(a, b), reader, reader, None, fake_networks(), draws=20)
    numbers = report["metrics"]
    assert {name.partition(".")[0] for name in numbers} <= METRICS.keys()
    assert numbers["identity.arcface"]["value"] == pytest.approx(1) and numbers["identity.arcface"]["n_failed"] == 1
    assert numbers["identity.arcface"]["floor"] < 1
    for name in ("valence.emonet", "emotion_l2.emonet", "expression_l2.smirk", "rotation_rmse.smirk"):
        assert (numbers[name]["value"], numbers[name]["n"]) == (pytest.approx(0, abs=1e-6), 3), name
    assert numbers["expression_l2.smirk"]["floor"] == pytest.approx(numbers["expression_rmse.smirk"]["floor"] * 50**0.5)
    assert numbers["lpips.alex"]["n"] == 4 and 0 < numbers["lpips.alex"]["value"] < numbers["lpips.alex"]["floor"]
    assert numbers["fid.inception"]["value"] > 0 and not numbers["fid.inception"]["enough"]
