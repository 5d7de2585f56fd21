"""Keys and values of the base's text, computed once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mien.adapters import Injection
from mien.adapters.base_keys import base_keys
from mien.errors import BadInput
from tests.tiny import TEXT_DIM, tiny_branch, tiny_condition, tiny_unet
from tests.tolerance import PASS

ROWS = torch.tensor([0, 1, 1])


@pytest.fixture(scope="module")
def unet() -> Any:
    return tiny_unet()


def plan_of(injection: Injection, branch: Any, text: Any) -> Any:
    tokens = {"emotion": branch.encode(tiny_condition("emotion", 1))}
    sets = [set(), set(), {"emotion"}]
    plan = injection.condition(tokens, evaluations=sets)["mien"]
    return plan._replace(text=text, batch=3)


@pytest.mark.parametrize("attention", ["explicit", "sdpa"])
def test_the_output_is_that_of_a_unet_that_computes_them(unet: Any, attention: Any) -> None:
    branch = tiny_branch(unet)
    x, texts = torch.randn(3, 4, 8, 8), torch.randn(2, 5, TEXT_DIM)
    with torch.no_grad(), Injection(unet, {"emotion": branch}, attention=attention) as injection:
        keys = base_keys(unet, texts, ROWS)
        kept, plain = (plan_of(injection, branch, text) for text in (keys, None))
        found, expected = (
            unet(x, 500, texts[ROWS], cross_attention_kwargs={"mien": plan}).sample for plan in (kept, plain)
        )
        torch.testing.assert_close(found, expected, **PASS)
        nonsense = torch.zeros_like(texts[ROWS])  # the states themselves are not read any more
        assert torch.equal(unet(x, 500, nonsense, cross_attention_kwargs={"mien": kept}).sample, found)
        for span in (slice(0, 1), slice(1, 3), slice(2, 3)):
            part = unet(x[span], 500, nonsense[span], cross_attention_kwargs={"mien": kept.part(span)}).sample
            torch.testing.assert_close(part, found[span], **PASS)
        with pytest.raises(BadInput, match="2 rows, but its branches hold 3"):
            unet(x[:2], 500, texts, cross_attention_kwargs={"mien": kept})


def test_parts_of_a_plan_with_masks_and_static_shapes(unet: Any) -> None:
    branch = tiny_branch(unet)
    x, text = torch.randn(4, 4, 8, 8), torch.randn(4, 5, TEXT_DIM)
    tokens = {"emotion": branch.encode(tiny_condition("emotion", 2))}
    masks = {"emotion": (torch.rand(2, 16, 16) > 0.5).float()}
    for static in (False, True):
        with torch.no_grad(), Injection(unet, {"emotion": branch}, static_shapes=static) as injection:
            sets = [{"emotion"}, set()]
            plan = injection.condition(tokens, {"emotion": [0.5, 1.0]}, masks=masks, evaluations=sets)["mien"]
            whole = unet(x, 500, text, cross_attention_kwargs={"mien": plan}).sample
            for span in (slice(1, 3), slice(2, 4), slice(0, 2)):
                part = unet(x[span], 500, text[span], cross_attention_kwargs={"mien": plan.part(span)}).sample
                torch.testing.assert_close(part, whole[span], **PASS)


def test_a_part_keeps_only_the_texts_it_reads(unet: Any) -> None:
    keys = base_keys(unet, torch.randn(2, 5, TEXT_DIM), ROWS)
    assert keys is not None
    part = keys.part(slice(1, 3))
    block = next(iter(part.keys))
    assert part.keys[block].shape[0] == 1 and part.of(block)[0].shape[0] == 2
    assert keys.part(slice(0, 2)).rows is None


def test_a_unet_that_lies_elsewhere_does_it_itself() -> None:
    with torch.device("meta"):
        elsewhere = tiny_unet()
    assert base_keys(elsewhere, torch.randn(1, 5, TEXT_DIM)) is None
    projecting = tiny_unet(encoder_hid_dim=24, encoder_hid_dim_type="text_proj")
    assert base_keys(projecting, torch.randn(1, 5, 24)) is None
