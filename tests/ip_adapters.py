"""Random adapters for any UNet, in the very names in which IP-Adapter and IP-Adapter-FaceID are published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]
HEADS = 2  # 64 wide each, as everywhere in IP-Adapter


def write_ip_adapter(
    unet: Any, path: Path, layout: str, features: int, rank: int = 0, seed: int = 0, size: float = 0.3
) -> Path:
    """Write a file.

    Args:
        unet: whose adapter it is.
        path: ``*.safetensors`` is written flat, ``*.bin`` as the nested dict that torch pickles.
        layout: ``plain``, ``plus``, ``faceid`` or ``faceid-plus``.
        features: width of what it reads.
        rank: of FaceID's LoRA; 0 for none.
        seed: of the weights.
        size: of the weights, their standard deviation.
    """
    draw = _Draw(seed, size)
    width = unet.config.cross_attention_dim
    proj = {"plain": _plain, "faceid": _faceid, "plus": _plus, "faceid-plus": _faceid_plus}[layout](
        draw, width, features
    )
    attention: Weights = {}
    layers = [module for module in unet.modules() if isinstance(module, Attention)]
    for number, layer in enumerate(layers):
        out: Any = layer.to_out
        if layer.is_cross_attention:
            attention[f"{number}.to_k_ip.weight"] = draw(layer.inner_dim, width)
            attention[f"{number}.to_v_ip.weight"] = draw(layer.inner_dim, width)
        for name in ("to_q", "to_k", "to_v", "to_out") if rank else ():
            linear: Any = out[0] if name == "to_out" else getattr(layer, name)
            attention[f"{number}.{name}_lora.down.weight"] = draw(rank, linear.in_features)
            attention[f"{number}.{name}_lora.up.weight"] = draw(linear.out_features, rank)
    if path.suffix == ".bin":
        torch.save({"image_proj": proj, "ip_adapter": attention}, path)
    else:
        flat = {f"image_proj.{key}": value for key, value in proj.items()}
        save_file(flat | {f"ip_adapter.{key}": value for key, value in attention.items()}, path)
    return path


class _Draw:
    def __init__(self, seed: int, size: float) -> None:
        self.size = size
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator) * self.size

    def norm(self, name: str, width: int) -> Weights:
        return {f"{name}.weight": 1 + self(width), f"{name}.bias": self(width)}

    def linear(self, name: str, outputs: int, inputs: int) -> Weights:
        return {f"{name}.weight": self(outputs, inputs), f"{name}.bias": self(outputs)}


def _plain(draw: _Draw, width: int, features: int) -> Weights:
    return draw.linear("proj", 4 * width, features) | draw.norm("norm", width)


def _faceid(draw: _Draw, width: int, features: int) -> Weights:
    first = draw.linear("proj.0", 2 * features, features)
    return first | draw.linear("proj.2", 4 * width, 2 * features) | draw.norm("norm", width)


def _plus(draw: _Draw, width: int, features: int) -> Weights:
    hidden = 24
    return {"latents": draw(1, 3, hidden)} | _resampler(draw, "", hidden, features, width)


def _faceid_plus(draw: _Draw, width: int, features: int) -> Weights:
    first = draw.linear("proj.0", 2 * 512, 512) | draw.linear("proj.2", 4 * width, 2 * 512) | draw.norm("norm", width)
    return first | _resampler(draw, "perceiver_resampler.", width, features, width)


def _resampler(draw: _Draw, prefix: str, hidden: int, features: int, width: int) -> Weights:
    inner = HEADS * 64
    found = (
        draw.linear("proj_in", hidden, features) | draw.linear("proj_out", width, hidden) | draw.norm("norm_out", width)
    )
    for layer in range(4):
        attention, ahead = f"layers.{layer}.0", f"layers.{layer}.1"
        found |= draw.norm(f"{attention}.norm1", hidden) | draw.norm(f"{attention}.norm2", hidden)
        found |= {f"{attention}.to_q.weight": draw(inner, hidden), f"{attention}.to_kv.weight": draw(2 * inner, hidden)}
        found |= {f"{attention}.to_out.weight": draw(hidden, inner)} | draw.norm(f"{ahead}.0", hidden)
        found |= {f"{ahead}.1.weight": draw(4 * hidden, hidden), f"{ahead}.3.weight": draw(hidden, 4 * hidden)}
    return {prefix + key: value for key, value in found.items()}
