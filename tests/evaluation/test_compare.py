"""Several models in one run: specs, paired differences, the report a user opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import BadInput, ConfigError, MissingAsset
from mien.evaluation import models as models_module
from mien.evaluation.claims.catalogue import catalogue
from mien.evaluation.claims.verdicts import merge
from mien.evaluation.claims.verdicts import tested as claims_of
from mien.evaluation.control.pictures import Drawing, PartDrawn
from mien.evaluation.control.run import Benchmark, ModelRun
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.models import Sweep, add_sweeps, load_models, sweep_of
from mien.evaluation.protocols import EvaluationRun
from mien.evaluation.protocols.control import compare
from mien.evaluation.report.cases import chosen_rows, control_cases
from mien.evaluation.report.page import write_report
from mien.evaluation.statistics.scores import mean_score
from mien.generation.repeat import repeat
from mien.pipelines.spec import ModelSpec, load_spec, shipped_specs
from mien.provenance.declaration import DIGITAL_SOURCE_TYPE
from mien.provenance.png import examine
from tests.evaluation.fake_control import FakeModel, fake_control_tools

CLAIMS = catalogue().claims
SETTINGS = ControlSettings(
    people=5, targets=4, pairs_per_person=3, steps=2, batch=8, look_alikes=0, draws=60, cross_talk_people=0
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Mapping[str, ModelRun], Benchmark, Path]:
    """One model does as it is told, one hears of the identity alone and fails once."""
    folder = tmp_path_factory.mktemp("pictures")
    deaf = replace(SETTINGS, conditions=("identity",))
    models = {
        "deaf": (deaf, fake_control_tools(FakeModel(blank=1))),
        "told": (SETTINGS, fake_control_tools(FakeModel())),
    }
    report, runs, benchmark = compare(EvaluationRun(SETTINGS, models, folder))
    return report, runs, benchmark, folder


def test_every_model_and_metric_has_the_stable_keys(done: Any) -> None:
    report = done[0]
    for model in report["models"].values():
        for name, score in model["metrics"].items():
            assert {"value", "low", "high", "n", "n_failed", "floor", "ceiling"} <= score.keys(), name
            assert score["n"] + score["n_failed"] == 15 or name.startswith(("faces", "identity.top1"))
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_differences_are_paired(done: Any) -> None:
    report = done[0]
    told, deaf = (report["models"][name]["metrics"] for name in ("told", "deaf"))
    assert told["transfer.judge.valence"]["value"] == pytest.approx(1, abs=0.05)
    assert told["faces.fake"]["value"] == 1 and deaf["faces.fake"]["value"] == pytest.approx(14 / 15, abs=1e-4)
    assert report["compared_with"] == "deaf" and list(report["differences"]) == ["told"]
    change = report["differences"]["told"]["judge.valence"]
    assert told["judge.valence"]["n_failed"] == 0 and deaf["judge.valence"]["n_failed"] == 1
    assert change["high"] < 0  # lower is better, and this is no chance
    assert report["differences"]["told"]["judge.yaw"]["value"] == pytest.approx(0, abs=1e-5)


def test_groups_and_leak_are_held_against_exact_renders(done: Any) -> None:
    for model in done[0]["models"].values():
        assert model["groups"]["measure"] == "fake.exp" and {"excess", "gap"} <= model["groups"]["skin"].keys()
        leak = model["metrics"]["identity.leak"]
        assert -1 <= leak["value"] < 0 and leak["ceiling"] == pytest.approx(-1, abs=0.1)


def test_a_model_against_itself_differs_by_nothing(tmp_path: Path) -> None:
    models = {name: (SETTINGS, fake_control_tools(FakeModel())) for name in ("one", "same")}
    report, performed, _ = compare(EvaluationRun(SETTINGS, models, tmp_path))
    for change in report["differences"]["same"].values():
        assert change["value"] in (0, None) and change["low"] in (0, None) and change["high"] in (0, None)
    assert performed["one"].files == performed["same"].files  # what is there is not drawn again


def test_the_report_is_a_page_with_pictures(done: Any, tmp_path: Path) -> None:
    report, performed, stage, _ = done
    write_report(
        tmp_path, report, {name: control_cases(one, stage, "fake.blendshapes") for name, one in performed.items()}
    )
    assert json.loads((tmp_path / "report.json").read_text()) == report
    page = (tmp_path / "index.html").read_text()
    assert "no face" in page and "<h2>told</h2>" in page and "transfer.judge.valence" in page
    import re

    for file in re.findall(r'src="([^"]+)"', page):
        assert (tmp_path / file).is_file(), file
    assert "| told minus deaf |" in (tmp_path / "report.md").read_text()


def test_a_report_marks_what_a_model_drew_and_nothing_else(done: Any, tmp_path: Path) -> None:
    report, performed, stage, _ = done
    kept = performed["told"].files[0].read_bytes()
    report = json.loads(json.dumps(report))
    report["models"]["told"]["made_with"]["models"] = {"unet/model.safetensors": "b" * 64, "dtype": "float16"}
    cases = control_cases(performed["told"], stage, "fake.blendshapes")
    write_report(tmp_path, report, {"told": cases})
    rows = [case for heading in cases.values() for case in heading]
    files = sorted((tmp_path / "pictures" / "told").iterdir())
    found = {file.name: examine(file) for file in files}
    assert set(found) == {f"{case.name}-{number}.png" for case in rows for number in (1, 2, 3)}
    for name, one in found.items():
        if not name.endswith("-3.png"):  # a person and a target, who may be a user's own
            assert (one.record, one.digital_source_type, one.mark) == (None, None, None)
            continue
        assert one.record is not None and one.digital_source_type == DIGITAL_SOURCE_TYPE and one.watermark_fits
        assert one.record.models == {"unet/model.safetensors": "b" * 64}
        assert one.record.settings["evaluation"] == "control" and one.record.settings["dtype"] == "float16"
    assert performed["told"].files[0].read_bytes() == kept
    with pytest.raises(BadInput, match=r"not made by .*give  mien evaluate  the same"):
        repeat(next(file for file in files if file.name.endswith("-3.png")), {}, tmp_path / "again")


def test_best_median_and_worst() -> None:
    rows = np.array([0.5, np.nan, 0.1, 0.9, 0.2, 0.3])
    assert chosen_rows(rows, 1) == {"best": [2], "median": [0], "worst": [1]}
    assert chosen_rows(rows[:2], 4) == {"best": [0, 1], "median": [0, 1], "worst": [1, 0]}


def test_specs_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    assert load_spec("lmk").conditions == ("identity", "landmarks")
    assert all(ModelSpec.model_validate(spec) for spec in shipped_specs().values())
    file = tmp_path / "spec.json"
    file.write_text('{"base": "studio", "scales": {"landmarks": 1.5}, "steps": 7, "retarget": true}')
    applied = SETTINGS.for_model(load_spec(str(file)))
    assert (applied.scales, applied.steps, applied.retarget) == ({"landmarks": 1.5}, 7, True)
    assert applied.conditions == SETTINGS.conditions and applied.people == SETTINGS.people
    for text, told in (('{"bass": 1}', "bass"), ('{"steps": 0}', "steps"), ('{"dtype": "int8"}', "dtype")):
        file.write_text(text)
        with pytest.raises(ConfigError, match=told):
            load_spec(str(file))
    with pytest.raises(ConfigError, match="lmk-emo"):
        load_spec("lmk-emu")


def test_a_sweep_is_a_curve_of_identity_against_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_module, "load_tools", lambda *places: fake_control_tools(FakeModel()))
    monkeypatch.setattr(models_module, "with_model", lambda tools, pipeline, spec: tools)
    monkeypatch.setattr(ModelSpec, "load", lambda self: None)
    sweep = sweep_of("emotion=0.5,1")
    assert sweep == Sweep("emotion", (0.5, 1.0))
    specs = {"all": ModelSpec()}
    models = load_models(specs, SETTINGS, None, sweep)
    assert list(models) == ["all", "all@emotion=0.5", "all@emotion=1"]
    assert models["all@emotion=0.5"][0].scales == {"emotion": 0.5}
    report, performed, stage = compare(EvaluationRun(SETTINGS, models, tmp_path / "pictures"))
    add_sweeps(report, specs, sweep)
    points = report["sweeps"]["all"]["points"]
    assert [point["scale"] for point in points] == [0.5, 1.0] and points[0]["identity"]["value"] is not None
    write_report(tmp_path / "report", report, {"all": control_cases(performed["all"], stage, "fake.blendshapes")})
    assert "<polyline" in (tmp_path / "report" / "index.html").read_text()
    with pytest.raises(BadInput, match="--sweep"):
        sweep_of("emotion=much")


def test_another_adapter_is_another_model(tmp_path: Path) -> None:
    """Pictures of one are never taken for the other's."""
    from types import SimpleNamespace

    from mien.evaluation.context import with_model

    tools = replace(fake_control_tools(FakeModel()), models={"adapters/landmarks.safetensors": "abc", "unet": "u"})
    pipeline: Any = SimpleNamespace(
        unet=SimpleNamespace(config=SimpleNamespace(sample_size=8)), vae_scale_factor=8, adapters={},
        expression_encoder=None,
    )  # fmt: skip
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"weights")
    mine = with_model(tools, pipeline, ModelSpec(adapters={"landmarks": str(file)}))
    assert mine.models["adapters/landmarks.safetensors"] != "abc" and mine.models["unet"] == "u"
    none = with_model(tools, pipeline, ModelSpec(adapters={"landmarks": None}))
    assert "adapters/landmarks.safetensors" not in none.models
    assert with_model(tools, pipeline, ModelSpec(dtype="bfloat16")).models != tools.models
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "weights.safetensors").write_bytes(b"other")
    encoded = with_model(tools, pipeline, ModelSpec(expression_encoder=str(tmp_path / "encoder")))
    assert encoded.models.keys() - tools.models.keys() == {"expression_encoder/weights.safetensors"}
    (tmp_path / "scheduler_config.json").write_text('{"prediction_type": "epsilon"}')
    noise = with_model(tools, pipeline, ModelSpec(scheduler=str(tmp_path)))
    assert noise.models.keys() - tools.models.keys() == {"scheduler/scheduler_config.json"}
    pipeline.vae_scale_factor = 4
    assert with_model(replace(tools, renderer=None), pipeline, ModelSpec()).size == 32


