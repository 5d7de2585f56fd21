"""The protocols that ask whether weights are worth shipping: fairness, text, distribution, autoencoder."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mien.errors import BadInput, MissingAsset
from mien.evaluation.control import people
from mien.evaluation.control.people import GROUPINGS, choose_people
from mien.evaluation.control.planned import kept_renders
from mien.evaluation.control.scene import Pair, Subject, varied_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.protocols import EvaluationRun, fairness, protocol_named
from mien.evaluation.protocols.autoencoder import gaze_errors, judge_errors, pixel_errors, reconstructed
from mien.evaluation.report.page import write_report
from mien.faces import palette
from mien.faces.linear.face import LinearFace
from mien.metrics.gaze import iris_offsets
from mien.studio.person import Person, sample_person
from mien.studio.plans import plan_scene
from mien.studio.scene import Scene
from tests.evaluation.fake_control import (
    FakeModel,
    FakeOutside,
    FakeRenderer,
    Repainted,
    everybody,
    fake_control_tools,
    picture,
)

SETTINGS = ControlSettings(people=2, targets=4, pairs_per_person=2, steps=2, batch=8, look_alikes=0, draws=30)
KEYS = {"value", "low", "high", "n", "n_failed", "floor", "ceiling", "better"}


class AttributeJudge:
    """The mean colour as features; glasses where the lower half is bright, everybody with black hair and no beard."""

    classes = {"glasses": ("none", "round"), "beard": ("none", "goatee"), "hair_color": ("black", "brown")}  # noqa: RUF012

    def predict(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        sure = torch.tensor([[1.0, 0.0]]).expand(len(pictures), 2)
        bright = (pictures[:, :, -20:].mean((1, 2, 3)) > 0)[:, None]
        glasses = torch.where(bright, sure.flip(1), sure)
        return {"hair_color": sure, "beard": sure, "glasses": glasses, "features": pictures.mean((2, 3))}


def tools(model: Any, **changes: Any) -> Any:
    return replace(fake_control_tools(model), judge_attributes=AttributeJudge(), **changes)


def run(protocol: str, models: dict[str, Any], folder: Path, **changes: Any) -> tuple[dict[str, Any], Any]:
    settings = replace(SETTINGS, conditions=protocol_named(protocol).conditions, **changes)
    return protocol_named(protocol).run(
        EvaluationRun(settings, {name: (settings, one) for name, one in models.items()}, folder)
    )


def is_whole(report: dict[str, Any], cases: Any, folder: Path) -> str:
    """The page of a report that is JSON, has the keys of all reports, and shows pictures."""
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    for model in report["models"].values():
        assert all(score.keys() == KEYS for score in model["metrics"].values())
    write_report(folder, report, cases)
    assert list((folder / "pictures").glob("*/*.png"))
    return (folder / "index.html").read_text()


class Unfair(FakeModel):
    """Draws some people with nobody's valence and in one colour."""

    def __init__(self, spoiled: set[int], colour: float = 0.5) -> None:
        super().__init__()
        self.spoiled, self.colour = spoiled, colour

    def __call__(self, *, generator: list[torch.Generator], **given: Any) -> Any:
        images = super().__call__(generator=generator, **given).images
        people = [one.initial_seed() // 1000 for one in generator]
        grey = Image.fromarray(picture(np.full(3, self.colour), 0.5))
        return SimpleNamespace(
            images=[grey if row in self.spoiled else image for row, image in zip(people, images, strict=True)]
        )


@pytest.fixture
def few_people(monkeypatch: pytest.MonkeyPatch) -> list[Person]:
    """The search among all held-out seeds takes its time."""
    with monkeypatch.context() as patch:
        patch.setattr(people, "sample_person", everybody)
        chosen = choose_people(2, range(48))
    monkeypatch.setattr(fairness, "choose_people", lambda least, seeds: chosen)
    return chosen


def test_a_group_that_is_drawn_badly_is_found(tmp_path: Path, few_people: list[Person]) -> None:
    pale = {row for row, person in enumerate(few_people) if person.skin_band == 0}
    outside = FakeOutside()
    models = {
        "even": tools(FakeModel(), outside=outside),
        "unfair": tools(Unfair(pale), models={"unet": "other"}, outside=outside),
    }
    report, cases = run("fairness", models, tmp_path / "kept")
    assert report["people_a_group"] == 2 and report["settings"]["people"] == len(few_people)
    assert all(min(report["groups"][name].values()) >= 2 for name in GROUPINGS)
    even, unfair = (report["models"][name]["fairness"]["identity.top1"]["skin"] for name in models)
    assert even["holds"] and even["shortfall"]["value"] == 0 and even["by_chance"] == {"value": 0, "high": 0}
    assert unfair["worst"] == "band 0" and not unfair["holds"]
    shares = {group: told["relative"]["value"] for group, told in unfair["groups"].items()}
    assert shares["band 0"] <= 0.5 and list(shares) == list(GROUPINGS["skin"])
    assert unfair["shortfall"]["value"] == pytest.approx(
        1 - shares["band 0"] / np.mean(list(shares.values())), abs=1e-4
    )
    assert unfair["groups"]["band 1"]["relative"]["value"] == 1
    assert unfair["groups"]["band 1"]["behind"]["value"] < 0
    exp = report["models"]["unfair"]["fairness"]["transfer.fake.exp"]["skin"]
    assert exp["worst"] == "band 0" and exp["by_chance"]["value"] < exp["shortfall"]["value"]
    for measure in ("nearness.fake.exp", "nearness.judge.coefficients"):
        near = report["models"]["unfair"]["fairness"][measure]["skin"]
        assert near["worst"] == "band 0" and near["groups"]["band 1"]["oracle"]["value"] == 0
    for measure in ("outside.found", "outside.identity", "outside.emotion"):
        even, seen = (report["models"][name]["fairness"][measure]["skin"] for name in models)
        assert even["holds"] and even["groups"]["band 1"]["oracle"]["value"] > 0, measure
        assert seen["worst"] == "band 0" and not seen["holds"], measure
    metrics = report["models"]["unfair"]["metrics"]
    assert metrics["identity.top1.shortfall.skin"]["value"] == unfair["shortfall"]["value"]
    assert report["differences"]["unfair"]["identity.top1.shortfall.skin"]["value"] == unfair["shortfall"]["value"]
    html = is_whole(report, cases, tmp_path / "report")
    assert html.count("<table>") == 6 and "skin: band 3" in html and "does not hold" in html


class Poor(FakeModel):
    """Draws another picture where the target's emotion is above a level, as it should elsewhere."""

    def __init__(self, instead: np.ndarray) -> None:
        super().__init__()
        self.instead = Image.fromarray(picture(instead, 0.5))

    def __call__(self, *, generator: list[torch.Generator], **given: Any) -> Any:
        images = super().__call__(generator=generator, **given).images
        hard = given["emotion"][:, 0] > 0.2
        return SimpleNamespace(images=[self.instead if one else image for one, image in zip(hard, images, strict=True)])


def test_models_are_held_against_each_other_where_both_drew_a_face(tmp_path: Path, few_people: list[Person]) -> None:
    models = {"grey": tools(Poor(np.full(3, 0.5))), "shy": tools(Poor(np.zeros(3)), models={"unet": "shy"})}
    report, _ = run("fairness", models, tmp_path / "kept")
    grey, shy = (report["models"][name]["metrics"]["transfer.identity.cosine"] for name in models)
    assert shy["n_failed"] > 0 == grey["n_failed"] and shy["value"] > grey["value"]
    for metric in ("transfer.identity.cosine", "transfer.identity.cosine.shortfall.skin"):
        assert report["differences"]["shy"][metric]["value"] == 0


def test_random_groups_are_drawn_among_those_who_are_shown_the_same_targets() -> None:
    pairs = [Pair(person, person // 2 * 2 + k) for person in range(4) for k in range(2)]
    hard = np.array([pair.target > 1 for pair in pairs], np.float64)  # whoever is shown those is drawn badly

    def levels(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        level = 1 - weights @ hard / weights.sum(1)
        return level, np.ones_like(level), level

    standing = fairness.Standing("hard", levels, np.ones(len(pairs), bool))
    lots = fairness._by_chance(standing, np.array(["a", "b", "a", "b"]), ["a", "b"], pairs, 20)
    np.testing.assert_array_equal(lots, np.zeros(20))
    mixed = fairness._by_chance(standing, np.array(["a", "a", "b", "b"]), ["a", "b"], pairs, 20)
    np.testing.assert_array_equal(mixed, np.ones(20))


def test_other_people_are_drawn_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_people: list[Person]
) -> None:
    def calls(chosen: list[Person]) -> int:
        monkeypatch.setattr(fairness, "choose_people", lambda least, seeds: chosen)
        model = FakeModel()
        run("fairness", {"a": tools(model)}, tmp_path / "kept", people=2)
        return len(model.calls)

    assert calls(few_people) > 0 and calls(few_people) == 0
    assert calls(few_people[::-1]) > 0


class Reader(FakeModel):
    """Draws what a caption says of background and glasses."""

    def __call__(self, *, generator: list[torch.Generator], **given: Any) -> Any:
        assert set(given) <= {"prompt", "num_inference_steps", "scales", "guidance", "identity_mode", "speed"}
        self.calls.append(len(generator))
        images = []
        for words in given["prompt"]:
            name = next(one for one in palette.BACKGROUNDS if f"{one} background" in words)
            images.append(Image.fromarray(picture(np.mean(palette.BACKGROUNDS[name], 0) / 255, "glasses" in words)))
        return SimpleNamespace(images=images)


class BackdropRenderer(FakeRenderer):
    def render(self, person: Person, picture_: Scene) -> Any:
        colour = np.mean(palette.BACKGROUNDS[picture_.background], 0) / 255
        told = super().render(person, picture_)
        return SimpleNamespace(image=picture(colour, picture_.glasses is not None), landmarks=told.landmarks)


def test_captions_are_read_in_the_pictures(tmp_path: Path) -> None:
    model = Reader()
    models = {"reader": tools(model, renderer=BackdropRenderer()),
              "deaf": tools(FakeModel(), renderer=BackdropRenderer(), models={"unet": "deaf"})}  # fmt: skip
    report, cases = run("text", models, tmp_path / "kept", people=6)
    reader, deaf = (report["models"][name]["metrics"] for name in models)
    for name in ("background", "glasses"):
        assert reader[name]["value"] == reader[name]["ceiling"] == reader[f"of_oracle.{name}"]["value"] == 1
        assert deaf[name]["value"] < 1 and reader[name]["floor"] < 1, name
    assert reader["hair_color"]["ceiling"] < 1  # this judge knows one colour: what it cannot see is no fault
    assert reader["of_oracle.hair_color"]["value"] == 1 and reader["of_oracle.all"]["value"] == 1
    assert reader["faces.fake"]["value"] == 1 and report["pairs"] == 24
    assert "background" in is_whole(report, cases, tmp_path / "report")
    drawn = len(model.calls)
    run("text", models, tmp_path / "kept", people=6)
    assert len(model.calls) == drawn


def test_text_needs_its_judge(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="attribute judge"):
        run("text", {"a": fake_control_tools(Reader())}, tmp_path)
    with pytest.raises(MissingAsset, match="--network"):
        run("distribution", {"a": fake_control_tools(FakeModel())}, tmp_path)


def test_pictures_of_another_kind_are_far_from_renders(tmp_path: Path) -> None:
    models = {"told": tools(FakeModel()), "white": tools(Unfair(set(range(12)), 1), models={"unet": "grey"})}
    report, cases = run("distribution", models, tmp_path / "kept", people=12)
    told, white = (report["models"][name]["metrics"] for name in models)
    assert set(told) == {f"{prefix}{name}.studio" for prefix in ("", "exact.") for name in ("kid", "frechet")}
    assert told["kid.studio"]["value"] == pytest.approx(told["exact.kid.studio"]["value"], abs=1e-3)
    assert white["exact.frechet.studio"] == told["exact.frechet.studio"]
    for name in ("kid.studio", "frechet.studio"):
        assert white[name]["value"] > told[name]["value"] and white[name]["ceiling"] == told[name]["ceiling"]
        assert report["differences"]["white"][name]["value"] > 0
    assert told["kid.studio"]["n"] == 24 and told["kid.studio"]["low"] < told["kid.studio"]["high"]
    is_whole(report, cases, tmp_path / "report")
    kept = [json.loads(file.read_text())["what"] for file in (tmp_path / "kept").glob("*/made-with.json")
            if "what" in file.read_text()]  # fmt: skip
    assert sorted(kept) == ["exact", "reference renders"]


def test_planned_renders_are_kept_until_the_renderer_draws_otherwise(tmp_path: Path) -> None:
    planned = varied_subjects(970_000, 3, 2)

    def drawn(seed: int) -> list[int]:
        renderer, seen = Repainted(seed), []
        watched = SimpleNamespace(render=lambda person, plan: seen.append(person.seed) or renderer.render(person, plan))
        pictures = kept_renders(tools(FakeModel(), renderer=watched), planned, tmp_path, "renders")
        wanted = [renderer.render(one.person, one.picture).image for one in planned]
        assert all(np.array_equal(a, b) for a, b in zip(pictures, wanted, strict=True))
        return seen

    each = [970_000, 970_001, 970_002]
    assert sorted(drawn(0)) == sorted(each * 2)
    assert drawn(0) == each, "the first of everybody says whether the renderer is the same"
    assert drawn(970_001) == sorted([*each, 970_001])


class Blur(torch.nn.Module):
    """An autoencoder that keeps pictures, or halves their contrast."""

    dtype = torch.float32

    def __init__(self, kept: float) -> None:
        super().__init__()
        self.kept = kept
        factors = {"scaling_factor": 2.0, "shift_factor": 0.5}
        self.config = factors

    def encode(self, pictures: torch.Tensor) -> Any:
        return SimpleNamespace(latents=pictures)

    def decode(self, latents: torch.Tensor) -> Any:
        return SimpleNamespace(sample=latents * self.kept)


def with_autoencoder(kept: float) -> Any:
    model = FakeModel()
    model.vae = Blur(kept)  # type: ignore[attr-defined]
    return tools(model, models={"vae/config.json": f"{kept}", "unet": "abc"})


def test_an_autoencoder_is_held_against_what_it_was_given(tmp_path: Path) -> None:
    report, cases = run("autoencoder", {"sharp": with_autoencoder(1), "dull": with_autoencoder(0.5)}, tmp_path)
    sharp, dull = (report["models"][name]["metrics"] for name in ("sharp", "dull"))
    assert sharp["psnr"]["value"] is None  # infinite
    assert 0 < dull["psnr"]["value"] < 30 and {"psnr.eyes", "psnr.mouth", "judge.eyelids"} <= dull.keys()
    assert sharp["judge.coefficients"]["value"] == sharp["judge.coefficients"]["ceiling"]
    assert dull["judge.coefficients"]["value"] != dull["judge.coefficients"]["ceiling"]
    assert sharp["fake.gaze"]["value"] == sharp["fake.gaze"]["ceiling"] == 0  # its reader sees the exact landmarks
    assert report["models"]["dull"]["made_with"] == {"vae/config.json": "0.5"} and report["pairs"] == 8
    is_whole(report, cases, tmp_path / "report")


def test_similarity_is_that_of_torchmetrics(tmp_path: Path) -> None:
    pytest.importorskip("torchmetrics")
    report, _ = run("autoencoder", {"sharp": with_autoencoder(1), "dull": with_autoencoder(0.5)}, tmp_path)
    sharp, dull = (report["models"][name]["metrics"]["ssim"]["value"] for name in ("sharp", "dull"))
    assert sharp == pytest.approx(1, abs=1e-4) and 0.3 < dull < 0.99


def test_without_torchmetrics_there_is_no_ssim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchmetrics.functional.image", None)
    with caplog.at_level(logging.WARNING):
        report, _ = run("autoencoder", {"a": with_autoencoder(0.5)}, tmp_path)
    assert "ssim" not in report["models"]["a"]["metrics"] and "mien[eval]" in caplog.text


def test_what_is_lost_where() -> None:
    render = FakeRenderer().render(sample_person(1), plan_scene(sample_person(1), 3))
    spoiled = render.image.copy()
    spoiled[-3:] = 255 - spoiled[-3:]  # below the mouth
    errors = pixel_errors([render.image], [spoiled], render.landmarks[None])
    assert errors[""] > 0 and errors["eyes"] == 0 and errors["mouth"] == 0
    assert np.array_equal(reconstructed(Blur(1.0), [render.image])[0], render.image)  # type: ignore


def test_errors_of_readings() -> None:
    person = sample_person(5)
    plan = plan_scene(person, 4)
    state = plan.expression
    seen = np.array([state.coefficients])
    found = judge_errors(seen, [Subject(person, plan)], range(53))
    assert found["judge.eyelids"] == found["judge.mouth"] == 0
    seen = seen + np.eye(53)[10] * 0.5  # eyeBlink_L
    again = judge_errors(seen, [Subject(person, plan)], range(53))
    assert again["judge.eyelids"] == pytest.approx([0.25]) and again["judge.mouth"] == 0
    assert again["judge.coefficients"] == pytest.approx([0.5 / 53])
    legible = [index for index in range(53) if index != 10]
    without = judge_errors(seen[:, legible], [Subject(person, plan)], legible)
    assert without["judge.coefficients"] == without["judge.eyelids"] == 0  # what cannot be read is not counted


def test_the_gaze_is_where_irises_are_in_the_eye_however_the_head_is_held() -> None:
    face = LinearFace.load()
    ahead, aside, up = (face.landmarks(gaze=gaze, size=128)[None] for gaze in ((0, 0), (25, 0), (0, 15)))
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    assert gaze_errors(ahead, ahead @ turn.T * 2 + 5) == pytest.approx([0], abs=1e-6)
    along, across = (
        np.abs(iris_offsets(aside) - iris_offsets(ahead)).reshape(2, 2).T,
        np.abs(iris_offsets(up) - iris_offsets(ahead)).reshape(2, 2).T,
    )
    assert along[0].min() > 2 * along[1].max() and across[1].min() > 2 * across[0].max()
    assert gaze_errors(ahead, aside)[0] > 0.03
    assert np.isnan(gaze_errors(ahead * np.nan, aside)).all()


@pytest.mark.parametrize("protocol", ["fairness", "text", "distribution", "autoencoder"])
def test_a_users_own_pictures_have_no_truth(protocol: str) -> None:
    chosen = protocol_named(protocol)
    assert chosen.own_pictures == "none" and chosen.settings().people >= 60
    chosen.check(None, None)
    for folders in ((Path("a"), None), (Path("a"), Path("b"))):
        with pytest.raises(BadInput, match=f"{protocol} is measured on studio people"):
            chosen.check(*folders)
