"""The portrait pipeline on a tiny random model of SDXL's shape, held against diffusers' own pipelines."""

from __future__ import annotations

import json
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from mien.errors import BadInput
from mien.pipelines import PortraitXLPipeline
from mien.pipelines.autoencoders import decode_latents, without_overflow
from tests.tiny import tiny_condition, tiny_pipeline, tiny_xl_pipeline
from tests.tolerance import SAMPLED

NAMES = ("identity", "landmarks", "expression", "emotion")


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return tiny_xl_pipeline()


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw(pipeline: Any, *seeds: int, **options: Any) -> Tensor:
    settings = {"num_inference_steps": 3, "output_type": "latent", **options}
    return pipeline(generator=generators(*seeds), **settings).images


def conditions(names: Any, count: int = 2) -> dict[str, Tensor]:
    return {name: tiny_condition(name, count) for name in names}


def stock(pipeline: Any, **options: Any) -> Any:
    """diffusers' pipeline of the same parts."""
    own = {name: getattr(pipeline, name) for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")}
    if isinstance(pipeline, PortraitXLPipeline):
        pair = {"text_encoder_2": pipeline.text_encoder_2, "tokenizer_2": pipeline.tokenizer_2}
        found: Any = StableDiffusionXLPipeline(**own, **pair, add_watermarker=False, **options)
    else:
        without: Any = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        found = StableDiffusionPipeline(**own, **without)
    found.set_progress_bar_config(disable=True)
    return found


@pytest.mark.parametrize("make", [tiny_pipeline, tiny_xl_pipeline])
def test_without_branches_it_is_diffusers_own(make: Any) -> None:
    pipeline = make(())
    own = stock(pipeline)
    prompts = ["a person with red hair", "round glasses"]
    settings: dict[str, Any] = {"num_inference_steps": 3, "prompt": prompts}
    theirs = own(**settings, generator=generators(3, 4), guidance_scale=1.0, output_type="np").images
    ours = pipeline(**settings, generator=generators(3, 4), guidance={"text": 1.0}, output_type="np").images
    assert (ours == theirs).all(), "bit-equal where no sum is taken"
    told: dict[str, Any] = {"guidance": {"text": 4.0}, "negative_prompt": "teal background"}
    ours = draw(pipeline, 3, 4, prompt=prompts, **told)
    told = {"guidance_scale": 4.0, "negative_prompt": ["teal background"] * 2, "output_type": "latent"}
    theirs = own(**settings, generator=generators(3, 4), **told).images
    torch.testing.assert_close(ours, theirs, **SAMPLED)


@pytest.mark.parametrize(
    ("make", "options"), [(tiny_pipeline, {"negative_prompt": "teal background"}), (tiny_xl_pipeline, {})]
)
def test_a_picture_without_words_is_the_same_beside_one_with_words(make: Any, options: dict[str, Any]) -> None:
    pipeline = make()
    both = draw(pipeline, 1, 2, prompt=["red hair", ""], **options)
    alone = draw(pipeline, 2, prompt=[""], **options)
    torch.testing.assert_close(both[1:], alone, **SAMPLED)
    assert (both[1:] - draw(pipeline, 2, prompt=["red hair"], **options)).abs().max() > 1e-2
    emotion = tiny_condition("emotion", 2)
    both = draw(pipeline, 1, 2, prompt=["red hair", ""], emotion=emotion, **options)
    alone = draw(pipeline, 2, prompt=[""], emotion=emotion[1:], **options)
    torch.testing.assert_close(both[1:], alone, **SAMPLED)


def test_no_prompt_is_zeros_where_the_base_says_so() -> None:
    said = {"prompt": ["a person with red hair"], "num_inference_steps": 3}
    pictures = []
    for zeros in (True, False):
        pipeline = tiny_xl_pipeline((), force_zeros_for_empty_prompt=zeros)
        own = stock(pipeline, force_zeros_for_empty_prompt=zeros)
        theirs = own(**said, generator=generators(1), guidance_scale=4.0, output_type="latent").images
        pictures.append(draw(pipeline, 1, prompt=said["prompt"], guidance={"text": 4.0}))
        torch.testing.assert_close(pictures[-1], theirs, **SAMPLED)
        assert (pipeline.encode_null().abs().amax() == 0) == zeros
    assert (pictures[0] - pictures[1]).abs().amax() > 1e-3


def test_sizes_are_told_to_the_base(pipeline: Any) -> None:
    told: dict[str, Any] = {"original_size": (512, 384), "crops_coords_top_left": (5, 7), "target_size": (1024, 768)}
    settings: dict[str, Any] = {"num_inference_steps": 2, "prompt": ["red hair"]}
    theirs = stock(pipeline)(**settings, **told, generator=generators(1), guidance_scale=1.0, output_type="latent")
    ours = draw(pipeline, 1, num_inference_steps=2, prompt=["red hair"], guidance={"text": 1.0}, **told)
    assert torch.equal(ours, theirs.images)
    plain = draw(pipeline, 1, num_inference_steps=2, prompt=["red hair"], guidance={"text": 1.0})
    assert not torch.equal(ours, plain)
    wide = pipeline(prompt="red hair", height=16, width=24, num_inference_steps=2, generator=generators(0)).images
    assert wide[0].size == (24, 16)
    with pytest.raises(BadInput, match="takes no original_sise"):
        draw(pipeline, 0, prompt="", original_sise=(512, 512))
    with pytest.raises(BadInput, match="takes no original_size"):
        draw(tiny_pipeline(()), 0, prompt="", original_size=(512, 512))


@pytest.mark.parametrize("mode", ["prompt", "branch"])
@pytest.mark.parametrize("names", list(chain.from_iterable(combinations(NAMES, r) for r in range(1, 5))), ids="+".join)
def test_any_subset_of_conditions(pipeline: Any, names: tuple[str, ...], mode: str) -> None:
    found = draw(pipeline, 0, 1, **conditions(names), identity_mode=mode, num_inference_steps=2)
    assert found.shape == (2, 4, 8, 8)
    assert torch.isfinite(found).all()
    fewer = draw(pipeline, 0, 1, prompt=["", ""], num_inference_steps=2)
    assert all(not torch.equal(found[row], fewer[row]) for row in range(2))


def test_identity_enters_by_the_branch_unless_told_otherwise(pipeline: Any) -> None:
    identity = conditions(("identity",))
    assert torch.equal(draw(pipeline, 0, 1, **identity), draw(pipeline, 0, 1, **identity, identity_mode="branch"))
    assert not torch.equal(draw(pipeline, 0, 1, **identity), draw(pipeline, 0, 1, **identity, identity_mode="prompt"))


def test_a_batch_is_its_pictures(pipeline: Any) -> None:
    kwargs = conditions(NAMES, 3)
    options: dict[str, Any] = {
        "scales": {"landmarks": 0.8},
        "guidance": {"emotion": 1.5},
        "steps": {"emotion": (0.0, 0.6)},
        "masks": {"expression": torch.ones(16, 16).tril()},
    }
    together = draw(pipeline, 1, 2, 3, **kwargs, prompt=["red hair", "round glasses", "teal"], **options)
    alone = draw(pipeline, 2, **{name: value[1:2] for name, value in kwargs.items()}, prompt="round glasses", **options)
    torch.testing.assert_close(together[1:2], alone, **SAMPLED)
    other = {name: torch.cat([-value[:1], value[1:]]) for name, value in kwargs.items()}
    changed = draw(pipeline, 1, 2, 3, **other, prompt=["red hair", "round glasses", "teal"], **options)
    assert torch.equal(together[1:], changed[1:])
    assert not torch.equal(together[0], changed[0])


def test_guidance_is_equation_6_written_out(pipeline: Any) -> None:
    from mien.adapters import Injection

    branch, condition = pipeline.adapters["landmarks"], tiny_condition("landmarks", 1)
    text, zeros, pooled, none = stock(pipeline).encode_prompt("red hair")
    sizes = torch.tensor([[16.0, 16, 0, 0, 16, 16]])
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(3)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4)) * scheduler.init_noise_sigma
    with torch.no_grad(), Injection(pipeline.unet, [branch]) as injection:
        kwargs = injection.condition({"landmarks": branch.encode(condition)})
        for time in scheduler.timesteps:
            noisy = scheduler.scale_model_input(latents, time)
            said, nothing = ({"text_embeds": part, "time_ids": sizes} for part in (pooled, none))
            e0 = pipeline.unet(noisy, time, zeros, added_cond_kwargs=nothing).sample
            e1 = pipeline.unet(noisy, time, text, added_cond_kwargs=said).sample
            both = pipeline.unet(noisy, time, text, added_cond_kwargs=said, cross_attention_kwargs=kwargs).sample
            guided = e0 + 3.0 * (e1 - e0) + 1.5 * (both - e1)
            latents = scheduler.step(guided, time, latents).prev_sample
    found = draw(pipeline, 4, prompt="red hair", landmarks=condition, guidance={"text": 3.0, "landmarks": 1.5})
    torch.testing.assert_close(found, latents, **SAMPLED)


