"""Tiny random models in the layout in which Stable Diffusion 1.5, SDXL and Arc2Face are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, PNDMScheduler, UNet2DConditionModel

from mien.assets.registry import asset

WIDTH = 768
_CLIP: dict[str, Any] = {
    "vocab_size": 519, "intermediate_size": 16, "max_position_embeddings": 77, "bos_token_id": 517,
    "eos_token_id": 518, "pad_token_id": 518,
}  # fmt: skip
_PARTS = {
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
_EXTRAS = {
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
}
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def write_sd15(folder: Path) -> Path:
    """The diffusers folder: 512-pixel pictures, latents of 64, text of 768, epsilon prediction; few channels."""
    torch.manual_seed(0)
    blocks = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
    unet: Any = UNet2DConditionModel(
        sample_size=64, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=blocks[0], up_block_types=blocks[1], cross_attention_dim=WIDTH, attention_head_dim=2,
        norm_num_groups=4,
    )  # fmt: skip
    unet.save_pretrained(folder / "unet")
    _write_vae(folder / "vae", 512, 0.18215)
    schedule: Any = dict(SCHEDULE)
    PNDMScheduler(**schedule, skip_prk_steps=True).save_pretrained(folder / "scheduler")
    _write_clip(folder / "text_encoder", "model.safetensors")
    _write_tokenizer(folder / "tokenizer")
    _write_index(folder, "StableDiffusionPipeline", _PARTS | _EXTRAS, requires_safety_checker=True)
    _fill(folder, "sd15")
    return folder


def write_sdxl(folder: Path) -> Path:
    """The diffusers folder: 1024-pixel pictures; text of 24 and 40 in the place of 768 and 1280; few channels."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(2)
    widths: Any = {"attention_head_dim": (1, 2), "transformer_layers_per_block": (1, 2)}
    unet: Any = UNet2DConditionModel(
        **widths, sample_size=128, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64, norm_num_groups=4, use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 40,
    )  # fmt: skip
    unet.save_pretrained(folder / "unet")
    _write_vae(folder / "vae", 1024, 0.13025)
    schedule: Any = dict(SCHEDULE)
    EulerDiscreteScheduler(**schedule, timestep_spacing="leading").save_pretrained(folder / "scheduler")
    first = _CLIP | {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2}
    second = _CLIP | {"hidden_size": 40, "num_attention_heads": 2, "num_hidden_layers": 10, "projection_dim": 40}
    CLIPTextModel(CLIPTextConfig(**first)).save_pretrained(folder / "text_encoder")  # type: ignore[arg-type]
    large: Any = CLIPTextConfig(**second, hidden_act="gelu")  # type: ignore[arg-type]
    CLIPTextModelWithProjection(large).save_pretrained(folder / "text_encoder_2")
    _write_tokenizer(folder / "tokenizer")
    _write_tokenizer(folder / "tokenizer_2")
    parts = _PARTS | {
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
    }
    _write_index(folder, "StableDiffusionXLPipeline", parts, force_zeros_for_empty_prompt=True)
    _fill(folder, "sdxl")
    return folder


def _write_vae(folder: Path, side: int, scaling: float) -> None:
    eight: Any = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    eight["block_out_channels"] = (4, 4, 4, 4)
    vae: Any = AutoencoderKL(**eight, norm_num_groups=4, latent_channels=4, sample_size=side, scaling_factor=scaling)
    vae.save_pretrained(folder)


def _write_index(folder: Path, name: str, parts: dict[str, list[str]], **more: Any) -> None:
    index = {"_class_name": name, "_diffusers_version": "0.6.0", **more, **parts}
    (folder / "model_index.json").write_text(json.dumps(index))


def write_arc2face(folder: Path) -> Path:
    """Arc2Face's folder: a UNet, a pickled text encoder, an ArcFace network."""
    torch.manual_seed(1)
    unet: Any = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder.parent / "sd15" / "unet"))  # type: ignore[arg-type]
    unet.save_pretrained(folder / "arc2face")
    _write_clip(folder / "encoder", "pytorch_model.bin")
    write_arcface(folder / "arcface.onnx")
    _fill(folder, "arc2face")
    return folder


def _fill(folder: Path, name: str) -> None:
    """Files of the asset that no test reads."""
    for file in asset(name).files:
        place = folder / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def _write_clip(folder: Path, file: str) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(**_CLIP, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=12)
    model: Any = CLIPTextModel(config)
    if file.endswith(".safetensors"):
        model.save_pretrained(folder)
        return
    folder.mkdir(parents=True)
    config.architectures = ["CLIPTextModelWrapper"]
    config.save_pretrained(folder)
    # as transformers 4.34 wrote it: every name below text_model, and the positions as a buffer
    plain = {key.removeprefix("text_model."): value for key, value in model.state_dict().items()}
    plain["embeddings.position_ids"] = torch.arange(77)[None]
    torch.save({f"text_model.{key}": value for key, value in plain.items()}, folder / file)


def _write_tokenizer(folder: Path) -> None:
    """CLIP's two files, with one merge: the word ``id``."""
    folder.mkdir(parents=True)
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [chr(256 + number) for number in range(256 - len(printable))]
    letters = [*map(chr, printable), *others]
    words = [*letters, *[f"{letter}</w>" for letter in letters], "id</w>", "ph", "phot", "photo</w>", "ot"]
    start, end = "<|startoftext|>", "<|endoftext|>"
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate([*words, start, end])}))
    (folder / "merges.txt").write_text("#version: 0.2\ni d</w>\n")
    marks = {"bos_token": start, "eos_token": end, "pad_token": end, "unk_token": end}
    (folder / "special_tokens_map.json").write_text(json.dumps(marks))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **marks}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_arcface(path: Path) -> None:
    """One picture of 112 pixels in, 512 numbers out: a mean over blocks of 16 pixels, and a matrix."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[test]'")
    from onnx import TensorProto, helper, numpy_helper

    weight = torch.randn(3 * 7 * 7, 512, generator=torch.Generator().manual_seed(2)).numpy()
    nodes = [
        helper.make_node("AveragePool", ["data"], ["small"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes, "arcface",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 512])],
        [numpy_helper.from_array(weight, "weight")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
