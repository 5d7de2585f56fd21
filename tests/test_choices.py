"""The arms of the comparison are presets with one change, and what is told of them is what was measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer

from mien.core.io import read_json
from mien.data.corpus import Corpus
from mien.models.unet import build_unet
from mien.training.run import build_objective, resolve
from tests.synthetic import write_corpus
from tests.test_docs_results import script

choices = script("choices")


def test_an_arm_changes_what_the_others_of_its_stage_have() -> None:
    common = {"studio-base": "preset", "studio-autoencoder": "latents-16", "studio-identity": "identity-augmented",
              "studio-reader": "reader-augmented"}  # fmt: skip
    for name, arm in choices.ARMS.items():
        preset = resolve(arm.stage, {})
        options = choices.options_of(arm, False, {})
        build_objective(preset.model_copy(update={"options": options}), Path())  # every option is one it has
        assert resolve(arm.stage, arm.settings).options == preset.options
        same = options == choices.options_of(choices.ARMS[common[arm.stage]], False, {})
        changed = not same or arm.settings != choices.ARMS[common[arm.stage]].settings or arm.people
        changed = changed or arm.first is not None
        assert bool(changed) == (name != common[arm.stage]), name


def test_another_shape_is_another_unet() -> None:
    count = {
        name: sum(value.numel() for value in build_unet(**choices.ARMS[name].options.get("unet", {})).parameters())
        for name in ("preset", "narrow", "wide", "no-attention-16", "attention-16")
    }
    assert count["narrow"] < count["no-attention-16"] < count["preset"] < count["attention-16"] < count["wide"]


def test_the_summary_is_of_the_errors_and_of_what_telling_saves() -> None:
    validation = {"caption_right_900": 0.4, "caption_right_600": 0.2, "caption_right_300": 0.3,
                  "caption_shuffled_900": 0.75}  # fmt: skip
    found = choices.summary({"validation": validation})
    assert found["caption"] == pytest.approx(0.3) and found["caption gap"] == pytest.approx(0.35)
    assert found["landmarks"] is None and found["landmarks gap"] is None
    size = {"parameters": 2_500_000}
    base = {"stage": "studio-base", "told": "no branch", "validation": validation}
    other = {"stage": "studio-autoencoder", "told": "8 channels", "validation": {"psnr": 30.123}}
    found = {"top1": 0.5, "damaged_top1": 0.25}
    third = {"stage": "studio-identity", "told": "as rendered", "validation": found}
    text = choices.told({"alone": size | base, "latents-8": size | other, "identity-plain": size | third})
    assert "| no branch | 2.5 | 0.3000 | - | - | 0.3500 | - | - |" in text
    assert "| 8 channels | 2.5 | 30.12 |" in text
    assert "| top-1 | top-1, damaged |" in text and "| as rendered | 2.5 | 0.500 | 0.250 |" in text


def test_half_of_a_shape_draws_with_the_same_heads_and_a_quarter_of_the_weights() -> None:
    for name, arm in choices.ARMS.items():
        whole, half = (choices.options_of(arm, small, {}).get("unet", {}) for small in (False, True))
        if arm.stage != "studio-base":
            continue
        large, small = (build_unet(**shape) for shape in (whole, half))
        assert large.config["attention_head_dim"] == small.config["attention_head_dim"], name
        counts = [sum(value.numel() for value in unet.parameters()) for unet in (large, small)]
        assert 0.2 < counts[1] / counts[0] < 0.5, name


def test_two_commands_share_their_arms_and_other_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, bool]] = []

    def measure(arm: str, corpus: Any, runs: Path, settings: dict[str, Any], half: bool) -> dict[str, Any]:
        trained.append((arm, half))
        (runs / arm).mkdir(parents=True)
        return {"stage": "studio-base", "parameters": 1_000_000, "validation": {}}

    class Set(list[int]):
        people = 1

    monkeypatch.setattr(choices, "measure", measure)
    monkeypatch.setattr(choices, "Corpus", SimpleNamespace(load=lambda folder: Set()))
    where: dict[str, Any] = {"runs": tmp_path / "runs", "output": tmp_path / "choices.json", "half": True}
    for only in (["even"], ["preset"], ["even", "preset"]):
        choices.main(only=only, pictures=100, **where)
    assert trained == [("even", True), ("preset", True)]
    assert list(read_json(where["output"])["arms"]) == ["preset", "even"]
    with pytest.raises(typer.BadParameter, match="other settings"):
        choices.main(only=["seed"], pictures=200, **where)
    with pytest.raises(typer.BadParameter, match="--only takes preset, seed"):
        choices.main(only=["sed"], pictures=100, **where)


def test_an_arm_may_go_on_from_a_first_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []

    def fit(config: Any, objective: Any, corpus: Any, folder: Path, *, start_from: Any) -> dict[str, Any]:
        begun.append((config.pictures, config.options["unet"]["down_block_types"][0], folder.name, start_from))
        return {"logs": {}}

    monkeypatch.setattr(choices, "fit", fit)
    settings = {"pictures": 100, "batch": 4, "lr": 1e-3, "warmup": 10}
    grown = choices.Arm("grown", choices.ARMS["attention-16"].options, first=choices.ARMS["no-attention-16"].options)
    monkeypatch.setitem(choices.ARMS, "grown", grown)
    choices.measure("grown", None, tmp_path, settings, half=True)
    assert begun == [
        (50, "DownBlock2D", "first", None),
        (50, "CrossAttnDownBlock2D", "grown", tmp_path / "grown" / "first" / "export"),
    ]


def test_some_of_the_people_are_a_corpus_of_their_own(tmp_path: Path) -> None:
    each, corpus = 3, Corpus.load(write_corpus(tmp_path / "all", people=3, per_person=3))
    corpus.held_out = corpus
    found = choices.some(corpus, 2, each - 1, tmp_path / "data")
    assert len(found) == 2 * (each - 1) and found.people == 2 and found.held_out is corpus.held_out
    for row in range(len(found)):
        (at,) = np.nonzero((corpus["person"] == found["person"][row]) & (corpus["picture"] == found["picture"][row]))
        assert corpus.captions[at[0]] == found.captions[row]
        assert all(corpus.attributes[name][at[0]] == values[row] for name, values in found.attributes.items())
    with pytest.raises(typer.BadParameter, match="needs 2 people"):
        choices.some(corpus, 2, each + 1, tmp_path / "more")


def test_networks_that_read_are_also_looked_at_on_damaged_pictures(tmp_path: Path) -> None:
    corpus = Corpus.load(write_corpus(tmp_path / "all", people=3, per_person=3))
    corpus.held_out = Corpus.load(write_corpus(tmp_path / "others", people=3, per_person=3))
    before = corpus.held_out["images"].copy()
    config = resolve("studio-identity", {})
    seen: list[np.ndarray] = []

    objective: Any = build_objective(config, tmp_path)
    objective.prepare(corpus, tmp_path)
    objective.export(tmp_path / "run" / "export")
    objective.validate = lambda corpus: seen.append(corpus.held_out["images"]) or {"top1": 0.0}
    assert choices.on_damaged(objective, corpus, tmp_path / "run") == {"top1": 0.0}
    assert seen[0].shape == before.shape and np.abs(seen[0].astype(int) - before).mean() > 5
    assert np.array_equal(corpus.held_out["images"], before)
    corpus.held_out = None
    with pytest.raises(typer.BadParameter, match="--held-out"):
        choices.on_damaged(objective, corpus, tmp_path / "run")
