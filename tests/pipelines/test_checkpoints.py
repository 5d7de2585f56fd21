"""What bases state of themselves is heeded, or refused in one sentence; parts that do not fit are named."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from mien.errors import BadInput
from mien.pipelines.bases import open_base
from mien.pipelines.load import picture_size
from mien.pipelines.schedulers import sampling_with
from tests.ldm import write_checkpoint
from tests.published import write_sd15, write_sdxl

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    write_sd15(folder / "sd15")
    write_sdxl(folder / "sdxl")
    for base in ("sd15", "sdxl"):
        write_checkpoint(open_base(folder / base), folder / f"{base}.safetensors")
    return folder


@pytest.fixture(autouse=True)
def here(assets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(assets))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def changed(file: Path, to: Path, change: Callable[[Weights], Any], metadata: dict[str, str] | None = None) -> Path:
    weights = load_file(file)
    change(weights)
    save_file(weights, to, metadata=metadata)
    return to


def draw(pipeline: Any, **options: Any) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    settings: dict[str, Any] = {"num_inference_steps": 3, "output_type": "latent", "height": 64, "width": 64, **options}
    prompt = settings.pop("prompt", "photo")
    return pipeline(prompt, generator=[torch.Generator().manual_seed(0)], **settings).images


@pytest.mark.parametrize("base", ["sd15", "sdxl"])
@pytest.mark.parametrize(
    ("keys", "metadata", "prediction", "zero"),
    [
        ((), None, "epsilon", False),
        (("v_pred",), None, "v_prediction", False),
        (("v_pred", "ztsnr"), None, "v_prediction", True),
        ((), {"modelspec.prediction_type": "v"}, "v_prediction", False),
        ((), {"modelspec.prediction_type": "epsilon"}, "epsilon", False),
        (("v_pred",), {"modelspec.prediction_type": "epsilon"}, "v_prediction", False),
    ],
)
def test_what_a_file_states_of_its_prediction_is_heeded(
    base: str, keys: tuple[str, ...], metadata: Any, prediction: str, zero: bool, assets: Path, tmp_path: Path
) -> None:
    """NoobAI's v-prediction files and their like drew grey noise."""
    file = changed(
        assets / f"{base}.safetensors", tmp_path / "base.safetensors",
        lambda weights: weights.update({key: torch.zeros(0) for key in keys}), metadata,
    )  # fmt: skip
    pipeline = open_base(file)
    assert pipeline.scheduler.config["prediction_type"] == prediction
    assert bool(pipeline.scheduler.config.get("rescale_betas_zero_snr")) == zero
    plain = PNDMScheduler if base == "sd15" else EulerDiscreteScheduler
    assert type(pipeline.scheduler) is (DDIMScheduler if zero and base == "sd15" else plain)
    assert torch.isfinite(draw(pipeline)).all()
    for name in ("dpm++", "ddpm", "ddim", "euler", "lcm") if zero else ():
        with sampling_with(pipeline, name):
            assert pipeline.scheduler.config["prediction_type"] == prediction
            assert torch.isfinite(draw(pipeline)).all(), name
            assert float(pipeline.scheduler.timesteps.max()) > 990  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize(("stated", "side"), [("768x768", 768), ("640", 640), ("832x1216", None)])
@pytest.mark.parametrize("base", ["sd15", "sdxl"])
def test_the_size_that_a_file_states_is_that_of_its_pictures(
    base: str, stated: str, side: int | None, assets: Path, tmp_path: Path
) -> None:
    file, to = assets / f"{base}.safetensors", tmp_path / "base.safetensors"
    pipeline = open_base(changed(file, to, lambda _: None, {"modelspec.resolution": stated}))
    assert picture_size(pipeline) == (side or picture_size(open_base(file)))


