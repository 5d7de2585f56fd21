"""EmojiDiff's stages on SD1.5 and SDXL from IP-Adapter's files, all in the published layouts, of few channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from mien.adapters import load_adapter
from mien.adapters.blocks import block_key
from mien.assets import find_asset
from mien.data.corpus import Corpus
from mien.errors import ConfigError, MissingAsset
from mien.faces.alignment import crop_picture, expression_matrix
from mien.faces.networks import StudioFaceNet
from mien.pipelines.few_step import FILE, read_few_step
from mien.training.bases import base_sizes, base_sources
from mien.training.features import expression_features, training_landmarks
from mien.training.frozen_base import Selection
from mien.training.objectives.branch import BranchObjective
from mien.training.presets import PRESETS, preset
from mien.training.run import build_objective, train
from tests.arcface import iresnet
from tests.full_size_assets import BASES, ENCODERS, clip_folder, write_full_size_assets
from tests.ip_adapters import write_ip_adapter
from tests.synthetic import write_corpus

LANDMARKER: Any = find_asset("mediapipe-face-landmarker")
STEPS: dict[str, Any] = {"pictures": 4, "batch": 2, "log_every": 1, "precision": "no", "lr": 1e-3, "warmup_images": 0}


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``mien assets get`` fetches, and pairs."""
    folder = tmp_path_factory.mktemp("assets")
    write_full_size_assets(folder, {"sd15": 16, "sdxl": 32}, iresnet)  # 128 and 256 pixels
    StudioFaceNet().save_pretrained(folder / "face")
    write_corpus(folder / "pairs", people=2, per_person=2, templates=True)
    return folder


@pytest.fixture(autouse=True)
def _found(assets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(assets))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))


