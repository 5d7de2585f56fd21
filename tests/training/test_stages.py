"""From a data set to a model that draws: every stage for two steps, published and loaded as a user would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mien.assets import embedded_or_none
from mien.errors import BadInput, MienError
from mien.faces.networks import ExpressionEncoder, IdentityEmbedder
from mien.models import StudioAutoencoder
from mien.pipelines import PortraitPipeline
from mien.training.export import save_half
from mien.training.prompts import Kind
from mien.training.publish import publish
from mien.training.run import train
from tests.synthetic import write_corpus

MIXED = (0.25, 0.25, 0.25, 0.25)
BRANCHES = ("studio-landmarks", "studio-emotion", "studio-faceid", "studio-image-prompt", "studio-e-adapter")


SMALL: dict[str, Any] = {"options": {"emphasis": 0.5, "square": 24.0}, "depends_on": ()}
"""An autoencoder whose 16 x 16 latents are pictures of 128 px."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    data = write_corpus(folder / "data", people=4, per_person=3)
    held_out = write_corpus(folder / "held-out", people=3, per_person=2, first=900_000)
    runs = folder / "runs"
    torch.manual_seed(0)
    save_half(IdentityEmbedder(), runs / "studio-identity" / "export" / "identity")
    save_half(ExpressionEncoder(), runs / "studio-expression-encoder" / "export" / "expression_encoder")
    for name in ("studio-identity", "studio-expression-encoder"):  # a ledger reads logs, and these two were not trained
        (runs / name / "log.jsonl").write_text('{"seen": 0, "seconds": 0}\n')
        (runs / name / "config.json").write_text("{}")
    config = {"pictures": 4, "batch": 2, "log_every": 1}
    train("studio-autoencoder", data=data, held_out=held_out, runs=runs, overrides=config | SMALL)
    for name in ("studio-text", "studio-base", *BRANCHES, "studio-controlnet"):
        train(name, data=data, held_out=held_out, runs=runs, overrides=config | {"grid": 2 * (name == BRANCHES[0])})
    pairs = write_corpus(folder / "pairs", people=4, per_person=3, templates=True)
    train("studio-e-adapter-exact", data=pairs, held_out=held_out, runs=runs, overrides=config | {"grid": 0})
    return runs


def test_a_branch_starts_as_nothing_and_learns(trained: Path) -> None:
    from mien.adapters import load_adapter

    branch = load_adapter(trained / "studio-landmarks" / "export" / "adapters" / "landmarks.safetensors")["landmarks"]
    values = [p for name, p in branch.named_parameters() if "to_v" in name]
    assert values and all(v.abs().max() > 0 for v in values)
    last = max((trained / "studio-landmarks" / "grid").iterdir())
    with Image.open(last) as picture:  # as they are, drawn, drawn with another's conditions
        assert last.name == "0000000004.png" and picture.size == (2 * 128, 3 * 128)


def test_the_base_learns_with_its_branches_and_can_be_had_without(trained: Path, tmp_path: Path) -> None:
    from mien.adapters import load_adapter

    adapters = trained / "studio-base" / "export" / "adapters"
    assert {path.stem for path in adapters.iterdir()} == {"landmarks", "emotion"}
    branch = load_adapter(adapters / "landmarks.safetensors")["landmarks"]
    assert all(p.abs().max() > 0 for name, p in branch.named_parameters() if "to_v" in name)
    logged = (trained / "studio-base" / "log.jsonl").read_text()
    assert "landmarks_right_900" in logged and "emotion_shuffled_300" in logged
    for needed in ("studio-identity", "studio-text", "studio-autoencoder"):
        (tmp_path / needed).symlink_to(trained / needed)
    options = {"pictures": 2, "batch": 2, "options": {}}
    train("studio-base", data=trained.parent / "data", runs=tmp_path, overrides=options)
    assert not (tmp_path / "studio-base" / "export" / "adapters").exists()


