"""Sizes on the real base models, without their weights; the blocks of each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from mien.adapters import Branch, branch_preset, counts, describe_unet, select_blocks, unet_config
from mien.errors import ConfigError
from tests.tiny import tiny_sdxl_unet, tiny_unet

# runwayml/stable-diffusion-v1-5, unet/config.json, less the keys at their defaults
SD15: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}


@pytest.fixture(scope="module")
def sd15() -> UNet2DConditionModel:
    with torch.device("meta"):
        return UNet2DConditionModel(**SD15)


def test_the_papers_sizes_on_sd15(sd15: UNet2DConditionModel) -> None:
    """FaceCrafter Table 1: landmarks 11.7 M, landmarks and emotion 18 M, ControlNet 361 M."""
    blocks = describe_unet(sd15)
    assert len(blocks) == 16
    assert 2 * sum(spec.hidden for spec in blocks.values()) == 24_960
    preset = branch_preset("sd15", "landmarks")
    with torch.device("meta"):
        branch = Branch.for_unet(sd15, "landmarks", preset.token_dim, encoder=preset.encoder)
    assert branch.parts()["kv"] == 24_960 * 256
    found = counts("sd15")
    assert found["landmarks"] == pytest.approx(11.7e6, rel=0.01)
    assert 17.5e6 <= found["landmarks"] + found["emotion"] <= 18.5e6
    assert found["controlnet"] == 361_279_120
    assert found["unet"] == 859_520_964
    assert sum(p.numel() for p in sd15.parameters()) == found["unet"]


def test_counts_of_the_other_bases() -> None:
    studio = counts("studio")
    assert set(studio) == {"unet", "landmarks", "emotion", "expression", "identity", "controlnet"}
    assert 0.6e6 <= studio["landmarks"] <= 0.9e6
    assert sum(studio[kind] for kind in ("landmarks", "emotion", "expression", "identity")) <= 3.5e6
    assert counts("sdxl")["unet"] == 2_567_463_684
    with pytest.raises(ConfigError, match="choose among studio"):
        counts("sd3")
    with pytest.raises(ConfigError, match="unknown"):
        branch_preset("studio", "age")


@pytest.mark.parametrize("base", ["studio", "sd15", "sdxl"])
def test_presets_make_tokens_of_the_right_shape(base: str) -> None:
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(unet_config(base))
    for kind, tokens in {"landmarks": 64 if base == "studio" else 256, "emotion": 4, "identity": 4}.items():
        preset = branch_preset(base, kind)
        with torch.device("meta"):
            branch = Branch.for_unet(unet, kind, preset.token_dim, encoder=preset.encoder, null=preset.null)
            made = branch.encode(torch.empty(2, *branch.encoder.condition_shape))
        assert made.shape == (2, tokens, preset.token_dim)


def test_upstream_key_layouts() -> None:
    """IP-Adapter's ``image_proj`` part loads by its own names."""
    unet = tiny_unet()
    identity = Branch.for_unet(unet, "identity", 12, encoder={"hidden": 1024}).encoder
    assert list(identity.state_dict()) == [
        "proj.0.weight",
        "proj.0.bias",
        "proj.2.weight",
        "proj.2.bias",
        "norm.weight",
        "norm.bias",
    ]
    expression = Branch.for_unet(unet, "expression", 12).encoder
    assert list(expression.state_dict()) == ["proj.weight", "proj.bias", "norm.weight", "norm.bias"]


def test_block_names_and_lists() -> None:
    blocks = describe_unet(tiny_sdxl_unet())
    assert len(blocks) == 1 + 2 + 2 + 2 * 2 + 2 * 1  # down 1, down 2, mid, up 0, up 1
    assert all("." not in key and key.endswith("attn2") for key in blocks)
    assert blocks["mid_block/attentions/0/transformer_blocks/1/attn2"] == (32, 8, 32)
    assert list(select_blocks(blocks, "mid_block/*/0/attn2")) == ["mid_block/attentions/0/transformer_blocks/0/attn2"]
    assert all(key.endswith("attn1") for key in describe_unet(tiny_unet(), "self"))
    with pytest.raises(ConfigError, match="No block is called"):
        select_blocks(blocks, ["middle/*"])


def test_unknown_kinds_and_settings_are_refused() -> None:
    unet = tiny_unet()
    with pytest.raises(ConfigError, match="choose among"):
        Branch.for_unet(unet, "age", 8)
    with pytest.raises(ConfigError, match="encoder do not fit"):
        Branch.for_unet(unet, "emotion", 8, encoder={"layers": 3})
    with pytest.raises(ConfigError, match="text width 32"):
        Branch.for_unet(unet, "emotion", 8, init="copy")
    for wrong in ({"null": "none"}, {"site": "middle"}, {"init": "ones"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Branch.for_unet(unet, "emotion", 8, **wrong)  # type: ignore[arg-type]