def published(assets: Path, base: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors of IP-Adapter's file, and of FaceID's with its two parts flattened."""
    faceid = torch.load(assets / f"ip-adapter-faceid-{base}" / f"ip-adapter-faceid_{base}.bin", weights_only=True)
    flat = {f"{part}.{key}": value for part, tensors in faceid.items() for key, value in tensors.items()}
    return load_file(assets / f"ip-adapter-{base}" / f"ip-adapter_{base}.safetensors"), flat


def layers(tensors: dict[str, Any], branch: Any, unet: Any) -> list[tuple[Any, Any]]:
    """Keys and values of a branch, and those of a file for the same layer of the UNet, counted as diffusers does."""
    names = [block_key(name) for name, module in unet.named_modules() if isinstance(module, Attention)]
    found = []
    for number, name in enumerate(names):
        if f"ip_adapter.{number}.to_k_ip.weight" in tensors:
            pair = branch.projections()[name]
            found += [
                (getattr(pair, one).weight, tensors[f"ip_adapter.{number}.{one}_ip.weight"]) for one in ("to_k", "to_v")
            ]
    return found


def prepared(base: str, assets: Path, folder: Path, name: str = "emojidiff-base") -> BranchObjective:
    objective: Any = build_objective(preset(name), folder, base)
    objective.prepare(Corpus.load(assets / "pairs"), folder)
    return objective


@pytest.mark.parametrize("base", BASES)
def test_the_three_stages_run_by_changing_the_base_alone(base: str, assets: Path, tmp_path: Path) -> None:
    for name in ("emojidiff-base", "emojidiff-refined", "emojidiff-alignment"):
        head = {"expression_head": str(assets / "face")} if name == "emojidiff-alignment" else {}
        overrides = STEPS | {"options": preset(name).options | head}
        done = train(
            name, data=assets / "pairs", held_out=assets / "pairs", base=base, runs=tmp_path, overrides=overrides,
        )  # fmt: skip
        assert done["finished"] and np.isfinite(done["logs"]["loss"]) and "shuffled_900" in done["logs"]
        adapters = tmp_path / name / "export" / "adapters"
        assert {path.stem for path in adapters.iterdir()} == {"expression", "expression_identity"}
    few = preset("emojidiff-few-step").options | {"steps": 2, "teacher": 4, "trajectories": 20, "rank": 2}
    train(
        "emojidiff-few-step", data=assets / "pairs", base=base, runs=tmp_path, overrides=STEPS | {"options": few},
    )  # fmt: skip
    distilled = read_few_step(tmp_path / "emojidiff-few-step" / "export" / FILE)
    assert distilled.settings.steps == 2 and any(value.abs().max() > 0 for value in distilled.tensors.values())
    start, faceid = published(assets, base)
    (expression,) = load_adapter(adapters / "expression.safetensors").values()
    (identity,) = load_adapter(adapters / "expression_identity.safetensors").values()
    assert not torch.equal(
        expression.encoder.state_dict()["proj.weight"], start["image_proj.proj.weight"].half().float()
    )
    # FaceID's keys, values and LoRA are as they were published, its projection is not
    unet: Any = UNet2DConditionModel.from_pretrained(assets / base / "unet")
    for key, value in layers(faceid, identity, unet):
        assert torch.equal(key, value.half().float())
    assert identity.low_rank is not None
    assert not torch.equal(
        identity.encoder.state_dict()["proj.0.weight"], faceid["image_proj.proj.0.weight"].half().float()
    )


@pytest.mark.skipif(LANDMARKER is None, reason="needs the asset mediapipe-face-landmarker")
def test_mediapipe_judges_expressions_on_another_base(assets: Path, tmp_path: Path) -> None:
    """The alignment preset as it is; its other parts are random files of the first stage's layout."""
    from mien.adapters import save_adapter

    objective: Any = build_objective(preset("emojidiff-base"), tmp_path, "sd15")
    adapters = tmp_path / "emojidiff-refined" / "export" / "adapters"
    for kind, file in (("expression", "expression"), ("identity", "expression_identity")):
        save_adapter(adapters / f"{file}.safetensors", {kind: objective.branches[kind]})
    (tmp_path / "assets").mkdir()
    for path in assets.iterdir():
        (tmp_path / "assets" / path.name).symlink_to(path)
    (tmp_path / "assets" / "face_landmarker.task").symlink_to(LANDMARKER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_ASSETS", str(tmp_path / "assets"))
        made: Any = prepared("sd15", assets, tmp_path, "emojidiff-alignment")
    loss, logs = made(made.batch(Corpus.load(assets / "pairs"), np.random.default_rng(0), 2), torch.Generator())
    loss.backward()
    assert all(float(value) > 0 for value in logs.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.trained().values())


@pytest.mark.parametrize("base", BASES)
def test_the_branches_start_from_ip_adapter_key_for_key(base: str, assets: Path, tmp_path: Path) -> None:
    """EmojiDiff A.1; trained are the expression branch and the identity's projection alone."""
    objective: Any = build_objective(preset("emojidiff-base"), tmp_path, base)
    image_prompt, faceid = published(assets, base)
    for kind, tensors in (("expression", image_prompt), ("identity", faceid)):
        branch = objective.branches[kind]
        projection = {key.removeprefix("image_proj."): value for key, value in tensors.items() if "image_proj" in key}
        assert branch.encoder.state_dict().keys() == projection.keys()
        assert all(torch.equal(branch.encoder.state_dict()[key], value) for key, value in projection.items())
        pairs = layers(tensors, branch, objective.unet)
        assert pairs and all(torch.equal(found, value) for found, value in pairs)
    trained = set(objective.trained())
    assert any(name.startswith("branches.expression.kv.") for name in trained)
    assert all(name.startswith(("branches.expression.", "branches.identity.encoder.")) for name in trained)
    assert any(name.startswith("branches.identity.encoder.") for name in trained)


@pytest.mark.parametrize("templates", [False, True])
def test_expressions_are_read_as_ip_adapter_reads_pictures(templates: bool, assets: Path) -> None:
    """transformers' own processor and model on the crop that is made where pictures are drawn."""
    corpus, folder = Corpus.load(assets / "pairs"), clip_folder(assets, "sd15")
    found = expression_features(corpus, folder, templates)
    assert found.shape == (4, 1024) and found.dtype == np.float16
    encoder = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    points = corpus["template_landmarks"].astype(np.float32) if templates else training_landmarks(corpus)
    images = corpus["templates" if templates else "images"]
    for row in range(len(corpus)):
        matrix = expression_matrix(torch.from_numpy(points[row : row + 1]), 224)[0]
        crop = crop_picture(Image.fromarray(images[row]), matrix, 224)
        with torch.no_grad():
            wanted = encoder(**CLIPImageProcessor()(crop, return_tensors="pt")).image_embeds[0]
        np.testing.assert_allclose(found[row], wanted, atol=2e-3)


def test_other_weights_of_the_image_encoder_are_noticed(assets: Path, tmp_path: Path) -> None:
    corpus, folder = Corpus.load(assets / "pairs"), clip_folder(assets, "sd15")
    first = expression_features(corpus, folder).copy()
    encoder: Any = CLIPVisionModelWithProjection.from_pretrained(folder)
    torch.nn.init.normal_(encoder.visual_projection.weight)
    encoder.save_pretrained(tmp_path / "other")
    assert not np.allclose(expression_features(corpus, tmp_path / "other"), first, atol=0.1)
    np.testing.assert_array_equal(expression_features(corpus, folder), first)
    with pytest.raises(MissingAsset, match=r"has no .* or model\.safetensors"):
        expression_features(corpus, tmp_path)


def test_sdxl_is_told_prompts_as_its_pipeline_tells_them(assets: Path, tmp_path: Path) -> None:
    from mien.pipelines import PortraitXLPipeline

    objective: Any = prepared("sdxl", assets, tmp_path)
    corpus = Corpus.load(assets / "pairs")
    rows = np.arange(3)
    kinds = np.array([0, 3, 0])  # a caption, an empty prompt, a caption
    batch = objective.gather(Selection(objective.base.examples, rows, rows, kinds, np.ones(3, bool)))
    told = objective.base.unet_kwargs(batch, 2)
    pipeline = PortraitXLPipeline.from_pretrained(assets / "sdxl")
    with torch.no_grad():
        wanted: Any = pipeline._encode([corpus.captions[0], "", corpus.captions[2]])
    torch.testing.assert_close(told["encoder_hidden_states"], wanted.states.repeat(2, 1, 1))
    torch.testing.assert_close(told["added_cond_kwargs"]["text_embeds"], wanted.pooled.repeat(2, 1))
    # the stored pictures' size, no crop, the size that is drawn
    sizes = torch.tensor([128.0, 128, 0, 0, 256, 256])
    assert torch.equal(told["added_cond_kwargs"]["time_ids"], sizes.repeat(6, 1))


def test_sdxl_is_trained_at_several_sizes(assets: Path, tmp_path: Path) -> None:
    objective: Any = prepared("sdxl", assets, tmp_path)
    corpus, rng = Corpus.load(assets / "pairs"), np.random.default_rng(0)
    seen = set()
    for _ in range(12):
        batch = objective.batch(corpus, rng, 2)
        side = batch["latents"].shape[-1]
        assert batch["places"].shape == (2, side, side) and batch["condition"].shape == (2, 1280)
        assert batch["sizes"][0].tolist() == [128, 128, 0, 0, 8 * side, 8 * side]
        seen.add(side)
    assert seen == {16, 24, 32}
    np.testing.assert_allclose(objective.base.scaled[0].latents, objective.base.scaled[0].scaled(16).latents)
    alone: Any = build_objective(
        preset("emojidiff-base").model_copy(update={"options": {"kind": "expression"}}), tmp_path, "sdxl"
    )
    assert alone.base.scales == (1.0,)


def test_sd15_keeps_its_size(assets: Path, tmp_path: Path) -> None:
    objective: Any = prepared("sd15", assets, tmp_path)
    corpus, rng = Corpus.load(assets / "pairs"), np.random.default_rng(0)
    batches = [objective.batch(corpus, rng, 2) for _ in range(6)]
    assert {tuple(one["latents"].shape) for one in batches} == {(2, 4, 16, 16)}
    assert all("sizes" not in one for one in batches)


def test_a_branch_learns_on_sdxl(assets: Path, tmp_path: Path) -> None:
    """Gradients reach every trained parameter, and the expression changes the prediction."""
    objective: Any = prepared("sdxl", assets, tmp_path)
    batch = objective.batch(Corpus.load(assets / "pairs"), np.random.default_rng(1), 4)
    batch |= {"present": torch.ones(4, dtype=torch.bool), "companion": torch.ones(4, dtype=torch.bool)}
    loss, _ = objective(batch, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in objective.trained().values())
    noised, steps = torch.randn(batch["latents"].shape), torch.full((4,), 500)
    with torch.no_grad():
        right, other = (
            objective.predict(batch | {"condition": given}, noised, steps)
            for given in (batch["condition"], -batch["condition"])
        )
    assert (right - other).abs().amax() > 1e-4


def test_a_folder_brings_its_own_encoder_and_adapters(assets: Path, tmp_path: Path) -> None:
    """Beside the base's parts: image_encoder/, adapters/, arcface.onnx; what is not there comes from the assets."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in (assets / "sd15").iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "arcface.onnx").symlink_to(assets / "arcface-r50" / "w600k_r50.onnx")
    sources = base_sources(str(folder), ())
    assert sources.path("expression_encoder") == clip_folder(assets, "sd15")
    assert sources.path("adapters/faceid.safetensors").name == "ip-adapter-faceid_sd15.bin"
    (folder / "image_encoder").symlink_to(clip_folder(assets, "sdxl"))
    (folder / "adapters").mkdir()
    (folder / "adapters" / "faceid.safetensors").touch()
    sources = base_sources(str(folder), ())
    assert sources.path("expression_encoder") == folder / "image_encoder"
    assert sources.path("adapters/faceid.safetensors").parent == folder / "adapters"
    # a setting names a part, an asset or a path
    assert sources.named("ip-adapter-sdxl") == assets / "ip-adapter-sdxl" / "ip-adapter_sdxl.safetensors"
    assert sources.named(str(assets / "face")) == assets / "face"


def test_what_is_missing_is_named(assets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for name in ("sd15", "sdxl", "arcface-r50"):
        (few / name).symlink_to(assets / name)
    monkeypatch.setenv("MIEN_ASSETS", str(few))
    with pytest.raises(MissingAsset, match="mien assets get ip-adapter-faceid-sd15"):
        build_objective(preset("emojidiff-base"), tmp_path, "sd15")
    for name in BASES:
        sources = base_sources(name, ())
        with pytest.raises(MissingAsset, match=f"mien assets get ip-adapter-image-encoder-{ENCODERS[name]}"):
            sources.path("expression_encoder")
        with pytest.raises(MissingAsset, match="mien assets get mediapipe-face-landmarker"):
            sources.path("reader/face")
    with pytest.raises(MissingAsset, match=r"No trained 'adapters/expression\.safetensors'|adapters/expression"):
        build_objective(preset("emojidiff-refined"), tmp_path, "sdxl")
    with pytest.raises(ConfigError, match="SDXL has none: use arc2face"):
        build_objective(preset("facecrafter-joint"), tmp_path, "sdxl")


def test_files_that_read_more_than_the_pooled_embedding_are_refused(assets: Path, tmp_path: Path) -> None:
    unet: Any = UNet2DConditionModel.from_pretrained(assets / "sd15" / "unet")
    plus = write_ip_adapter(unet, tmp_path / "ip-adapter-plus_sd15.safetensors", "plus", 20)
    options = preset("emojidiff-base").options | {"init": str(plus)}
    with pytest.raises(ConfigError, match="use the plain version"):
        build_objective(preset("emojidiff-base").model_copy(update={"options": options}), tmp_path, "sd15")


def test_a_base_is_read_by_its_unet() -> None:
    assert base_sizes({"cross_attention_dim": 768}) == "sd15"
    assert base_sizes({"cross_attention_dim": 2048, "addition_embed_type": "text_time"}) == "sdxl"
    assert base_sizes({"cross_attention_dim": 256, "addition_embed_type": "text"}) == "studio"


def test_the_papers_settings() -> None:
    """Suppl. A.1: Adam 2e-5, then 5e-6, betas 0.5 and 0.999; the weights of ICA are the objective's own defaults."""
    stages = [PRESETS[f"emojidiff-{stage}"] for stage in ("base", "refined", "alignment")]
    assert [stage.lr for stage in stages] == [2e-5, 2e-5, 5e-6]
    assert all(stage.betas == (0.5, 0.999) and stage.weight_decay == 0 for stage in stages)
    assert [bool(stage.options.get("templates")) for stage in stages] == [False, True, True]