def test_a_base_is_aligned_with_the_face_reader(trained: Path, tmp_path: Path) -> None:
    if embedded_or_none("studio") is None:
        pytest.skip("the embedded reader is not here")
    for needed in ("studio-identity", "studio-text", "studio-autoencoder"):
        (tmp_path / needed).symlink_to(trained / needed)
    options = {"pictures": 4, "batch": 2, "log_every": 1,
               "options": {"representation": 0.5, "timesteps": "logit_normal"}}  # fmt: skip
    train("studio-base", data=trained.parent / "data", runs=tmp_path, overrides=options)
    first = json.loads((tmp_path / "studio-base" / "log.jsonl").read_text().splitlines()[0])
    assert 0 < first["representation"] < 2 and first["loss"] > first["diffusion"]
    exported = load_file(tmp_path / "studio-base" / "export" / "unet" / "diffusion_pytorch_model.safetensors")
    assert not any("project" in name for name in exported)


@pytest.mark.parametrize("stage", ["studio-base", "studio-faceid"])
def test_faces_are_those_of_portraits_in_a_share_of_the_rows(trained: Path, tmp_path: Path, stage: str) -> None:
    """Of its portrait where the picture has one, else of itself; beside a caption half as often."""
    from mien.data.corpus import PORTRAITS, Corpus
    from mien.training.features import identity_embeddings, portrait_embeddings
    from mien.training.presets import preset
    from mien.training.run import build_objective

    shutil.copytree(trained.parent / "data", tmp_path / "data")
    write_corpus(tmp_path / "data" / PORTRAITS, people=2, per_person=3, seed=9)  # of the first two of four people
    corpus = Corpus.load(tmp_path / "data")
    rows = np.arange(len(corpus))
    for share in (0.0, 1.0):
        options = preset(stage).options | {
            "portraits": share,
            "prompts" if stage != "studio-base" else "mixture": MIXED,
        }
        objective: Any = build_objective(preset(stage).model_copy(update={"options": options}), trained)
        objective.prepare(corpus, tmp_path)
        base = getattr(objective, "base", objective)
        examples = base.examples
        place = base.sources.path("identity")
        own, portraits = identity_embeddings(corpus, place), portrait_embeddings(corpus, place)
        has_one = np.isin(corpus["person"], Corpus.load(tmp_path / "data" / PORTRAITS)["person"])
        assert has_one.sum() == 6 and len(own) == 12
        np.testing.assert_array_equal((own != portraits).any(1), has_one)
        batch = objective.batch(corpus, np.random.default_rng(0), 200)
        # which picture each row is of, by its latents
        of = (
            (batch["latents"].flatten(1)[:, None] - torch.from_numpy(examples.latents).float().flatten(1))
            .abs()
            .amax(-1)
        )
        assert (of.amin(1) == 0).all()
        given, of = batch["identity"].numpy(), of.argmin(1).numpy()
        empty = examples.prompts.ids(np.full(1, Kind.EMPTY), rows[:1])
        identity = examples.prompts.ids(np.full(1, Kind.IDENTITY), rows[:1])
        alone = np.array([any(torch.equal(ids, one) for one in (empty[0], identity[0])) for ids in batch["ids"]])
        assert 0.3 < alone.mean() < 0.7
        portrayed = (given == portraits[of]).all(1)
        assert portrayed[alone].all() if share else not portrayed.any()
        assert portrayed[~alone].mean() == pytest.approx(share / 2, abs=0.15)


def test_the_e_adapter_trains_the_identity_projection_and_not_its_keys(trained: Path) -> None:
    from mien.adapters import load_adapter

    adapters = {
        name: next(
            iter(load_adapter(trained / f"studio-{run}" / "export" / "adapters" / f"{name}.safetensors").values())
        )
        for run, name in (("faceid", "faceid"), ("e-adapter", "expression_identity"))
    }
    before, after = adapters["faceid"].state_dict(), adapters["expression_identity"].state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("encoder.") for name in changed)


def test_refined_training_reads_the_expression_in_the_template(trained: Path, tmp_path: Path) -> None:
    from mien.data.corpus import Corpus
    from mien.training.presets import preset
    from mien.training.run import build_objective

    objective: Any = build_objective(preset("studio-e-adapter-exact"), trained)
    corpus = Corpus.load(trained.parent / "pairs")
    objective.prepare(corpus, tmp_path)
    rows = np.arange(4)
    shown = objective.base.examples.condition("expression", rows, rows)
    own: Any = build_objective(preset("studio-e-adapter-same"), trained)
    own.prepare(corpus, tmp_path)
    assert not torch.allclose(shown, own.base.examples.condition("expression", rows, rows))
    changed = Corpus(corpus.folder, corpus.arrays | {"templates": corpus["images"]}, corpus.captions, corpus.attributes)
    changed.folder = tmp_path  # what is kept beside the pictures belongs to the others
    objective.prepare(changed, tmp_path)
    torch.testing.assert_close(
        objective.base.examples.condition("expression", rows, rows),
        own.base.examples.condition("expression", rows, rows),
    )
    with pytest.raises(BadInput, match="holds no templates"):
        objective.prepare(Corpus.load(trained.parent / "data"), tmp_path)


