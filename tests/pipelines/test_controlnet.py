"""A ControlNet in the place of the landmarks branch, in one batch with everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.adapters import Branch
from mien.errors import BadInput
from mien.models.controlnet import build_controlnet
from mien.pipelines import PortraitPipeline
from mien.pipelines.controlnet import controlled_rows
from tests.tiny import tiny_branch, tiny_condition, tiny_pipeline
from tests.tolerance import PASS


def pipeline_with_controlnet(taught: bool = True) -> Any:
    """Without a landmarks branch; ``taught`` makes its last layers, which start as zero, do something."""
    pipeline = tiny_pipeline()
    torch.manual_seed(5)
    controlnet = build_controlnet(pipeline.unet, factor=4).eval()
    if taught:
        for name, parameter in controlnet.named_parameters():
            if "controlnet_" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    pipeline.register_modules(controlnet=controlnet)
    pipeline.adapters.pop("landmarks")
    return pipeline


def draw(pipeline: Any, **options: Any) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    settings = {"num_inference_steps": 2, "output_type": "latent", "generator": generators, **options}
    return pipeline(**settings).images


def given(*names: str) -> dict[str, Tensor]:
    return {name: tiny_condition(name, 2) for name in names}


def test_a_new_controlnet_changes_nothing() -> None:
    pipeline = pipeline_with_controlnet(taught=False)
    with_it = draw(pipeline, **given("identity", "landmarks"))
    torch.testing.assert_close(with_it, draw(pipeline, **given("identity")), **PASS)


def test_each_picture_has_its_own_residuals_beside_a_branch() -> None:
    pipeline = pipeline_with_controlnet()
    conditions = given("identity", "landmarks", "emotion")
    both = draw(pipeline, **conditions)
    other = conditions["landmarks"].clone()
    other[1] = -other[1]
    changed = draw(pipeline, **conditions | {"landmarks": other})
    torch.testing.assert_close(both[0], changed[0], **PASS)
    assert (both[1] - changed[1]).abs().max() > 1e-3


def test_the_batched_call_is_the_four_calls_of_equation_6() -> None:
    pipeline = pipeline_with_controlnet()
    conditions = given("identity", "landmarks", "emotion")
    seen = []
    unet = pipeline.unet.forward

    def spy(sample: Tensor, timestep: Tensor, text: Tensor, **more: Any) -> Any:
        seen.append((sample, timestep, text, more))
        return unet(sample, timestep, text, **more)

    pipeline.unet.forward = spy
    draw(pipeline, **conditions, num_inference_steps=1)
    sample, timestep, text, more = seen[0]
    residuals = more["down_block_additional_residuals"]
    acting = torch.stack([part.abs().flatten(1).amax(1) for part in residuals]).amax(0) > 0
    assert acting.reshape(4, 2).all(1).sum() == 1 and acting.sum() == 2  # one of four evaluations, both pictures
    row = int(acting.nonzero()[0])
    alone, _ = pipeline.controlnet(
        sample[row : row + 1], timestep, text[row : row + 1],
        controlnet_cond=(conditions["landmarks"][:1] + 1) / 2, return_dict=False,
    )  # fmt: skip
    torch.testing.assert_close(residuals[0][row : row + 1], alone[0], **PASS)


def test_scale_zero_leaves_it_out_and_half_is_half() -> None:
    pipeline = pipeline_with_controlnet()
    without = draw(pipeline, **given("identity"))
    assert torch.equal(draw(pipeline, **given("identity", "landmarks"), scales={"landmarks": 0.0}), without)
    model = pipeline.controlnet
    picture, evaluations = given("landmarks")["landmarks"], [frozenset({"landmarks"})]
    rows = [controlled_rows(model, "landmarks", picture, torch.tensor(scale), evaluations) for scale in (1.0, 0.5)]
    arguments = torch.randn(2, 4, 8, 8), torch.tensor(10), torch.randn(2, 7, 32)
    with torch.no_grad():
        whole, half = (one(*arguments)["mid_block_additional_residual"] for one in rows if one is not None)
    torch.testing.assert_close(whole / 2, half)


def test_regions_and_spans_are_refused() -> None:
    pipeline = pipeline_with_controlnet()
    with pytest.raises(BadInput, match="masks and steps need a landmarks branch"):
        draw(pipeline, **given("landmarks"), steps={"landmarks": (0.0, 0.5)})


def test_it_takes_the_place_of_a_branch_and_is_saved(tmp_path: Path) -> None:
    pipeline = pipeline_with_controlnet()
    before = draw(pipeline, **given("landmarks"))
    pipeline.save_pretrained(tmp_path)
    again = PortraitPipeline.from_pretrained(tmp_path)
    torch.testing.assert_close(draw(again, **given("landmarks")), before, **PASS)
    again.adapters["landmarks"] = tiny_branch(again.unet, "landmarks")
    torch.testing.assert_close(draw(again, **given("landmarks")), before, **PASS)


def test_a_controlnet_is_read_by_the_tokens_of_a_branch() -> None:
    pipeline = pipeline_with_controlnet()
    expression = pipeline.adapters["expression"].encoder
    width, feature_dim = pipeline.unet.config["cross_attention_dim"], expression.proj.in_features
    settings = {"feature_dim": feature_dim, "tokens": 0, "pooled": False}
    told = Branch.for_unet(pipeline.unet, "expression", width, site="controlnet", encoder=settings)
    pipeline.adapters["expression"] = told
    features = torch.randn(2, 5, feature_dim, generator=torch.Generator().manual_seed(0))
    other = features.clone()
    other[1] = -other[1]
    one, two = (draw(pipeline, identity=tiny_condition("identity", 2), expression=f) for f in (features, other))
    torch.testing.assert_close(one[0], two[0], **PASS)
    assert (one[1] - two[1]).abs().max() > 1e-4
    without = draw(pipeline, identity=tiny_condition("identity", 2))
    off = draw(pipeline, identity=tiny_condition("identity", 2), expression=features, scales={"expression": 0.0})
    assert torch.equal(without, off)
    with pytest.raises(BadInput, match="expression branch"):
        draw(pipeline, expression=features, steps={"expression": (0.0, 0.5)})
