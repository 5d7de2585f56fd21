"""Modules that do less for a while, and which ones those are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mien.diffusion.shortcuts import Recalled, SharedRows, each_tensor
from mien.diffusion.unet_parts import deep_modules, shared_modules
from tests.tiny import TEXT_DIM, tiny_sdxl_unet, tiny_unet
from tests.tolerance import PASS


class Counting(nn.Module):
    """Doubles; remembers how many rows each call had."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def forward(self, x: Tensor, shift: Tensor | None = None) -> tuple[Tensor, tuple[Tensor]]:
        self.rows.append(len(x))
        return 2 * x if shift is None else 2 * x + shift, (x,)


def test_equal_rows_are_computed_once() -> None:
    module, distinct = Counting(), torch.randn(2, 3)
    place = torch.tensor([0, 1, 1, 1])
    x, shift = distinct[place], torch.arange(2.0)[place][:, None]
    expected = module(x, shift=shift)
    shared = SharedRows([module], torch.tensor([0, 1]), place)
    found = module(x, shift=shift)
    torch.testing.assert_close(found, expected)
    shared.active = False
    module(x, shift=shift)
    assert module.rows == [4, 2, 4]
    shared.remove()
    assert "forward" not in module.__dict__


def test_what_a_module_gave_before() -> None:
    module = Counting()
    recalled = Recalled([module])
    first, other = torch.randn(4, 3), torch.randn(4, 3)
    recalled.begin(slice(0, 4), recall=True)  # nothing is there yet: it runs
    kept = module(first)
    recalled.begin(slice(2, 4), recall=True)
    torch.testing.assert_close(module(other[2:]), (kept[0][2:], (kept[1][0][2:],)))
    recalled.begin(slice(2, 4), recall=False)
    torch.testing.assert_close(module(other[2:])[0], 2 * other[2:])
    recalled.begin(slice(3, 4), recall=True)
    torch.testing.assert_close(module(first[3:])[0], 2 * other[3:])
    recalled.begin(slice(0, 4), recall=True)  # rows that were not among the last: it runs
    torch.testing.assert_close(module(first)[0], 2 * first)
    assert module.rows == [4, 2, 4]
    recalled.remove()
    module(first)
    assert module.rows == [4, 2, 4, 4]


def test_a_forward_that_was_replaced_before_comes_back() -> None:
    module = nn.Linear(2, 2)
    own = module.__dict__["forward"] = lambda x: x + 1  # as accelerate does
    recalled = Recalled([module])
    recalled.begin(slice(0, 1), recall=False)
    assert torch.equal(module(torch.ones(1, 2)), torch.full((1, 2), 2.0))
    recalled.remove()
    assert module.forward is own


def test_each_tensor_keeps_everything_else() -> None:
    found = each_tensor({"a": (torch.ones(2), None), "b": [3]}, lambda tensor: tensor + 1)
    assert found["b"] == [3] and found["a"][1] is None
    torch.testing.assert_close(found["a"][0], torch.full((2,), 2.0))


def names(unet: Any, modules: Any) -> list[str]:
    known = {module: name for name, module in unet.named_modules()}
    return [known[module] for module in modules]


def test_modules_before_the_first_cross_attention() -> None:
    inside = ["norm", "proj_in", "transformer_blocks.0.norm1", "transformer_blocks.0.attn1"]
    unet, xl = tiny_unet(), tiny_sdxl_unet()
    first = "down_blocks.0."
    assert names(unet, shared_modules(unet)) == [
        "conv_in", f"{first}resnets.0", *(f"{first}attentions.0.{one}" for one in inside)
    ]  # fmt: skip
    first = "down_blocks.1."
    assert names(xl, shared_modules(xl)) == [
        "conv_in", "down_blocks.0", f"{first}resnets.0", *(f"{first}attentions.0.{one}" for one in inside)
    ]  # fmt: skip


def test_deep_modules_by_depth() -> None:
    unet = tiny_unet()  # four skip connections: conv_in, layer, downsampling, layer
    assert names(unet, deep_modules(unet, 0)) == [
        "down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1.resnets.0",
        "up_blocks.1.attentions.0",
    ]  # fmt: skip
    assert names(unet, deep_modules(unet, 1)) == [
        "down_blocks.0.downsamplers.0", "down_blocks.1", "mid_block", "up_blocks.0",
    ]  # fmt: skip
    assert names(unet, deep_modules(unet, 2)) == [
        "down_blocks.1", "mid_block", "up_blocks.0.resnets.0", "up_blocks.0.attentions.0"
    ]  # fmt: skip
    assert names(unet, deep_modules(unet, 3)) == ["mid_block"]
    assert deep_modules(unet, 4) == []


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_recalled_features_are_those_of_the_whole_unet(depth: int) -> None:
    """At the same input nothing changes; at another one only what lies deeper stays behind."""
    unet = tiny_unet()
    x, text = torch.randn(2, 4, 8, 8), torch.randn(2, 5, TEXT_DIM)
    recalled = Recalled(deep_modules(unet, depth))
    with torch.no_grad():
        recalled.begin(slice(0, 2), recall=False)
        whole = unet(x, 500, text).sample
        recalled.begin(slice(0, 2), recall=True)
        assert torch.equal(unet(x, 500, text).sample, whole)
        other = x + 0.1 * torch.randn_like(x)
        near = unet(other, 480, text).sample
        recalled.begin(slice(1, 2), recall=True)
        torch.testing.assert_close(unet(other[1:], 480, text[1:]).sample, near[1:], **PASS)
        recalled.remove()
        exact = unet(other, 480, text).sample
    assert 0 < (near - exact).norm() < (whole - exact).norm()
    assert not any("forward" in module.__dict__ for module in unet.modules())