def test_a_spec_names_any_file_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    file = tmp_path / "runs" / "studio-e-adapter" / "export" / "adapters" / "expression_identity.safetensors"
    spec = ModelSpec(adapters={"identity": "studio-e-adapter:expression_identity"}, identity_mode="branch")
    with pytest.raises(MissingAsset, match="mien train studio-e-adapter"):
        spec.check()
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    spec.check()
    assert spec.adapter_file("identity") == file
    pictures = SETTINGS.for_model(spec).of_pictures()
    assert pictures["identity_mode"] == "branch" and "identity_mode" not in SETTINGS.of_pictures()


def test_a_spec_brings_the_prediction_type_of_its_unet(tmp_path: Path) -> None:
    (tmp_path / "scheduler_config.json").write_text('{"prediction_type": "epsilon", "beta_start": 0.5}')
    solver, other = (ModelSpec(scheduler=one).load().scheduler for one in (None, str(tmp_path)))
    assert (solver.config.prediction_type, other.config.prediction_type) == ("v_prediction", "epsilon")
    assert type(other) is type(solver) and other.config.beta_start == solver.config.beta_start


def test_fast_pictures_lie_in_a_folder_of_their_own() -> None:
    fast = load_spec("embedded-fast")
    assert SETTINGS.for_model(fast).of_pictures() == SETTINGS.for_model(load_spec("embedded")).of_pictures() | {
        "speed": "fast"
    }


