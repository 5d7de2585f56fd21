"""Starting from weights of the same model, or of one with fewer attention blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from mien.adapters import Branch, Injection, save_adapter
from mien.errors import ConfigError, MissingAsset
from mien.training.objective import load_branch, load_compatible, load_part


def unet(last: str, seed: int, **changes: Any) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    config: dict[str, Any] = {
        "sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "cross_attention_dim": 16,
        "block_out_channels": (16, 32), "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", last), "attention_head_dim": (2, 4), "norm_num_groups": 8,
    }  # fmt: skip
    return UNet2DConditionModel(**config | changes).eval()


def test_a_unet_with_more_attention_computes_what_the_smaller_did(tmp_path: Path) -> None:
    small, large = unet("UpBlock2D", 0), unet("CrossAttnUpBlock2D", 1)
    small.save_pretrained(tmp_path / "unet")
    load_part(large, tmp_path / "unet")
    x, t, text = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 5, 16)
    torch.testing.assert_close(large(x, t, text).sample, small(x, t, text).sample)
    large(x, t, text).sample.square().sum().backward()
    grown: Any = large.up_blocks[1]
    assert grown.attentions[0].proj_out.weight.grad.abs().max() > 0  # and learns from the first step


def test_a_branch_enters_the_new_blocks_with_nothing(tmp_path: Path) -> None:
    small, large = unet("UpBlock2D", 0), unet("CrossAttnUpBlock2D", 1)
    old = Branch.for_unet(small, "emotion", 8)
    for pair in old.projections().values():
        torch.nn.init.normal_(pair.to_v.weight)
    save_adapter(tmp_path / "adapters" / "emotion.safetensors", {"emotion": old})
    load_compatible(large, small.state_dict(), "the small one")
    new = Branch.for_unet(large, "emotion", 8)
    load_branch(new, tmp_path, "emotion")
    x, t, text, condition = torch.randn(1, 4, 8, 8), torch.tensor([500]), torch.randn(1, 5, 16), torch.randn(1, 10)
    outputs = []
    for model, branch in ((small, old), (large, new)):
        with Injection(model, {"emotion": branch}) as injection:
            plan = injection.condition({"emotion": branch.encode(condition)})
            outputs.append(model(x, t, text, cross_attention_kwargs=plan).sample)
    torch.testing.assert_close(outputs[1], outputs[0])
    assert len(new.blocks) > len(old.blocks)


def test_other_differences_are_refused(tmp_path: Path) -> None:
    small = unet("UpBlock2D", 0)
    for other in (unet("UpBlock2D", 0, layers_per_block=2), unet("UpBlock2D", 0, cross_attention_dim=8)):
        with pytest.raises(ConfigError, match="another size"):
            load_compatible(other, small.state_dict(), "it")
    with pytest.raises(ConfigError, match="another size"):  # fewer blocks than the weights have
        load_compatible(unet("UpBlock2D", 0), unet("CrossAttnUpBlock2D", 0).state_dict(), "it")
    with pytest.raises(MissingAsset, match="to start from"):
        load_part(small, tmp_path / "nowhere")
