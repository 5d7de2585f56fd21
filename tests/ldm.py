"""A diffusers base as one file in the layout in which CompVis and Stability publish checkpoints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]
_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}  # fmt: skip


def write_checkpoint(pipeline: Any, path: Path) -> Path:
    """UNet, autoencoder and text encoders of a pipeline in one ``.safetensors`` file."""
    weights = {f"model.diffusion_model.{key}": value for key, value in _unet(pipeline.unet).items()}
    weights |= {f"first_stage_model.{key}": value for key, value in _vae(pipeline.vae).items()}
    text = _plain(pipeline.text_encoder)
    second = getattr(pipeline, "text_encoder_2", None)
    place = "cond_stage_model" if second is None else "conditioner.embedders.0"
    weights |= {f"{place}.transformer.text_model.{key}": value for key, value in text.items()}
    if second is not None:
        weights |= {f"conditioner.embedders.1.model.{key}": value for key, value in _open_clip(second).items()}
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, path)
    return path


def _plain(text_encoder: Any) -> Weights:
    return {key.removeprefix("text_model."): value for key, value in text_encoder.state_dict().items()}


def _unet(unet: Any) -> Weights:
    layers = unet.config.layers_per_block
    found = {}
    for key, value in unet.state_dict().items():
        name, _, kind = key.rpartition(".")
        if match := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)", name):
            side, level, part, index, rest = match.groups()
            row = int(level) * (layers + 1) + int(index) + (1 if side == "down" else 0)
            place = f"{'input' if side == 'down' else 'output'}_blocks.{row}.{0 if part == 'resnets' else 1}"
            name = f"{place}.{_RESNET[rest] if part == 'resnets' else rest}"
        elif match := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv", name):
            name = f"input_blocks.{(int(match[1]) + 1) * (layers + 1)}.0.op"
        elif match := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv", name):
            behind = 2 if hasattr(unet.up_blocks[int(match[1])], "attentions") else 1
            name = f"output_blocks.{int(match[1]) * (layers + 1) + layers}.{behind}.conv"
        elif match := re.fullmatch(r"mid_block\.resnets\.(\d+)\.(.+)", name):
            name = f"middle_block.{2 * int(match[1])}.{_RESNET[match[2]]}"
        elif name.startswith("mid_block.attentions.0."):
            name = name.replace("mid_block.attentions.0", "middle_block.1")
        else:
            name = _UNET[name]
        found[f"{name}.{kind}"] = value
    return found


def _vae(vae: Any) -> Weights:
    last = len(vae.config.block_out_channels) - 1
    found = {}
    for key, value in vae.state_dict().items():
        name = key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{last - int(m[1])}.block.{m[2]}", name)
        name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", name)
        name = re.sub(r"mid_block\.resnets\.(\d+)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        if "mid_block.attentions.0" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
            name = name.replace("to_out.0", "proj_out")
            name = re.sub(r"\.to_([qkv])\.", r".\1.", name)
            value = value[:, :, None, None] if value.ndim == 2 else value
        found[name] = value
    return found


def _open_clip(text_encoder: Any) -> Weights:
    plain = _plain(text_encoder)
    found = {
        "positional_embedding": plain["embeddings.position_embedding.weight"],
        "token_embedding.weight": plain["embeddings.token_embedding.weight"],
        "text_projection": plain["text_projection.weight"].T,
    }
    found |= {f"ln_final.{kind}": plain[f"final_layer_norm.{kind}"] for kind in ("weight", "bias")}
    pairs = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for layer in range(text_encoder.config.num_hidden_layers):
        here, there = f"encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for kind in ("weight", "bias"):
            three = [plain[f"{here}.self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
            found[f"{there}.attn.in_proj_{kind}"] = torch.cat(three)
            found[f"{there}.attn.out_proj.{kind}"] = plain[f"{here}.self_attn.out_proj.{kind}"]
            found |= {f"{there}.{new}.{kind}": plain[f"{here}.{old}.{kind}"] for old, new in pairs.items()}
    return found