def test_pictures_are_kept_until_something_that_made_them_changes(tmp_path: Path) -> None:
    """Weights of a condition that is not asked for make no difference; those of one that is do, and the guidance."""
    files = {f"adapters/{name}.safetensors": name for name in ("faceid", "landmarks", "emotion", "expression")}
    plain = fake_control_tools(FakeModel())
    tools = replace(plain, models={"unet": "u", "model_index.json": "i"} | files)
    settings = replace(SETTINGS, conditions=("identity", "landmarks"))

    def folder(name: str | None = None, guidance: dict[str, float] | None = None, mode: str = "prompt") -> Path:
        other = replace(tools, models=dict(tools.models) | ({name: "another"} if name else {}))
        other.pipeline.config = {"guidance": guidance or {}, "scales": {}}  # type: ignore
        asked = replace(settings, identity_mode=mode)
        return compare(EvaluationRun(settings, {"one": (asked, other)}, tmp_path))[1]["one"].drawn

    first, by_branch = folder(), folder(mode="branch")
    for idle in ("model_index.json", *(f"adapters/{name}.safetensors" for name in ("emotion", "expression", "faceid"))):
        assert folder(idle) == first, idle  # the face is in the prompt, not in a branch
    changed = [folder(used) for used in ("unet", "adapters/landmarks.safetensors")]
    changed += [folder(guidance={"identity": 4.0}), by_branch, folder("adapters/faceid.safetensors", mode="branch")]
    assert len({first, *changed}) == 6


