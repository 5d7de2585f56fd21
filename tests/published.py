"""Tiny random models in the layout in which Stable Diffusion 1.5 and Arc2Face are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel

from mien.assets.registry import asset

WIDTH = 768
_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


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
    eight: Any = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    eight["block_out_channels"] = (4, 4, 4, 4)
    vae: Any = AutoencoderKL(
        **eight, norm_num_groups=4, latent_channels=4, sample_size=512,
        scaling_factor=0.18215,
    )  # fmt: skip
    vae.save_pretrained(folder / "vae")
    schedule: Any = dict(_SCHEDULE)
    PNDMScheduler(**schedule, skip_prk_steps=True).save_pretrained(folder / "scheduler")
    _write_clip(folder / "text_encoder", "model.safetensors")
    _write_tokenizer(folder / "tokenizer")
    _fill(folder, "sd15")
    return folder


def write_arc2face(folder: Path) -> Path:
    """Arc2Face's folder: a UNet, a pickled text encoder, an ArcFace network."""
    torch.manual_seed(1)
    unet: Any = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder.parent / "sd15" / "unet"))  # type: ignore[arg-type]
    unet.save_pretrained(folder / "arc2face")
    _write_clip(folder / "encoder", "pytorch_model.bin")
    _write_arcface(folder / "arcface.onnx")
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

    config = CLIPTextConfig(
        vocab_size=519, hidden_size=WIDTH, intermediate_size=16, num_hidden_layers=1, num_attention_heads=12,
        max_position_embeddings=77, bos_token_id=517, eos_token_id=518, pad_token_id=518,
    )  # fmt: skip
    model: Any = CLIPTextModel(config)
    if file.endswith(".safetensors"):
        model.save_pretrained(folder)
        return
    folder.mkdir(parents=True)
    config.architectures = ["CLIPTextModelWrapper"]
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / file)


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


def _write_arcface(path: Path) -> None:
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