@pytest.mark.parametrize("site", ["serial", "self"])
def test_the_expression_enters_at_other_sites(trained: Path, site: str) -> None:
    from mien.adapters import load_adapter

    run = {"pictures": 4, "batch": 2, "log_every": 1}
    done = train(f"studio-site-{site}", data=trained.parent / "pairs", runs=trained, overrides=run)
    assert done["finished"]
    file = trained / f"studio-site-{site}" / "export" / "adapters" / "expression.safetensors"
    branch = load_adapter(file)["expression"]
    assert branch.site == site and all("attn1" in key for key in branch.blocks) == (site == "self")
    assert all(p.abs().max() > 0 for name, p in branch.named_parameters() if "to_v" in name)


def test_a_controlnet_reads_the_expression(trained: Path) -> None:
    from diffusers import ControlNetModel

    from mien.adapters import load_adapter

    run = {"pictures": 4, "batch": 2, "log_every": 1}
    train("studio-site-controlnet", data=trained.parent / "pairs", runs=trained, overrides=run)
    export = trained / "studio-site-controlnet" / "export"
    branch = load_adapter(export / "adapters" / "expression.safetensors")["expression"]
    assert branch.site == "controlnet" and not branch.blocks
    controlnet: Any = ControlNetModel.from_pretrained(export / "controlnet")
    last = [p for name, p in controlnet.named_parameters() if name.startswith("controlnet_down_blocks")]
    assert last and all(p.abs().max() > 0 for p in last)
    assert (export / "adapters" / "expression_identity.safetensors").exists()


def test_a_base_is_fine_tuned_on_restyled_pictures(trained: Path) -> None:
    from diffusers import UNet2DConditionModel

    run = {"pictures": 4, "batch": 2, "log_every": 1}
    for name in ("studio-restyled", "studio-lora"):
        train(name, data=trained.parent / "data", runs=trained, overrides=run)
    base, other = (
        UNet2DConditionModel.from_pretrained(trained / name / "export" / "unet")
        for name in ("studio-base", "studio-restyled")
    )
    same = zip(base.state_dict().values(), other.state_dict().values(), strict=True)
    assert any(not torch.equal(one, two) for one, two in same)
    base.requires_grad_(False)  # as PEFT leaves it; torch.matmul's kernel, and so the last bits, depend on it
    noise, text = torch.randn(1, 16, 16, 16), torch.randn(1, 8, 256)
    before = base(noise, 500, text).sample
    lora = trained / "studio-lora" / "export" / "lora"
    base.load_lora_adapter(lora, weight_name="pytorch_lora_weights.safetensors", prefix="unet")
    assert (base(noise, 500, text).sample - before).abs().max() > 0
    base.unload_lora()
    assert torch.equal(base(noise, 500, text).sample, before)


def test_a_base_learns_to_predict_noise_and_what_is_trained_on_it_knows(trained: Path) -> None:
    from mien.core.io import read_json
    from mien.training.presets import PRESETS
    from mien.training.run import build_objective

    run = {"pictures": 4, "batch": 2, "log_every": 1}
    train("studio-epsilon", data=trained.parent / "data", runs=trained, overrides=run)
    config = read_json(trained / "studio-epsilon" / "export" / "scheduler" / "scheduler_config.json")
    assert config["prediction_type"] == "epsilon"
    needs = ("studio-epsilon", *PRESETS["studio-faceid"].depends_on)
    objective: Any = build_objective(PRESETS["studio-faceid"].model_copy(update={"depends_on": needs}), trained)
    assert objective.base.scheduler.config["prediction_type"] == "epsilon"
    base: Any = build_objective(PRESETS["studio-faceid"], trained)
    assert base.base.scheduler.config["prediction_type"] == "v_prediction"
    own, other = (next(iter(one.unet.parameters())) for one in (objective, base))
    assert not torch.equal(own, other), "the UNet goes with the schedule"


