"""Bases by name, folder, file: tiny random weights in exactly the layouts that are published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.errors import BadInput, MissingAsset
from mien.pipelines import PortraitPipeline, PortraitXLPipeline
from mien.pipelines.bases import open_base
from tests.ldm import write_checkpoint
from tests.published import write_arc2face, write_sd15, write_sdxl
from tests.tiny import tiny_condition, tiny_pipeline
from tests.tolerance import ROUNDED, SAMPLED

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for MIEN_ASSETS with every base."""
    folder = tmp_path_factory.mktemp("assets")
    write_sd15(folder / "sd15")
    write_sdxl(folder / "sdxl")
    write_arc2face(folder / "arc2face")
    return folder


@pytest.fixture(autouse=True)
def here(assets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(assets))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def draw(pipeline: Any, **options: Any) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    settings: dict[str, Any] = {"num_inference_steps": 2, "output_type": "pt", "height": 64, "width": 64, **options}
    return pipeline(generator=[torch.Generator().manual_seed(0)], **settings).images


@pytest.mark.parametrize(("base", "kind"), [("sd15", PortraitPipeline), ("sdxl", PortraitXLPipeline)])
def test_a_base_by_name_by_folder_and_by_file(base: str, kind: type, assets: Path, tmp_path: Path) -> None:
    named = open_base(base)
    assert type(named) is kind
    assert named.config["identity_mode"] == "branch"
    assert sorted(named.parts) == sorted(
        part for part in named.components if part not in ("expression_encoder", "controlnet")
    )
    picture = draw(named, prompt="photo of a id person", guidance={"text": 3.0})
    assert picture.std() > 0.01
    folder = open_base(assets / base)
    assert type(folder) is kind
    assert torch.equal(draw(folder, prompt="photo of a id person", guidance={"text": 3.0}), picture)
    file = open_base(write_checkpoint(named, tmp_path / "base.safetensors"))
    assert type(file) is kind
    assert file.parts == {"base": tmp_path / "base.safetensors"}, "recorded without the name, which may be a person's"
    for part in ("unet", "vae", "text_encoder", "text_encoder_2")[: 4 if kind is PortraitXLPipeline else 3]:
        ours, theirs = (getattr(pipeline, part).state_dict() for pipeline in (file, named))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), part
    torch.testing.assert_close(draw(file, prompt="photo of a id person", guidance={"text": 3.0}), picture)


@pytest.mark.parametrize("base", ["sd15", "sdxl"])
def test_half_precision(base: str) -> None:
    pipeline = open_base(base, torch.bfloat16)
    assert {part.dtype for part in pipeline.components.values() if isinstance(part, torch.nn.Module)} == {
        torch.bfloat16
    }
    assert torch.isfinite(draw(pipeline, prompt="photo")).all()


def test_arc2face_reads_faces_in_its_prompt(assets: Path) -> None:
    pipeline: Any = open_base("arc2face")
    assert pipeline.config["identity_mode"] == "prompt"
    assert pipeline.parts["unet"] == assets / "arc2face" / "arc2face"
    assert pipeline.parts["vae"] == assets / "sd15" / "vae"
    faces = tiny_condition("identity", 2)
    pipeline.set_progress_bar_config(disable=True)
    settings: dict[str, Any] = {"num_inference_steps": 2, "output_type": "latent", "height": 64, "width": 64}
    seeds = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    both = pipeline(identity=faces, generator=seeds, **settings).images
    for row in range(2):
        own = [torch.Generator().manual_seed(row)]
        alone = pipeline(identity=faces[row : row + 1], generator=own, **settings).images
        torch.testing.assert_close(both[row : row + 1], alone, **SAMPLED)
    settings["generator"] = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    assert not torch.allclose(both, pipeline(identity=-faces, **settings).images, atol=1e-3)
    assert torch.equal(draw(open_base(assets / "arc2face"), identity=faces[:1]), draw(pipeline, identity=faces[:1]))