def test_pictures_are_the_same_however_many_draw_them(tmp_path: Path) -> None:
    """Two parts of all models and then the rest; two processes; and one."""

    def run(folder: Path, drawing: Drawing) -> tuple[Any, list[FakeModel]]:
        fakes = [FakeModel(), FakeModel()]
        how: dict[str, Any] = {"drawing": drawing, "reopen": FakeModel}
        models = {
            name: (SETTINGS, replace(fake_control_tools(fake), models={"unet": name}, **how))
            for name, fake in zip(("one", "other"), fakes, strict=True)
        }
        return compare(EvaluationRun(SETTINGS, models, folder)), fakes

    (report, performed, _), fakes = run(tmp_path / "alone", Drawing())
    assert all(len(fake.calls) == 2 for fake in fakes)
    for part in (2, 1):
        with pytest.raises(PartDrawn):
            run(tmp_path / "parts", Drawing(part=(part, 2)))
    for place, drawing in (("parts", Drawing()), ("workers", Drawing(workers=2))):
        (other, again, _), fakes = run(tmp_path / place, drawing)
        assert [fake.calls for fake in fakes] == [[], []], "nothing was left for this process"
        assert other["models"] == report["models"]
        for name, one in performed.items():
            assert [file.read_bytes() for file in one.files] == [file.read_bytes() for file in again[name].files]
        assert not list((tmp_path / place).rglob(".stage-*"))


def test_the_papers_numbers_support_its_claims() -> None:
    higher = ("t1-acc", "t2-lpips", "t2-exp", "t2-pose", "t3-lpips", "t3-exp", "t3-pose")  # the others are errors
    for claim in CLAIMS:
        if claim.paper is not None:
            ours, theirs = claim.paper
            rises = claim.id.removeprefix("facecrafter-").startswith(higher)
            assert ours > theirs if rises else ours < theirs, claim.id