def test_a_controlnet_learns_beside_the_frozen_base(trained: Path) -> None:
    from diffusers import ControlNetModel

    controlnet: Any = ControlNetModel.from_pretrained(trained / "studio-controlnet" / "export" / "controlnet")
    last = [p for name, p in controlnet.named_parameters() if name.startswith("controlnet_down_blocks")]
    assert last and all(p.abs().max() > 0 for p in last)
    from mien.training.bases import base_scale_factor
    from mien.training.sources import Sources

    halvings = len(controlnet.config.conditioning_embedding_out_channels) - 1
    assert 2**halvings == base_scale_factor(Sources((trained / "studio-autoencoder" / "export",))), (
        "as its base's latents"
    )
    logged = (trained / "studio-controlnet" / "log.jsonl").read_text()
    assert "right_900" in logged and "shuffled_900" in logged


@pytest.fixture(scope="module")
def joint(trained: Path) -> Any:
    """The joint stage before its first step, with branches that do something."""
    from mien.data.corpus import Corpus
    from mien.training.presets import preset
    from mien.training.run import build_objective

    config = preset("studio-joint").model_copy(update={"options": {"replicas": 6, "drop": 0.0}})
    objective: Any = build_objective(config, trained)
    objective.prepare(Corpus.load(trained.parent / "data"), trained)
    torch.manual_seed(3)
    for name, parameter in objective.branches.named_parameters():
        if "to_v" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return objective


def joint_batch(joint: Any, trained: Path, size: int = 2) -> Any:
    import numpy as np

    from mien.data.corpus import Corpus

    return joint.batch(Corpus.load(trained.parent / "data"), np.random.default_rng(0), size)


def test_replicas_that_are_one_row_are_computed_once(joint: Any, trained: Path) -> None:
    """The loss of few rows with counts is the loss of all replicas with the sample's noise."""
    batch = joint_batch(joint, trained)
    assert batch["counts"].sum(1).tolist() == [6, 6] and len(batch["latents"]) == 2
    calls = []
    hook = joint.unet.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    loss, logs = joint(batch, torch.Generator().manual_seed(0))
    assert calls == [8] and {"diffusion", "ad"} <= logs.keys() and logs["ad"] > 0
    torch.testing.assert_close(loss, logs["diffusion"] + 5e-4 * logs["ad"])
    joint.shared, shared_noise = False, joint._noisy
    noise = torch.Generator().manual_seed(0)
    joint._noisy = lambda latents, samples, generator: tuple(part[samples] for part in _noise_of(joint, latents, noise))
    try:
        every, parts = joint(batch, torch.Generator().manual_seed(0))
    finally:
        joint.shared, joint._noisy = True, shared_noise
        hook.remove()
    assert calls == [8, 12]
    torch.testing.assert_close(every, loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts["ad"], logs["ad"], rtol=1e-3, atol=1e-4)


def _noise_of(joint: Any, latents: torch.Tensor, generator: torch.Generator) -> Any:
    from mien.training.diffusion import noisy

    return noisy(joint.base.scheduler, latents, generator)


def test_the_joint_stage_trains_the_papers_parts(joint: Any, trained: Path) -> None:
    names = {name.split(".")[0] for name in joint.trained()}
    assert names == {"text_encoder", "branches"}
    joint(joint_batch(joint, trained), torch.Generator().manual_seed(0))[0].backward()
    graded = {name for name, parameter in joint.trained().items() if parameter.grad is not None}
    assert any(name.startswith("text_encoder") for name in graded)
    for part in ("encoder", "to_k", "to_v"):
        for kind in ("landmarks", "emotion"):
            assert any(name.startswith(f"branches.{kind}") and part in name for name in graded), (kind, part)
    assert all(parameter.grad is None for parameter in joint.unet.parameters())


