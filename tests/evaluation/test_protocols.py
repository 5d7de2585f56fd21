"""The protocols beside control on renders: a user's own pictures, and pictures of the identity alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from mien.errors import BadInput
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.protocols import PROTOCOLS, EvaluationRun, protocol_named
from mien.evaluation.protocols.control import compare
from mien.evaluation.protocols.diversity import DIVERSITY
from mien.evaluation.report.cases import control_cases
from mien.evaluation.report.page import write_report
from mien.provenance.png import examine
from tests.evaluation.fake_control import FakeModel, fake_control_tools, picture

SETTINGS = ControlSettings(
    people=5, targets=4, pairs_per_person=3, steps=2, batch=8, look_alikes=0, draws=60, cross_talk_people=0
)
KEYS = {"value", "low", "high", "n", "n_failed", "floor", "ceiling", "better"}


class Judge:
    """The mean colour as features; names nothing."""

    classes: ClassVar[dict[str, tuple[str, ...]]] = {}

    def predict(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": pictures.mean((2, 3))}


class Moody(FakeModel):
    """Each picture of a person has a level of its own."""

    def __call__(self, *, generator: list[torch.Generator], **given: Any) -> Any:
        levels = torch.tensor([[2 * float(torch.rand(1, generator=one)) - 1] for one in generator])
        return super().__call__(generator=generator, **given, emotion=levels)


def tools(model: FakeModel, **changes: Any) -> Any:
    return replace(fake_control_tools(model), judge_attributes=Judge(), **changes)


def own_pictures(folder: Path, count: int, faceless: int = 0) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(len(folder.name))
    for number in range(count):
        colour = rng.uniform(0.3, 1, 3) * (number >= faceless)
        Image.fromarray(picture(colour, rng.uniform())).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_control_on_a_users_own_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    people, targets = own_pictures(tmp_path / "people", 4, faceless=1), own_pictures(tmp_path / "targets", 3)
    models = {
        "told": (SETTINGS, tools(FakeModel(), renderer=None)),
        "deaf": (replace(SETTINGS, conditions=("identity",)), tools(FakeModel(), renderer=None)),
    }
    report, done, stage = compare(
        EvaluationRun(SETTINGS, models, tmp_path / "kept", identities=people, targets=targets)
    )
    assert "0.png: left out" in caplog.text
    assert (report["settings"]["people"], report["settings"]["targets"], report["pairs"]) == (3, 3, 9)
    metrics = report["models"]["told"]["metrics"]
    assert "fake.exp" in metrics and not any("judge.coefficients" in name for name in metrics)
    for name, score in metrics.items():
        assert score.keys() == KEYS, name
        assert score["ceiling"] is None or name.startswith("transfer"), name
    assert metrics["fake.exp"]["value"] is not None and metrics["fake.exp"]["floor"] is not None
    assert metrics["transfer.fake.exp"]["value"] is None
    assert report["models"]["told"]["groups"] is None
    assert metrics["identity.top1"]["value"] == 1
    write_report(tmp_path / "report", report, {n: control_cases(d, stage, "fake.blendshapes") for n, d in done.items()})
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == report


def test_other_pictures_are_drawn_anew_and_the_same_ones_are_not(tmp_path: Path) -> None:
    people, targets = own_pictures(tmp_path / "people", 3), own_pictures(tmp_path / "targets", 3)

    def calls() -> int:
        model = FakeModel()
        compare(
            EvaluationRun(
                SETTINGS,
                {"a": (SETTINGS, tools(model, renderer=None))},
                tmp_path / "kept",
                identities=people,
                targets=targets,
            )
        )
        return len(model.calls)

    assert calls() > 0 and calls() == 0
    Image.fromarray(picture(np.array([1.0, 0.3, 0.3]), 0.1)).save(targets / "1.png")
    assert calls() > 0


def test_folders_without_faces_are_refused(tmp_path: Path) -> None:
    people, targets = own_pictures(tmp_path / "people", 3, faceless=2), own_pictures(tmp_path / "targets", 3)
    with pytest.raises(BadInput, match="1 pictures with a face; at least 2"):
        models = {"a": (SETTINGS, tools(FakeModel(), renderer=None))}
        compare(EvaluationRun(SETTINGS, models, tmp_path / "kept", identities=people, targets=targets))


def test_a_model_that_always_draws_the_same_has_no_diversity(tmp_path: Path) -> None:
    models = {"same": (SETTINGS, tools(FakeModel())), "moody": (SETTINGS, tools(Moody(), models={"unet": "m"}))}
    report, cases = DIVERSITY.run(EvaluationRun(SETTINGS, models, tmp_path / "kept"))
    same, moody = (report["models"][name]["metrics"] for name in ("same", "moody"))
    for metrics in (same, moody):
        assert all(score.keys() == KEYS for score in metrics.values())
    for name in ("diversity.expression.fake", "diversity.pose.fake", "perceptual.studio"):
        assert same[name]["value"] == pytest.approx(0, abs=1e-6) and moody[name]["value"] > 0.01, name
        assert same[name]["ceiling"] > 0.001, name
        assert report["differences"]["moody"][name]["low"] > 0
    assert same["diversity.pose.fake"]["n"] == 5 and same["kid.studio"]["n"] == 20
    assert same["identity.cosine"]["ceiling"] == pytest.approx(1, abs=0.01)
    write_report(tmp_path / "report", report, cases)
    assert "most diverse" in (tmp_path / "report" / "index.html").read_text()
    for file in (tmp_path / "report" / "pictures").glob("*/*.png"):  # the first of each row is the person's own
        assert (examine(file).record is None) == file.stem.endswith("-1"), file.name


def test_a_missing_face_fails_its_person(tmp_path: Path) -> None:
    report, _ = DIVERSITY.run(EvaluationRun(SETTINGS, {"a": (SETTINGS, tools(FakeModel(blank=1)))}, tmp_path / "kept"))
    metrics = report["models"]["a"]["metrics"]
    assert metrics["diversity.pose.fake"]["n_failed"] == 1
    assert metrics["faces.fake"]["value"] == pytest.approx(19 / 20)


def test_diversity_of_a_users_own_pictures_has_no_ceiling(tmp_path: Path) -> None:
    people = own_pictures(tmp_path / "people", 3)
    models = {"moody": (SETTINGS, tools(Moody(), renderer=None))}
    report, _ = DIVERSITY.run(EvaluationRun(SETTINGS, models, tmp_path / "kept", identities=people))
    metrics = report["models"]["moody"]["metrics"]
    assert report["pairs"] == 12 and "kid.studio" not in metrics
    assert all(score["ceiling"] is None for score in metrics.values())


def test_protocols() -> None:
    measured = {"fairness", "text", "distribution", "autoencoder"}
    assert set(PROTOCOLS) == {"control", "diversity", "ablation", "expression"} | measured
    control = protocol_named("control")
    assert (control.people, control.targets, control.pairs_per_person) == (100, 100, 20)
    assert protocol_named("ablation").own_pictures == "identities"
    assert protocol_named("expression").own_pictures == "identities and targets"


def test_a_protocols_numbers_can_be_changed() -> None:
    control = protocol_named("control")
    assert (control.settings().targets, control.settings().pairs_per_person) == (100, 20)
    few = control.settings(people=7, targets=4, steps=3, batch=2, draws=9)
    assert (few.people, few.targets, few.pairs_per_person, few.steps, few.draws) == (7, 4, 4, 3, 9)
    assert protocol_named("expression").settings().pairs_per_person is None
    for number in ("people", "targets", "pairs_per_person"):
        for zero in (control, protocol_named("expression")):
            with pytest.raises(BadInput):
                zero.settings(**{number: 0})


@pytest.mark.parametrize("protocol", ["control", "ablation"])
def test_a_protocol_is_run_by_its_name(protocol: str, tmp_path: Path) -> None:
    report, cases = protocol_named(protocol).run(
        EvaluationRun(SETTINGS, {"a": (SETTINGS, tools(FakeModel()))}, tmp_path / "kept")
    )
    assert report["protocol"] == protocol and list(cases) == list(report["models"]) == ["a"]
    assert ("perceptual.studio" in report["models"]["a"]["metrics"]) == (protocol == "ablation")