def test_redrawing_a_region_and_callbacks(pipeline: Any) -> None:
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    region = torch.zeros(1, 16, 16)
    region[:, :8] = 1.0
    steps = []

    def told(_: Any, step: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
        steps.append(step)
        return values

    settings: dict[str, Any] = {"num_inference_steps": 4, "callback_on_step_end": told}
    options = conditions(("identity", "expression"), 1)
    found = draw(pipeline, 0, image=picture, region=region, strength=0.5, **options, **settings)
    own = pipeline.vae.encode(picture).latent_dist.mode() * pipeline.vae.config.scaling_factor
    assert torch.equal(found[:, :, 4:], own[:, :, 4:])
    assert not torch.equal(found[:, :, :4], own[:, :, :4])
    assert steps == [0, 1]


def test_a_controlnet_is_told_the_added_conditions(pipeline: Any) -> None:
    torch.manual_seed(3)
    controlnet = ControlNetModel.from_unet(pipeline.unet, conditioning_embedding_out_channels=(16, 32)).eval()
    for block in [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]:
        torch.nn.init.normal_(block.weight, std=0.5)
    guided = tiny_xl_pipeline(("identity",), unet=pipeline.unet, controlnet=controlnet)
    seen = []
    inner = controlnet.forward

    def spy(*inputs: Any, **more: Any) -> Any:
        seen.append(more["added_cond_kwargs"])
        return inner(*inputs, **more)

    controlnet.forward = spy
    picture = torch.rand(2, 3, 16, 16)
    found = draw(guided, 0, 1, prompt=["red hair", "teal"], landmarks=picture, original_size=(64, 64))
    assert {name: tuple(value.shape) for name, value in seen[0].items()} == {"text_embeds": (2, 20), "time_ids": (2, 6)}
    assert not torch.equal(found, draw(guided, 0, 1, prompt=["red hair", "teal"]))


def test_save_and_load(pipeline: Any, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["_class_name"] == "PortraitXLPipeline"
    assert index["force_zeros_for_empty_prompt"] is True
    again = PortraitXLPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    kwargs = conditions(NAMES)
    assert torch.equal(
        draw(pipeline, 0, 1, **kwargs, prompt=["a", "b"]), draw(again, 0, 1, **kwargs, prompt=["a", "b"])
    )
    half = PortraitXLPipeline.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    half.set_progress_bar_config(disable=True)
    assert torch.isfinite(draw(half, 0, 1, **kwargs)).all()


def test_the_autoencoder_works_in_float32_where_float16_overflows(pipeline: Any) -> None:
    torch.manual_seed(0)
    vae = pipeline.vae.__class__.from_config(pipeline.vae.config)
    with torch.no_grad():
        vae.decoder.conv_norm_out.weight.fill_(6e4)  # beyond float16's 65,504 after the convolution behind it
    vae = vae.half().eval()
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.isfinite(decode_latents(vae, latents)).all()
        with without_overflow(vae):
            assert torch.isfinite(decode_latents(vae, latents)).all()
    assert vae.dtype == torch.float16
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
    with torch.no_grad():  # whether an overflow ends as infinity or as no number depends on the order of the sums
        vae.decoder.conv_norm_out.weight.fill_(1.0)
    seen = []
    handle = vae.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    picture = torch.zeros(1, 3, 16, 16)
    settings: dict[str, Any] = {"num_inference_steps": 1, "generator": generators(0), "output_type": "pt"}
    tiny_xl_pipeline((), vae=vae)(prompt="red hair", image=picture, **settings)
    tiny_pipeline((), vae=vae)(prompt="red hair", **settings)
    handle.remove()
    assert seen == [torch.float32, torch.float16], "SD1.5's autoencoder needs no such care"