def test_the_control_arm_trains_the_text_encoder_alone(trained: Path) -> None:
    """Without modules a row is a picture: four replicas of one setting are computed once."""
    from mien.data.corpus import Corpus
    from mien.training.presets import preset
    from mien.training.run import build_objective

    arm: Any = build_objective(preset("studio-joint-text-only"), trained)
    arm.prepare(Corpus.load(trained.parent / "data"), trained)
    assert {name.split(".")[0] for name in arm.trained()} == {"text_encoder"}
    slow = preset("studio-joint-slow-text")
    assert build_objective(slow, trained).learning_rates() == {"text_encoder": 0.1} != arm.learning_rates()
    batch, calls = joint_batch(arm, trained, 4), []
    arm.unet.register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    loss, _ = arm(batch, torch.Generator().manual_seed(0))
    loss.backward()
    assert calls == [4] and any(parameter.grad is not None for parameter in arm.text_encoder.parameters())
    run = {"pictures": 2, "batch": 2, "log_every": 1}
    train("studio-joint-text-only", data=trained.parent / "data", held_out=trained.parent / "held-out", runs=trained,
          overrides=run)  # fmt: skip
    assert {path.name for path in (trained / "studio-joint-text-only" / "export").iterdir()} == {"text_encoder"}


@pytest.mark.parametrize("null_prompt", ["frozen", "trained"])
def test_the_empty_prompt_is_of_one_encoder(joint: Any, trained: Path, null_prompt: str) -> None:
    """Samples without identity read e(0) as drawing does: of the encoder before its training, or of the trained one."""
    import copy

    batch = joint_batch(joint, trained)
    empty = torch.zeros(len(batch["ids"]), dtype=torch.bool)
    empty[0] = True
    ids = batch["ids"].clone()
    ids[0] = joint.base.examples.prompts.empty
    batch = batch | {"ids": ids}
    before = joint.text_states(batch).detach()
    encoder, options = copy.deepcopy(joint.text_encoder.state_dict()), joint.config
    joint.config = options.model_copy(update={"null_prompt": null_prompt})
    try:
        with torch.no_grad():
            for parameter in joint.text_encoder.parameters():
                parameter.add_(0.05)
        after = joint.text_states(batch)
        joint.text_encoder.zero_grad()
        after[empty].sum().backward()
        learnt = any(p.grad is not None and bool(p.grad.any()) for p in joint.text_encoder.parameters())
    finally:
        joint.text_encoder.load_state_dict(encoder)
        joint.text_encoder.zero_grad()
        joint.config = options
    assert not torch.allclose(after[~empty], before[~empty], atol=1e-3)
    assert torch.allclose(after[empty], before[empty], atol=1e-5) == (null_prompt == "frozen")
    assert learnt == (null_prompt == "trained")


def test_the_joint_stage_is_trained_and_evaluated(trained: Path) -> None:
    from mien.pipelines.spec import ModelSpec

    options = {"pictures": 2, "batch": 2, "log_every": 1}
    train("studio-joint", data=trained.parent / "data", held_out=trained.parent / "held-out", runs=trained,
          overrides=options)  # fmt: skip
    export = trained / "studio-joint" / "export"
    assert {path.name for path in export.iterdir()} == {"text_encoder", "adapters"}
    assert "emotion_shuffled_900" in (trained / "studio-joint" / "log.jsonl").read_text()
    spec = ModelSpec(
        adapters={kind: str(export / "adapters" / f"{kind}.safetensors") for kind in ("landmarks", "emotion")},
        text_encoder=str(export / "text_encoder"),
    )
    pipeline = spec.load()
    null = pipeline.encode_null()
    own = PortraitPipeline.from_pretrained("studio")
    assert torch.equal(null, own.encode_null())
    changed, before = (p.text_encoder.state_dict() for p in (pipeline, own))
    assert any(not torch.equal(changed[name], before[name]) for name in before)


def test_published_models_draw(trained: Path, tmp_path: Path) -> None:
    ledger = publish(trained, tmp_path / "studio")
    assert ledger["studio-base"]["pictures"] == 4
    assert "studio-controlnet" not in ledger and not (tmp_path / "studio" / "controlnet").exists()
    assert {"caption_right_900", "identity_shuffled_300"} <= ledger["studio-base"]["validation"].keys()
    pipeline = PortraitPipeline.from_pretrained(tmp_path / "studio")
    assert isinstance(pipeline.vae, StudioAutoencoder)
    assert {part.dtype for part in (pipeline.unet, pipeline.text_encoder, pipeline.vae)} == {torch.float32}
    assert {"landmarks", "emotion", "expression", "faceid"} <= pipeline.adapters.keys()
    identity = torch.nn.functional.normalize(torch.randn(1, 512), dim=1)
    drawn: Any = pipeline(identity=identity, landmarks=torch.zeros(1, 3, 128, 128), num_inference_steps=2)
    picture = drawn.images[0]
    assert picture.size == (128, 128)


