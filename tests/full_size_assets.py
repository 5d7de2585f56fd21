"""What ``mien assets get`` fetches for EmojiDiff on SD1.5 and SDXL: random files of few channels, as published."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.ip_adapters import write_ip_adapter
from tests.published import write_sd15, write_sdxl

BASES = ("sd15", "sdxl")
FEATURES = {"sd15": 1024, "sdxl": 1280}
"""Width of what IP-Adapter's image encoders give."""
ENCODERS = {"sd15": "vit-h", "sdxl": "vit-bigg"}
_INSIDE = {"sd15": "models", "sdxl": "sdxl_models"}


def clip_folder(assets: Path, base: str) -> Path:
    """The image encoder that IP-Adapter for a base reads pictures with."""
    return assets / f"ip-adapter-image-encoder-{ENCODERS[base]}" / _INSIDE[base] / "image_encoder"


def write_full_size_assets(folder: Path, latents: Mapping[str, int], write_arcface: Callable[[Path], object]) -> Path:
    """Bases, ArcFace, IP-Adapter, IP-Adapter-FaceID and image encoders.

    Args:
        folder: of assets.
        latents: base -> side of its latents, less than the 64 and 128 of the published ones, which take longer.
        write_arcface: writes the ONNX file.
    """
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[heads]'")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'mien[test]'")
    write_sd15(folder / "sd15")
    write_sdxl(folder / "sdxl")
    (folder / "arcface-r50").mkdir()
    write_arcface(folder / "arcface-r50" / "w600k_r50.onnx")
    for base in BASES:
        config = folder / base / "unet" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": latents[base]}))
        unet: Any = UNet2DConditionModel.from_pretrained(folder / base / "unet")
        for asset, file, layout, features, rank in (
            ("ip-adapter", f"ip-adapter_{base}.safetensors", "plain", FEATURES[base], 0),
            ("ip-adapter-faceid", f"ip-adapter-faceid_{base}.bin", "faceid", 512, 4),
        ):
            (folder / f"{asset}-{base}").mkdir()
            write_ip_adapter(unet, folder / f"{asset}-{base}" / file, layout, features, rank)
        torch.manual_seed(3)
        sizes: Any = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        vision = CLIPVisionConfig(**sizes, image_size=224, patch_size=32, projection_dim=FEATURES[base])
        CLIPVisionModelWithProjection(vision).save_pretrained(clip_folder(folder, base))
    return folder