def test_arc2face_tokens_are_upstreams(assets: Path) -> None:
    """Upstream's recipe for one face, written with plain tensors: the id token's embedding becomes the padded face."""
    pipeline: Any = open_base("arc2face")
    face = torch.nn.functional.normalize(tiny_condition("identity", 1), dim=-1)
    ids = pipeline.tokenizer(
        "photo of a id person", padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids
    (token,) = pipeline.tokenizer.encode("id", add_special_tokens=False)
    assert (ids == token).sum() == 1
    encoder = pipeline.text_encoder
    table = encoder.get_input_embeddings().weight
    with torch.no_grad():
        before = table[token].clone()
        table[token] = torch.nn.functional.pad(face, (0, 768 - 512))[0]
        expected = encoder(ids).last_hidden_state
        table[token] = before
        found = pipeline._encode(["photo of a id person"], face).states
    torch.testing.assert_close(found, expected, **ROUNDED)


def test_our_own_folders_keep_their_adapters(tmp_path: Path) -> None:
    own = tiny_pipeline(("emotion",), guidance={"emotion": 1.5})
    own.save_pretrained(tmp_path / "base")
    again = open_base(tmp_path / "base")
    assert list(again.adapters) == ["emotion"]
    assert again.config["guidance"] == {"emotion": 1.5}
    assert again.config["identity_mode"] == "prompt"
    assert again.folder == tmp_path / "base" and again.parts == {}


def test_what_is_no_base_is_refused(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="There is no base 'nowhere'"):
        open_base("nowhere")
    with pytest.raises(MissingAsset, match=r"no folder owner/name.*or the hub cannot be reached"):
        open_base("owner/name")
    with pytest.raises(BadInput, match="neither model_index"):
        open_base(tmp_path)
    pickle = tmp_path / "model.ckpt"
    pickle.touch()
    with pytest.raises(BadInput, match="opens no pickles"):
        open_base(pickle)
    branch = tmp_path / "adapter.safetensors"
    from mien.adapters import save_adapter
    from tests.tiny import tiny_branch, tiny_unet

    save_adapter(branch, {"emotion": tiny_branch(tiny_unet())})
    with pytest.raises(BadInput, match="holds no whole"):
        open_base(branch)
    flux = tmp_path / "flux"
    flux.mkdir()
    (flux / "model_index.json").write_text(
        json.dumps({"_class_name": "FluxPipeline", "transformer": ["diffusers", "X"]})
    )
    with pytest.raises(BadInput, match="is a FluxPipeline, which mien cannot steer"):
        open_base(flux)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of ours."""
    folder = tmp_path_factory.mktemp("whole") / "base"
    tiny_pipeline().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "file",
    ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors", "tokenizer/tokenizer.json",
     "text_encoder/config.json", "scheduler/scheduler_config.json"],
)  # fmt: skip
@pytest.mark.parametrize("left", [None, 0.0, 0.5])
def test_a_damaged_folder_is_said_to_be_one(file: str, left: float | None, whole: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "base"
    shutil.copytree(whole, damaged)
    content = (damaged / file).read_bytes()
    (damaged / file).unlink()
    if left is not None:
        (damaged / file).write_bytes(content[: int(len(content) * left)])
    with pytest.raises(BadInput, match=r"base is incomplete or damaged \([^\n]*[^.:]\): get a whole copy\.$"):
        open_base(damaged)


def test_an_index_that_is_none_is_damage_and_a_full_memory_is_not(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.pipelines.bases import is_small

    shutil.copytree(whole, tmp_path / "base")
    index = json.loads((whole / "model_index.json").read_text())
    for content in ([], index | {"vae": ["diffusers"]}):
        (tmp_path / "base" / "model_index.json").write_text(json.dumps(content))
        for read in (open_base, is_small):
            with pytest.raises(BadInput, match=r"base is incomplete or damaged \(.*model_index.json.*\): get a whole"):
                read(tmp_path / "base")

    def full(*_: Any, **__: Any) -> None:
        try:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes.")
        except RuntimeError as error:
            raise OSError("Unable to load weights from checkpoint file") from error

    monkeypatch.setattr(PortraitPipeline, "from_pretrained", full)
    with pytest.raises(MemoryError):
        open_base(whole)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [("vae/config.json", "scaling_factor", [0.18215]), ("scheduler/scheduler_config.json", "lambda_min_clipped", None)],
)
def test_a_setting_of_another_kind_is_refused_when_a_base_is_opened(
    file: str, key: str, value: Any, whole: Path, tmp_path: Path
) -> None:
    """Tracebacks of a soak: the first at opening, the second at the first picture."""
    shutil.copytree(whole, tmp_path / "base")
    config = json.loads((whole / file).read_text())
    own = {"_class_name": "DPMSolverMultistepScheduler"} if file.startswith("scheduler") else {}
    (tmp_path / "base" / file).write_text(json.dumps(config | own | {key: value}))
    with pytest.raises(BadInput, match=r"base holds what none does \([^\n]+\): get a whole copy\.$"):
        open_base(tmp_path / "base")


@pytest.mark.parametrize("part", ["arc2face", "sd15"])
def test_a_damaged_arc2face_is_said_to_be_one(
    part: str, assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(assets, tmp_path / "assets")
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "assets"))
    for folder in ("arc2face", "vae"):
        for file in (tmp_path / "assets" / part / folder).glob("*.safetensors"):
            file.write_bytes(b"")
    with pytest.raises(BadInput, match=rf"{part} is incomplete or damaged"):
        open_base("arc2face")


@pytest.mark.parametrize(
    ("setting", "value", "told"), [("in_channels", 9, "inpainting"), ("time_cond_proj_dim", 16, "distilled")]
)
def test_a_unet_of_another_trade_is_refused(setting: str, value: int, told: str, assets: Path, tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    shutil.copytree(assets / "sd15", tmp_path / "base")
    config: Any = UNet2DConditionModel.load_config(tmp_path / "base" / "unet")
    UNet2DConditionModel.from_config({**config, setting: value}).save_pretrained(tmp_path / "base" / "unet")  # type: ignore[union-attr]
    with pytest.raises(BadInput, match=told):
        open_base(tmp_path / "base")


def test_a_file_without_the_small_files_says_how_to_get_them(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_checkpoint(open_base("sd15"), tmp_path / "base.safetensors")
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "empty"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with pytest.raises(MissingAsset, match="mien assets get sd15"):
        open_base(file)
    with pytest.raises(MissingAsset, match="mien assets get arc2face"):
        open_base("arc2face")