def test_nothing_to_publish_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs" / "studio-base").mkdir(parents=True)  # not far enough for an export
    for runs in ("runs", "mistyped"):
        with pytest.raises(BadInput, match=rf"no finished part of a model in .*{runs}.*mien train.*--runs"):
            publish(tmp_path / runs, tmp_path / "studio")
    assert not (tmp_path / "studio").exists()


def test_too_large_a_model_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(MienError, match="make a part smaller"):
        publish(trained, tmp_path / "studio", limit=1000)


@pytest.mark.parametrize("name", ["studio-base", "studio-landmarks", "studio-autoencoder"])
def test_a_stage_starts_from_the_weights_of_a_model_folder(trained: Path, tmp_path: Path, name: str) -> None:
    """With a rate of nothing, what comes out is what went in."""
    from safetensors.torch import load_file

    data = trained.parent / "data"
    still = {"pictures": 2, "batch": 2, "lr": 1e-20, "weight_decay": 0.0, "ema_gamma": 0.0, "precision": "no"}
    for needed in ("studio-identity", "studio-text", "studio-base", "studio-autoencoder"):
        if needed != name:
            (tmp_path / needed).symlink_to(trained / needed)
    start = trained / name / "export"
    still |= SMALL if name == "studio-autoencoder" else {}
    train(name, data=data, runs=tmp_path, start_from=start, overrides=still)
    for path in start.rglob("*.safetensors"):
        before, after = load_file(path), load_file(tmp_path / name / "export" / path.relative_to(start))
        assert all(torch.allclose(before[key].float(), after[key].float(), atol=1e-3) for key in before), path