def test_claims_are_differences_signed_for_the_claim(tmp_path: Path) -> None:
    """Only one of the two hears of the emotion: that one is named as the paper's better model."""
    deaf = replace(SETTINGS, conditions=("identity",))
    models = {
        "lmk": (deaf, fake_control_tools(FakeModel())),
        "lmk-emo": (SETTINGS, replace(fake_control_tools(FakeModel()), judge_attributes=None)),
    }
    report = compare(EvaluationRun(SETTINGS, models, tmp_path / "kept", command="mien evaluate control"))[0]
    rows = {row["id"]: row for row in report["claims"]}
    assert list(rows) == [f"facecrafter-t1-{key}-emo-gain" for key in ("v", "a", "dist", "acc")]
    gain = rows["facecrafter-t1-v-emo-gain"]
    assert gain["holds"] and 0 < gain["low"] <= gain["effect"] <= gain["high"]
    assert gain["studio"]["lmk-emo"] < gain["studio"]["lmk"] and gain["paper"] == (0.218, 0.267)
    assert gain["effect"] == pytest.approx(gain["studio"]["lmk"] - gain["studio"]["lmk-emo"], abs=1e-4)
    assert not rows["facecrafter-t1-acc-emo-gain"]["holds"]  # the fake judge always sees the same class
    file = tmp_path / "claims.json"
    file.write_text(json.dumps([{"id": "other"}, {"id": gain["id"], "effect": 7}]))
    merge(file, report["claims"])
    merged = {row["id"]: row for row in json.loads(file.read_text())}
    assert list(merged)[:2] == ["other", gain["id"]] and merged[gain["id"]]["effect"] == gain["effect"]
    known = {"kid.studio", *report["models"]["lmk"]["metrics"], *report["headline"]["measures"]}
    assert {metric for claim in CLAIMS for metric in (claim.metric, *claim.also) if "-t1-" in claim.id} <= known
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_a_preset_stands_for_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    spec = load_spec("lmk-pretrained")
    with pytest.raises(MissingAsset, match="mien train studio-pretrained-landmarks --data"):
        spec.check()
    file = tmp_path / "runs" / "studio-pretrained-landmarks" / "export" / "adapters" / "landmarks.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"here")
    spec.check()
    assert spec.adapter_file("landmarks") == file
    with pytest.raises(MissingAsset, match="nothing at nowhere"):
        ModelSpec(text_encoder="nowhere").check()
    assert ModelSpec(adapters={"emotion": None}).adapter_file("emotion") is None


def test_seeds_of_one_arm_are_one_claim() -> None:
    """The effect is the mean of the pairs of equal seeds, and other seeds may have been drawn."""
    weights = np.concatenate(
        [np.ones((1, 40)), np.random.default_rng(0).multinomial(40, [1 / 40] * 40, 200)], dtype=float
    )

    def score(rows: np.ndarray) -> Any:
        return {"perceptual.studio": mean_score(rows, rows, weights, "higher")}

    rng = np.random.default_rng(1)
    people, gains = rng.normal(size=40), {"0": 0.5, "1": 1.0, "2": 1.5}
    scores = {f"joint#{seed}": score(people + gain) for seed, gain in gains.items()}
    scores |= {f"no-ad#{seed}": score(people) for seed in gains} | {"no-ad#9": score(people + 100)}
    (row,) = [row for row in claims_of(scores, "here") if row["id"] == "facecrafter-t3-lpips-ad"]
    assert row["effect"] == pytest.approx(1.0, abs=1e-4) and row["studio"]["seeds"] == 3 and row["holds"]
    # people cancel out of every pair, so what is left of the interval is the seeds alone
    assert row["low"] == pytest.approx(0.5, abs=0.2) and row["high"] == pytest.approx(1.5, abs=0.2)
    one = {name.partition("#")[0]: metrics for name, metrics in scores.items() if name.endswith("#1")}
    (row,) = [row for row in claims_of(one, "here") if row["id"] == "facecrafter-t3-lpips-ad"]
    assert row["effect"] == row["low"] == row["high"] == pytest.approx(1.0, abs=1e-4)


def test_a_claim_over_several_is_held_against_the_best_of_them() -> None:
    weights = np.concatenate(
        [np.ones((1, 40)), np.random.default_rng(0).multinomial(40, [1 / 40] * 40, 200)], dtype=float
    )
    people = np.random.default_rng(1).normal(size=40)
    gains = {"parallel": 1.0, "serial": 0.2, "self": -1.0, "controlnet": 0.7}
    scores = {
        f"site-{site}": {
            metric: mean_score(people + gain, people, weights, "higher")
            for metric in ("nearness.expression.judge", "nearness.expression")
        }
        for site, gain in gains.items()
    }
    (row,) = [row for row in claims_of(scores, "here") if row["id"] == "emojidiff-site-parallel-best"]
    assert row["effect"] == pytest.approx(0.3, abs=1e-4) and row["holds"]
    assert list(row["studio"]) == ["metric", *scores]
    del scores["site-self"]
    assert not [row for row in claims_of(scores, "here") if row["id"] == "emojidiff-site-parallel-best"]
