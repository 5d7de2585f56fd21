"""Distillation to few steps on the shipped base: what is trained, what against, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.assets import embedded, embedded_or_none
from mien.core.io import read_json
from mien.errors import ConfigError
from mien.pipelines.few_step import FILE, read_few_step
from mien.training.objectives import few_step
from mien.training.presets import PRESETS, preset
from mien.training.prompts import Kind
from mien.training.run import build_objective, train
from mien.training.trajectories import Setting, Trajectories, draw_setting, joined, kept_groups, weights_digest
from tests.synthetic import write_corpus
from tests.tiny import tiny_unet

TINY: dict[str, Any] = {"steps": 2, "teacher": 4, "trajectories": 4, "rank": 2, "written": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if embedded_or_none("studio") is None:
        pytest.skip("needs the embedded studio weights")
    return write_corpus(tmp_path_factory.mktemp("few") / "data", people=3, per_person=2)


@pytest.fixture(scope="module")
def objective(data: Path) -> Iterator[Any]:
    from mien.data.corpus import Corpus

    config = preset("studio-few-step")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_step, "GROUP", 2)
        found: Any = build_objective(config.model_copy(update={"options": config.options | TINY}), data.parent)
        found.prepare(Corpus.load(data), data.parent / "run")
        yield found


def test_the_lora_alone_is_trained(objective: Any) -> None:
    assert objective.trained() and all(".lora_" in name for name in objective.trained())
    batch = objective.batch(objective.base.examples.corpus, np.random.default_rng(0), 4)
    loss, _ = objective(batch, torch.Generator())
    loss.backward()
    with_gradient = {name for name, one in objective.named_parameters() if one.grad is not None}
    assert with_gradient <= set(objective.trained())
    # up begins at zero: of the first step only it has a gradient that is not
    ups = [one.grad for name, one in objective.named_parameters() if "lora_B" in name]
    assert all(one is not None for one in ups) and sum(bool(one.abs().max() > 0) for one in ups) > len(ups) / 2


def test_trajectories_are_guided_pictures_of_the_pipeline(objective: Any) -> None:
    """The teacher ends where the pipeline does that a user has, with the base's own guidance and the same noise."""
    from mien.diffusion.few_step import few_step_scheduler
    from mien.pipelines import PortraitPipeline
    from mien.pipelines.request import DEFAULT_GUIDANCE
    from mien.training.trajectories import asked

    paths = objective.paths
    own = read_json(embedded("studio") / "model_index.json")["guidance"]
    assert paths.latents.shape == (4, 5, 16, 16, 16) and objective.few.guidance == DEFAULT_GUIDANCE | own
    told = {name: bool(there[0]) for name, there in paths.present.items()}
    by_branch = told.pop("identity")
    setting = Setting(int(paths.prompt[0]), by_branch, tuple(name for name, there in told.items() if there))
    pipeline = PortraitPipeline.from_pretrained("studio")
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = few_step_scheduler(pipeline.scheduler.config, order=2)
    given = asked(objective.base.examples, setting, paths.rows[:2].numpy(), paths.other[:2].numpy())
    drawn: Any = pipeline(
        **given, latents=paths.latents[:2, 0].float(), num_inference_steps=4, output_type="latent",
        scales=dict.fromkeys(told, 1.0),
    )  # fmt: skip
    end = drawn.images
    # float16 on disk, and bfloat16 where the processor has it
    assert float((end - paths.latents[:2, -1].float()).norm() / end.norm()) < 0.1