def test_a_start_from_nowhere_is_one_clear_sentence(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(MienError, match="to start from"):
        train(
            "studio-autoencoder", data=trained.parent / "data", runs=tmp_path, start_from=tmp_path,
            overrides={"pictures": 2, "batch": 2} | SMALL,
        )  # fmt: skip


def test_all_presets_run_in_order_and_finished_ones_are_left(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.training import run
    from mien.training.presets import preset

    small = {"pictures": 40, "global_batch": 2}
    names = ("studio-autoencoder", "studio-detector")
    presets = {name: preset(name).model_copy(update=small) for name in names}
    presets["studio-autoencoder"] = presets["studio-autoencoder"].model_copy(update=SMALL)
    monkeypatch.setattr(run, "SHIPPED", presets)
    monkeypatch.setattr(run, "preset", presets.__getitem__)
    options: Any = {"data": trained.parent / "data", "runs": tmp_path, "share": 0.1}
    assert run.train_all(**options, minutes=0) == {}
    first = run.train_all(**options)
    assert list(first) == list(names) and all(result["seen"] == 4 for result in first.values())
    assert run.train_all(**options) == {}


@pytest.fixture(scope="module")
def alignment(trained: Path) -> Any:
    """EmojiDiff's fine-tuning before its first step, with an expression branch that does something."""
    from mien.data.corpus import Corpus
    from mien.faces.networks import StudioFaceNet
    from mien.training.presets import preset
    from mien.training.run import build_objective

    torch.manual_seed(0)
    save_half(StudioFaceNet(), trained / "studio-reader" / "export" / "reader" / "face")
    objective: Any = build_objective(preset("studio-alignment").model_copy(update={"options": {}}), trained)
    objective.prepare(Corpus.load(trained.parent / "pairs"), trained)
    for name, parameter in objective.branches.named_parameters():
        if "to_v" in name:
            torch.nn.init.normal_(parameter, std=2.0)
    return objective


def aligned(alignment: Any, trained: Path, **settings: Any) -> tuple[torch.Tensor, Any]:
    """The loss of a batch and what it logs, with other ``settings`` of the heads for this once."""
    before = {name: getattr(alignment.heads, name) for name in settings}
    for name, value in settings.items():
        setattr(alignment.heads, name, value)
    try:
        return alignment(joint_batch(alignment, trained, 6), torch.Generator().manual_seed(4))
    finally:
        for name, value in before.items():
            setattr(alignment.heads, name, value)


def test_alignment_is_the_sum_of_its_terms(alignment: Any, trained: Path) -> None:
    loss, logs = aligned(alignment, trained)
    assert all(value > 0 for value in logs.values())
    expected = logs["diffusion"] + 0.08 * logs["identity"] + 10 * logs["expression"]
    torch.testing.assert_close(loss, expected)


def test_alignment_trains_the_expression_branch_and_the_identitys_projection(alignment: Any, trained: Path) -> None:
    aligned(alignment, trained)[0].backward()
    graded = {name for name, parameter in alignment.trained().items() if parameter.grad is not None}
    assert graded == set(alignment.trained())
    for kind in ("expression", "identity"):
        found = {name.split(".")[2] for name in graded if name.startswith(f"branches.{kind}.")}
        assert "encoder" in found and (len(found) > 1) == (kind == "expression"), (kind, found)
    for network in (alignment.unet, alignment.vae, alignment.heads):
        assert all(parameter.grad is None for parameter in network.parameters())


def test_without_an_expression_both_sides_are_one_picture_and_there_is_nothing_to_align(
    alignment: Any, trained: Path
) -> None:
    """Which side gets a gradient: `test_alignment_settings.py`."""
    values = {name: p.detach().clone() for name, p in alignment.branches["expression"].named_parameters()}
    with torch.no_grad():
        for name, parameter in alignment.branches["expression"].named_parameters():
            if "to_v" in name:
                parameter.zero_()
    pixels = torch.nn.Flatten()  # in the place of an embedder that was never trained
    logs = aligned(alignment, trained, embedder=pixels)[1]
    with torch.no_grad():
        for name, parameter in alignment.branches["expression"].named_parameters():
            parameter.copy_(values[name])
    same, apart = float(logs["identity"]), float(aligned(alignment, trained, embedder=pixels)[1]["identity"])
    assert abs(same) < 1e-6 and apart > 1e-4


def test_inversion_is_bounded_left_alone_or_dropped(alignment: Any, trained: Path) -> None:
    from mien.diffusion.inversion import f_of_timestep

    steps = torch.tensor([10, 599, 601, 990])
    alignment.inversion = "drop"
    assert alignment._counted(steps).tolist() == [1, 1, 0, 0]
    alignment.inversion = "ani"
    assert alignment._counted(steps).tolist() == [1, 1, 1, 1]
    latents, noise, output = (torch.randn(4, 16, 16, 16, generator=torch.Generator().manual_seed(n)) for n in range(3))
    noised = alignment.base.scheduler.add_noise(latents, noise, steps)
    bounded = alignment._picture(latents, noise, output, noised, steps)
    alignment.inversion = "none"
    free = alignment._picture(latents, noise, output, noised, steps)
    alignment.inversion = "ani"
    assert float(f_of_timestep(alignment.base.scheduler, steps)[3]) > alignment.f_max
    torch.testing.assert_close(bounded[:2], free[:2])
    assert not torch.allclose(bounded[3], free[3])


def test_alignment_goes_on_from_the_e_adapter(alignment: Any, trained: Path) -> None:
    run = {"pictures": 4, "batch": 2, "log_every": 1}
    done = train("studio-alignment", data=trained.parent / "pairs", held_out=trained.parent / "held-out", runs=trained,
                 overrides=run)  # fmt: skip
    assert done["finished"]
    adapters = trained / "studio-alignment" / "export" / "adapters"
    assert {path.stem for path in adapters.iterdir()} == {"expression", "expression_identity"}


def test_emojidiffs_own_settings_run_in_the_studio_too(alignment: Any, trained: Path) -> None:
    """The presets for SD1.5 and SDXL (test_full_size.py) with the studio's stand-ins for IP-Adapter's files."""
    for name in ("emojidiff-base", "emojidiff-refined", "emojidiff-alignment"):
        run = {"pictures": 4, "batch": 2, "log_every": 1}
        done = train(name, data=trained.parent / "pairs", runs=trained, overrides=run)
        assert done["finished"] and np.isfinite(done["logs"]["loss"])
        adapters = trained / name / "export" / "adapters"
        assert {path.stem for path in adapters.iterdir()} == {"expression", "expression_identity"}