def test_layers_that_a_file_was_trained_without_are_left_out(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others call clip skip 2; SDXL's files all have it."""
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    folder = write_sd15(tmp_path / "sd15")
    config: Any = CLIPTextConfig.from_pretrained(folder / "text_encoder", num_hidden_layers=3)
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    plain = write_checkpoint(open_base(folder), tmp_path / "plain.safetensors")
    before: Any = open_base(plain)
    ids = before.tokenizer("a face", return_tensors="pt").input_ids
    encoder = before.text_encoder
    last_but_one = encoder(ids, output_hidden_states=True).hidden_states[-2]
    file = changed(plain, tmp_path / "skips.safetensors", lambda _: None, {"modelspec.encoder_layer": "2"})
    found: Any = open_base(file).text_encoder
    normed = getattr(encoder, "text_model", encoder).final_layer_norm(last_but_one)
    assert torch.equal(found(ids).last_hidden_state, normed) and found.config.num_hidden_layers == 2
    xl = changed(
        assets / "sdxl.safetensors", tmp_path / "xl.safetensors", lambda _: None, {"modelspec.encoder_layer": "2"}
    )
    monkeypatch.setenv("MIEN_ASSETS", str(assets))
    assert open_base(xl).text_encoder.config.num_hidden_layers == 2


def _wide(weights: Weights) -> None:
    key = "model.diffusion_model.input_blocks.0.0.weight"
    weights[key] = torch.cat([weights[key]] * 2 + [weights[key][:, :1]], dim=1)


def _without(*starts: str) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        for key in [key for key in weights if key.startswith(starts)]:
            del weights[key]

    return change


REFUSED: dict[str, tuple[str, Any, Any]] = {
    "EDM's noise": ("sdxl", lambda weights: weights.update(edm_mean=torch.zeros(4)), None),
    "EDM's noise, which": ("sdxl", lambda weights: weights.update({"edm_vpred.sigma_max": torch.ones(1)}), None),
    "reads 9 channels: it was made for inpainting": ("sd15", _wide, None),
    "distilled with its guidance inside": (
        "sd15", lambda w: w.update({"model.diffusion_model.time_embed.cond_proj.weight": torch.zeros(4, 4)}), None,
    ),
    "comes without its text encoder": ("sd15", _without("cond_stage_model"), None),
    "without its text encoder: get": ("sdxl", _without("conditioner.embedders.1"), None),
    "says that its UNet predicts 'flow'": ("sd15", lambda _: None, {"modelspec.prediction_type": "flow"}),
    "made for the timesteps 0,199, a part": ("sd15", lambda _: None, {"modelspec.timestep_range": "0,199"}),
    "pictures of 'large', which is no size": ("sd15", lambda _: None, {"modelspec.resolution": "large"}),
    "reads layer '13' from the end": ("sd15", lambda _: None, {"modelspec.encoder_layer": "13"}),
    "reads layer '1' from the end": ("sdxl", lambda _: None, {"modelspec.encoder_layer": "1"}),
    "holds no whole": ("sd15", _without("first_stage_"), None),
    "SDXL's refiner": (
        "sdxl",
        lambda w: w.update({
            "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": w.pop(
                "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias"
            )
        }),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("told", REFUSED)
def test_what_mien_cannot_draw_with_is_refused(told: str, assets: Path, tmp_path: Path) -> None:
    base, change, metadata = REFUSED[told]
    file = changed(assets / f"{base}.safetensors", tmp_path / "base.safetensors", change, metadata)
    with pytest.raises(BadInput, match=told):
        open_base(file)


@pytest.mark.parametrize(
    "key",
    [
        "model.diffusion_model.middle_block.0.in_layers.2.weight",
        "model.diffusion_model.time_embed.0.bias",
        "first_stage_model.decoder.conv_in.weight",
        "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
    ],
)
def test_a_file_that_lacks_a_weight_is_refused(key: str, assets: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"base\.safetensors"):
        open_base(changed(assets / "sd15.safetensors", tmp_path / "base.safetensors", lambda weights: weights.pop(key)))


def test_a_name_in_capitals_is_not_called_a_pickle(assets: Path, tmp_path: Path) -> None:
    shutil.copy(assets / "sd15.safetensors", tmp_path / "X.SAFETENSORS")
    with pytest.raises(BadInput, match=r"Rename .*X\.SAFETENSORS so that it ends in \.safetensors, in small letters"):
        open_base(tmp_path / "X.SAFETENSORS")


@pytest.fixture
def folder(assets: Path, tmp_path: Path) -> Path:
    shutil.copytree(assets / "sd15", tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize("parts", [("unet", "vae", "text_encoder"), ("unet",), ("text_encoder",)])
def test_a_folder_with_variants_only_is_loaded(parts: tuple[str, ...], folder: Path, assets: Path) -> None:
    """It was called incomplete."""
    for part in parts:
        (file,) = (path for path in (folder / part).glob("*.safetensors") if path.stat().st_size)
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    assert torch.equal(draw(open_base(folder)), draw(open_base(assets / "sd15")))


def test_a_configuration_that_asks_for_terabytes_is_damage(folder: Path) -> None:
    """It was taken for a machine without memory (the soak's mutant 73 of bases)."""
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps(config | {"block_out_channels": [8, 2**27]}))
    with pytest.raises(BadInput, match=r"base is incomplete or damaged \(a config.json asks for far larger weights"):
        open_base(folder)


def test_a_pickled_part_is_refused_and_not_opened(folder: Path) -> None:
    """The docs said so, and a folder with diffusion_pytorch_model.bin was loaded."""
    (file,) = (folder / "unet").glob("*.safetensors")
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    with pytest.raises(BadInput, match=r"unet holds its weights as a pickle, which mien does not open"):
        open_base(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_folder_that_lacks_a_weight_is_refused(part: str, folder: Path) -> None:
    """transformers drew it at random, with a word in a log."""
    (file,) = (path for path in (folder / part).glob("*.safetensors") if path.stat().st_size)
    weights = load_file(file)
    gone = sorted(key for key in weights if key.endswith("weight"))[3]
    save_file({key: value for key, value in weights.items() if key != gone}, file, metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"base.*lacks|base is incomplete"):
        open_base(folder)


@pytest.mark.parametrize(
    ("part", "setting", "value", "told"),
    [
        ("unet", "cross_attention_dim", 1024, "reads text 1024 wide and the text encoder's is 768"),
        ("unet", "num_class_embeds", 10, "has a num_class_embeds"),
        ("unet", "out_channels", 8, "reads 4 channels and predicts 8"),
        ("scheduler", "prediction_type", "flow_prediction", "predicts flow_prediction, which mien cannot steer"),
        ("vae", "scaling_factor", 0.13025, "its autoencoder's scale of 0.13025 is SDXL's"),
    ],
)
def test_parts_that_do_not_fit_are_named(part: str, setting: str, value: Any, told: str, folder: Path) -> None:
    from diffusers import UNet2DConditionModel

    if part == "unet":
        config: Any = UNet2DConditionModel.load_config(folder / "unet")
        UNet2DConditionModel.from_config({**config, setting: value}).save_pretrained(folder / "unet")  # type: ignore[union-attr]
    else:
        file = folder / part / ("config.json" if part == "vae" else "scheduler_config.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | {setting: value}))
    with pytest.raises(BadInput, match=told):
        open_base(folder)


def test_an_autoencoder_of_sd15_is_refused_under_sdxl(assets: Path, tmp_path: Path) -> None:
    """Its latents have the same shape and another scale: pictures of wrong colours, without a word."""
    shutil.copytree(assets / "sdxl", tmp_path / "base")
    file = tmp_path / "base" / "vae" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"scaling_factor": 0.18215}))
    with pytest.raises(BadInput, match=r"scale of 0\.18215 is Stable Diffusion 1\.5's"):
        open_base(tmp_path / "base")


LONG = "photo of a person, " * 12  # in the tiny tokenizer letters are tokens


@pytest.mark.parametrize("base", ["sd15", "sdxl"])
def test_a_long_prompt_acts_to_its_end_in_chunks_of_75(base: str, assets: Path) -> None:
    """Everything behind the 77th token was dropped without a word."""
    pipeline: Any = open_base(assets / base)
    ids = pipeline.tokenizer(LONG, add_special_tokens=False).input_ids
    count = -(-len(ids) // 75)
    assert count > 2
    chunks = pipeline._chunks([LONG])
    found = pipeline._encode([LONG], chunks=chunks)
    assert chunks == count and found.states.shape[1] == 77 * count
    start, end = pipeline.tokenizer.bos_token_id, pipeline.tokenizer.eos_token_id
    for piece in range(count):
        own = ids[piece * 75 : piece * 75 + 75]
        row = torch.tensor([[start, *own, end, *[end] * (75 - len(own))]])
        first = pipeline.text_encoder(row, output_hidden_states=True)
        width = first.last_hidden_state.shape[-1]
        states = first.last_hidden_state if base == "sd15" else first.hidden_states[-2]
        torch.testing.assert_close(found.states[:, piece * 77 : piece * 77 + 77, :width], states, atol=1e-5, rtol=1e-4)
    if base == "sdxl":
        torch.testing.assert_close(found.pooled, pipeline._encode([LONG[: len(LONG) // 2]], chunks=chunks).pooled)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pictures = [
            draw(pipeline, prompt=prompt, negative_prompt=negative, guidance={"text": 3.0})
            for prompt, negative in ((LONG, ""), (LONG + "zzz", ""), ("photo", LONG), ("photo", LONG + "zzz"))
        ]
    assert all(not torch.equal(pictures[row], pictures[row + 1]) for row in (0, 2))


def test_a_face_takes_its_place_in_whichever_chunk_it_stands(assets: Path) -> None:
    pipeline: Any = open_base(assets / "sd15")
    prompts = [LONG + "photo of a id person", "photo of a id person"]
    faces = torch.nn.functional.normalize(torch.randn(2, 512, generator=torch.Generator().manual_seed(1)), dim=-1)
    chunks = pipeline._chunks(prompts)
    both = pipeline._encode(prompts, faces, chunks).states
    other = pipeline._encode(prompts, faces.flip(0), chunks).states
    changed_at = [[bool((both - other)[row, 77 * n : 77 * n + 77].any()) for n in range(chunks)] for row in range(2)]
    assert changed_at[0].count(True) == 1 and not changed_at[0][0], "in a later chunk alone"
    assert changed_at[1] == [True, *[False] * (chunks - 1)]
    torch.testing.assert_close(both[1:, :77], pipeline._encode(prompts[1:], faces[1:]).states, atol=1e-5, rtol=1e-4)


def test_a_tokenizer_without_a_length_has_that_of_its_text_encoder(folder: Path) -> None:
    file = folder / "tokenizer" / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "model_max_length": int(1e30)}))
    assert open_base(folder).tokenizer.model_max_length == 77
    for wrong in ("many", 1, -77):
        file.write_text(json.dumps({**settings, "model_max_length": wrong}))
        with pytest.raises(BadInput, match=f"has a tokenizer for '?{wrong}'? tokens"):
            open_base(folder)