def test_trajectories_are_drawn_once(objective: Any, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, folder = objective.paths.latents, data.parent / "run" / "trajectories"
    monkeypatch.setattr(few_step, "draw", lambda *_: pytest.fail("drawn again"))
    again = objective._trajectories(objective.base.examples, folder, 2, 0)
    assert torch.equal(again.latents, before)
    monkeypatch.setattr(objective, "teacher", 8)
    with pytest.raises(ConfigError, match="teacher 4 instead of 8"):
        objective._trajectories(objective.base.examples, folder, 2, 0)


def test_trajectories_of_other_pictures_or_weights_are_refused(
    objective: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.data.corpus import Corpus

    folder = data.parent / "run" / "trajectories"
    monkeypatch.setattr(few_step, "draw", lambda *_: pytest.fail("drawn"))
    others = objective.base.examples_of(Corpus.load(write_corpus(tmp_path, people=3, per_person=2, seed=5)))
    with pytest.raises(ConfigError, match=r"other pictures, weights or settings \(data\)"):
        objective._trajectories(others, folder, 2, 0)
    assert set(objective.weights) == {"unet", "text_encoder", "landmarks", "emotion", "expression", "identity"}
    for part in ("unet", "landmarks"):
        with monkeypatch.context() as patch, pytest.raises(ConfigError, match=rf"settings \({part}\)"):
            patch.setitem(objective.weights, part, "another")
            objective._trajectories(objective.base.examples, folder, 2, 0)


def test_weights_are_told_apart_whatever_lora_is_in_them() -> None:
    from peft import LoraConfig

    unet = tiny_unet()
    before = weights_digest(unet)
    unet.add_adapter(LoraConfig(r=2, target_modules=few_step.LAYERS))
    assert weights_digest(unet) == before != weights_digest(tiny_unet(1))
    with torch.no_grad():
        unet.conv_in.bias[0] += 1e-3
    assert weights_digest(unet) != before


def test_steps_that_are_not_the_teachers_are_refused(data: Path, tmp_path: Path) -> None:
    config = preset("studio-few-step")
    for steps, teacher in ((5, 12), (6, 0), (6, 3)):
        options = config.options | TINY | {"steps": steps, "teacher": teacher}
        with pytest.raises(ConfigError, match=f"teacher={teacher} is no multiple of steps={steps}"):
            build_objective(config.model_copy(update={"options": options}), tmp_path)


def test_the_target_is_the_teachers_point(objective: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student that gives the right output at every step ends where its teacher did, and has no loss."""
    batch = objective.batch(objective.base.examples.corpus, np.random.default_rng(1), 6) | {
        "strays": torch.zeros(6) > 0
    }
    path, step = batch["path"], batch["step"]
    index = torch.arange(6)
    before, after = objective._levels(step)
    target = few_step.landing_target(path[index, step], path[index, step + 1], before, after, "v_prediction")
    monkeypatch.setattr(type(objective), "predict", lambda *_: target)
    assert float(objective(batch, torch.Generator())[0]) == pytest.approx(0.0, abs=1e-6)
    landed = objective.step(batch, path[index, step], step)
    torch.testing.assert_close(landed, path[index, step + 1], atol=2e-3, rtol=2e-3)


def test_strays_start_where_the_student_led(objective: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And are held against the teacher's next point all the same."""
    batch = objective.batch(objective.base.examples.corpus, np.random.default_rng(2), 4)
    batch |= {"step": torch.ones(4, dtype=torch.long), "strays": torch.tensor([True, False, True, False])}
    seen: list[torch.Tensor] = []

    def predict(_: Any, told: Any, noised: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        seen.append(noised.clone())
        return torch.zeros_like(noised)

    monkeypatch.setattr(type(objective), "predict", predict)
    objective(batch, torch.Generator())
    first, second = seen
    assert len(first) == 2 and torch.equal(first, batch["path"][::2, 0])
    assert torch.equal(second[1::2], batch["path"][1::2, 1]) and not torch.allclose(second[::2], batch["path"][::2, 1])


def test_a_run_from_the_command_to_a_picture(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.pipelines import PortraitPipeline
    from mien.pipelines.load import add_adapters

    monkeypatch.setattr(few_step, "GROUP", 2)
    config = preset("studio-few-step")
    overrides = {"pictures": 8, "batch": 4, "log_every": 1, "warmup": 0, "options": config.options | TINY}
    train("studio-few-step", data=data, held_out=data, runs=tmp_path, overrides=overrides)
    file = tmp_path / "studio-few-step" / "export" / FILE
    log = (tmp_path / "studio-few-step" / "log.jsonl").read_text()
    assert '"end"' in log and '"landing_1"' in log
    stored = read_few_step(file)
    assert stored.settings.steps == 2 and any(value.abs().max() > 0 for k, value in stored.tensors.items() if "_B" in k)
    pipeline = PortraitPipeline.from_pretrained("studio")
    pipeline.set_progress_bar_config(disable=True)
    add_adapters(pipeline, (str(file),))
    picture: Any = pipeline(
        prompt="red hair", speed="few", generator=torch.Generator().manual_seed(0), output_type="pt"
    )
    assert picture.images.shape == (1, 3, 256, 256) and pipeline.parts["few_step"] == file
    again: Any = build_objective(config.model_copy(update={"options": config.options | TINY}), tmp_path / "none")
    again.start_from(file.parent)
    own = {name.replace(".default", ""): value for name, value in again.unet.state_dict().items() if "lora_" in name}
    for name, value in stored.tensors.items():  # of a lower rank than is trained
        taken, rest = (own[name][:1], own[name][1:]) if "lora_A" in name else (own[name][:, :1], own[name][:, 1:])
        assert torch.equal(taken.half(), value) and bool((rest != 0).any()) == ("lora_A" in name)


def test_settings_ask_for_something() -> None:
    rng = np.random.default_rng(0)
    odds = {"landmarks": 0.5, "identity": 0.5}
    found = [draw_setting(rng, np.asarray((0.25, 0.25, 0.25, 0.25)), odds) for _ in range(400)]
    assert {one.prompt for one in found} == set(Kind)
    assert not any(one.by_branch for one in found if one.prompt in (Kind.IDENTITY, Kind.BOTH))
    assert all(one.by_branch or one.conditions for one in found if one.prompt == Kind.EMPTY)
    assert any(one.conditions for one in found) and any(not one.conditions for one in found)


def test_an_interrupted_drawing_goes_on(tmp_path: Path) -> None:
    made: list[int] = []

    def make(number: int) -> Trajectories:
        made.append(number)
        rows = torch.tensor([number, number])
        return Trajectories(torch.full((2, 3, 1, 1, 1), number), rows, rows + 1, rows + 2, {"emotion": rows > 0})

    told: list[int] = []
    list(kept_groups(tmp_path, 2, make))
    both = joined(list(kept_groups(tmp_path, 3, make, told.append)))
    assert made == [0, 1, 2] and told == [1, 2, 3]
    assert both.rows.tolist() == [0, 0, 1, 1, 2, 2] and both.present["emotion"].tolist() == [False] * 2 + [True] * 4
    assert both.latents.shape == (6, 3, 1, 1, 1)
    file = tmp_path / "00001.safetensors"
    file.write_bytes(file.read_bytes()[:-8] + bytes(8))  # a zeroed tail
    again = joined(list(kept_groups(tmp_path, 3, make)))
    assert made == [0, 1, 2, 1] and torch.equal(again.latents, both.latents)


def test_every_few_step_preset_divides_its_teachers_steps() -> None:
    names = [name for name in PRESETS if name.endswith("few-step")]
    assert names == ["studio-few-step", "facecrafter-few-step", "emojidiff-few-step"]
    for name in names:
        options = PRESETS[name].options
        assert (
            options.keys() >= {"branches", "probabilities"}
            and options["branches"].keys() == options["probabilities"].keys()
        )


def test_what_a_base_says_of_its_guidance_is_baked_in(tmp_path: Path) -> None:
    from mien.core.io import write_json
    from mien.training.objectives.few_step import _own_guidance
    from mien.training.sources import Sources

    write_json(tmp_path / "model_index.json", {"guidance": {"identity": 4.0}})
    assert _own_guidance(Sources((tmp_path,))) == {"identity": 4.0}
    write_json(tmp_path / "model_index.json", {})
    assert _own_guidance(Sources((tmp_path,))) == {}
