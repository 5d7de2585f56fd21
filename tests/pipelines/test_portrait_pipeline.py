"""The portrait pipeline on tiny random models."""

from __future__ import annotations

import json
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler
from torch import Tensor, nn

from mien.diffusion import Guidance
from mien.errors import BadInput, ConfigError, MissingAsset
from mien.models import StudioAutoencoder
from mien.pipelines import PortraitPipeline
from tests.tiny import tiny_branch, tiny_condition, tiny_pipeline, tiny_scheduler, tiny_unet
from tests.tolerance import SAMPLED

NAMES = ("identity", "landmarks", "expression", "emotion")


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return tiny_pipeline()


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw(pipeline: Any, *seeds: int, **options: Any) -> Tensor:
    """Latents of a short run, one picture a seed."""
    settings = {"num_inference_steps": 3, "output_type": "latent", **options}
    return pipeline(generator=generators(*seeds), **settings).images


def conditions(names: Any, count: int = 2) -> dict[str, Tensor]:
    return {name: tiny_condition(name, count) for name in names}


@pytest.mark.parametrize("mode", ["prompt", "branch"])
@pytest.mark.parametrize("names", list(chain.from_iterable(combinations(NAMES, r) for r in range(1, 5))), ids="+".join)
def test_any_subset_of_conditions(pipeline: Any, names: tuple[str, ...], mode: str) -> None:
    found = draw(pipeline, 0, 1, **conditions(names), identity_mode=mode, num_inference_steps=2)
    assert found.shape == (2, 4, 8, 8)
    assert torch.isfinite(found).all()
    fewer = draw(pipeline, 0, 1, prompt=["", ""], num_inference_steps=2)
    assert all(not torch.equal(found[row], fewer[row]) for row in range(2))


def test_output_types(pipeline: Any) -> None:
    kwargs: dict[str, Any] = {"prompt": "portrait of a person", "num_inference_steps": 2}
    images = pipeline(**kwargs, generator=generators(0)).images
    assert [image.size for image in images] == [(16, 16)]
    assert images[0].mode == "RGB"
    array = pipeline(**kwargs, generator=generators(0), output_type="np").images
    tensor = pipeline(**kwargs, generator=generators(0), output_type="pt", return_dict=False)[0]
    assert array.shape == (1, 16, 16, 3)
    assert tensor.shape == (1, 3, 16, 16)
    np.testing.assert_array_equal(np.asarray(images[0]), (array[0] * 255).round().astype(np.uint8))
    np.testing.assert_array_equal(array[0], tensor[0].permute(1, 2, 0).numpy())


def test_a_pictures_noise_is_its_own_generators(pipeline: Any) -> None:
    kwargs = conditions(("landmarks", "identity"), 3)
    first = draw(pipeline, 1, 2, 3, **kwargs)
    second = draw(pipeline, 7, 2, 9, **kwargs)
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first, draw(pipeline, 1, 2, 3, **kwargs))
    alone = draw(pipeline, 2, **{name: value[1:2] for name, value in kwargs.items()})
    torch.testing.assert_close(first[1:2], alone, **SAMPLED)


def test_a_picture_does_not_depend_on_its_neighbours_conditions(pipeline: Any) -> None:
    kwargs = conditions(NAMES, 2)
    first = draw(pipeline, 1, 2, **kwargs)
    changed = {name: torch.cat([-value[:1], value[1:]]) for name, value in kwargs.items()}
    second = draw(pipeline, 1, 2, **changed)
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])


def test_noise_in_the_step_comes_from_the_pictures_generator() -> None:
    noisy = tiny_pipeline((), scheduler=DDPMScheduler.from_config(tiny_scheduler().config))
    first, second = (draw(noisy, *seeds, prompt="red hair", num_images_per_prompt=2) for seeds in ((1, 2), (5, 2)))
    assert torch.equal(first[1], second[1])


def test_one_generator_and_several_pictures(pipeline: Any) -> None:
    kwargs: dict[str, Any] = {
        "prompt": "red hair",
        "num_images_per_prompt": 2,
        "num_inference_steps": 2,
        "output_type": "latent",
    }
    runs = [pipeline(**kwargs, generator=torch.Generator().manual_seed(3)).images for _ in range(2)]
    assert torch.equal(*runs)
    assert not torch.equal(runs[0][0], runs[0][1])
    with pytest.raises(BadInput, match="3 generators were given for 2 pictures"):
        pipeline(**kwargs, generator=generators(0, 1, 2))


def manual(pipeline: Any, seed: int, condition: Tensor, weights: tuple[float, float], steps: int) -> Tensor:
    """Eq. 6 with text and landmarks, written out: one UNet call for each evaluation of each step."""
    from mien.adapters import Injection
    from mien.models.text import encode_prompt

    branch = pipeline.adapters["landmarks"]
    states = {text: encode_prompt(pipeline.tokenizer, pipeline.text_encoder, [text]) for text in ("", "red hair")}
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(steps)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad(), Injection(pipeline.unet, [branch]) as injection:
        kwargs = injection.condition({"landmarks": branch.encode(condition)})
        for time in scheduler.timesteps:
            e0, text = (pipeline.unet(latents, time, states[prompt]).sample for prompt in ("", "red hair"))
            both = pipeline.unet(latents, time, states["red hair"], cross_attention_kwargs=kwargs).sample
            guided = e0 + weights[0] * (text - e0) + weights[1] * (both - text)
            latents = scheduler.step(guided, time, latents).prev_sample
    return latents


def test_sampling_equals_the_formula_written_out(pipeline: Any) -> None:
    condition = tiny_condition("landmarks", 1)
    found = draw(pipeline, 4, prompt="red hair", landmarks=condition, guidance={"text": 3.0, "landmarks": 1.5})
    torch.testing.assert_close(found, manual(pipeline, 4, condition, (3.0, 1.5), 3), **SAMPLED)


class CountingUNet:
    """Counts calls and rows of a UNet, and the calls of a branch's projections."""

    def __init__(self, pipeline: Any) -> None:
        self.rows: list[int] = []
        self.projected = 0
        self._handles = [pipeline.unet.register_forward_pre_hook(self._unet)]
        pair = next(iter(pipeline.adapters["landmarks"].projections().values()))
        self._handles.append(pair.to_k.register_forward_pre_hook(self._projection))

    def _unet(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.rows.append(len(inputs[0]))

    def _projection(self, *_: Any) -> None:
        self.projected += 1

    def __enter__(self) -> CountingUNet:
        return self

    def __exit__(self, *_: Any) -> None:
        for handle in self._handles:
            handle.remove()


def test_one_unet_call_a_step_and_one_projection_a_picture(pipeline: Any) -> None:
    kwargs = conditions(("identity", "landmarks", "emotion"))
    with CountingUNet(pipeline) as counted:
        draw(pipeline, 0, 1, **kwargs, num_inference_steps=4)
    assert counted.rows == [2 * 4] * 4  # e(0), e(id), e(id, lmk), e(id, emo)
    assert counted.projected == 1
    with CountingUNet(pipeline) as counted:
        draw(pipeline, 0, 1, **kwargs, guidance={"emotion": 0.0, "identity": 1.0}, scales={"landmarks": 0.0})
    assert counted.rows == [2] * 3  # only e(id) is left
    assert counted.projected == 0


def test_scales(pipeline: Any) -> None:
    identity, landmarks = tiny_condition("identity", 2), tiny_condition("landmarks", 2)
    without = draw(pipeline, 0, 1, identity=identity)
    zero = draw(pipeline, 0, 1, identity=identity, landmarks=landmarks, scales={"landmarks": 0.0})
    assert torch.equal(zero, without)
    rows = draw(pipeline, 0, 1, identity=identity, landmarks=landmarks, scales={"landmarks": [0.0, 0.7]})
    both = draw(pipeline, 0, 1, identity=identity, landmarks=landmarks, scales={"landmarks": 0.7})
    torch.testing.assert_close(rows[0], without[0], **SAMPLED)
    torch.testing.assert_close(rows[1], both[1], **SAMPLED)
    with pytest.raises(BadInput, match="scales names 'pose'"):
        draw(pipeline, 0, prompt="", scales={"pose": 1.0})


def test_steps_masks_and_a_guidance_of_ones_own(pipeline: Any) -> None:
    kwargs = {"prompt": "red hair", "landmarks": tiny_condition("landmarks", 1)}
    full = draw(pipeline, 0, **kwargs)
    half = draw(pipeline, 0, **kwargs, steps={"landmarks": (0.0, 0.4)})
    masked = draw(pipeline, 0, **kwargs, masks={"landmarks": torch.zeros(16, 16)})
    own = draw(pipeline, 0, **kwargs, guidance=Guidance((), start=frozenset({"text", "landmarks"})))
    plain = draw(pipeline, 0, prompt="red hair")
    torch.testing.assert_close(masked, plain, **SAMPLED)
    assert len({found.sum().item() for found in (full, half, plain, own)}) == 4


def test_a_scale_of_each_row_is_that_of_its_pictures(pipeline: Any) -> None:
    kwargs: dict[str, Any] = {**conditions(("landmarks",)), "num_images_per_prompt": 2}
    rows = draw(pipeline, 0, 1, 2, 3, **kwargs, scales={"landmarks": [1.0, 0.5]})
    assert torch.equal(draw(pipeline, 0, 1, 2, 3, **kwargs, scales={"landmarks": [1.0, 1.0, 0.5, 0.5]}), rows)
    assert not torch.equal(draw(pipeline, 0, 1, 2, 3, **kwargs), rows)
    with pytest.raises(BadInput, match="3 scales do not fit 4 pictures"):
        draw(pipeline, 0, 1, 2, 3, **kwargs, scales={"landmarks": [1.0, 1.0, 0.5]})


def test_equation_6_as_written_knows_the_face_that_stands_in_the_prompt(pipeline: Any) -> None:
    kwargs = conditions(("identity", "landmarks"))
    weights = {"identity": 2.5, "landmarks": 2.0}
    written = Guidance.around(weights, [["identity"]])
    found = draw(pipeline, 0, 0, **kwargs, guidance=written)
    assert torch.equal(found, draw(pipeline, 0, 0, **kwargs, guidance=weights))
    others = {**kwargs, "identity": kwargs["identity"].flip(0)}
    assert not torch.equal(found, draw(pipeline, 0, 0, **others, guidance=written))
    together = Guidance.around({"text": 2.5, "landmarks": 2.0}, [["text", "identity"]])
    assert torch.equal(found, draw(pipeline, 0, 0, **kwargs, guidance=together))
    by_branch = draw(pipeline, 0, 0, **kwargs, guidance=written, identity_mode="branch")
    assert not torch.equal(found, by_branch)


@pytest.mark.parametrize(
    "asked",
    [
        {"scales": {"identity": 0.5}},
        {"scales": {"identity": [1.0, 0.5]}},
        {"masks": {"identity": torch.ones(16, 16)}},
        {"steps": {"identity": (0.0, 0.5)}},
    ],
)
def test_what_a_face_in_the_prompt_cannot_have_is_refused(pipeline: Any, asked: dict[str, Any]) -> None:
    kwargs = conditions(("identity",))
    with pytest.raises(BadInput, match="guidance of identity"):
        draw(pipeline, 0, 1, **kwargs, **asked)
    draw(pipeline, 0, 1, **kwargs, **asked, identity_mode="branch", num_inference_steps=1)
    draw(pipeline, 0, 1, **kwargs, scales={"identity": 1.0}, num_inference_steps=1)


def test_the_unet_is_as_before_even_after_an_error(pipeline: Any) -> None:
    processors = dict(pipeline.unet.attn_processors)

    def stop(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(pipeline, 0, **conditions(("landmarks",), 1), callback_on_step_end=stop)
    assert all(pipeline.unet.attn_processors[key] is value for key, value in processors.items())


def test_callback(pipeline: Any) -> None:
    seen = []

    def told(found: Any, step: int, time: Any, values: dict[str, Any]) -> dict[str, Any]:
        seen.append((found is pipeline, step, int(time)))
        return {"latents": torch.zeros_like(values["latents"])} if step == 2 else {}

    found = draw(pipeline, 0, prompt="red hair", callback_on_step_end=told)
    assert [step for _, step, _ in seen] == [0, 1, 2]
    assert found.abs().max() == 0
    with pytest.raises(BadInput, match="latents only"):
        draw(pipeline, 0, prompt="", callback_on_step_end_tensor_inputs=["prompt_embeds"])


def test_sizes_and_given_latents(pipeline: Any) -> None:
    wide = pipeline(prompt="red hair", height=16, width=24, num_inference_steps=2, generator=generators(0)).images
    assert wide[0].size == (24, 16)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(6))
    assert torch.equal(draw(pipeline, 0, prompt="red hair", latents=noise), draw(pipeline, 6, prompt="red hair"))
    with pytest.raises(BadInput, match="multiples of 2"):
        draw(pipeline, 0, prompt="", height=15)
    with pytest.raises(BadInput, match="latents must have"):
        draw(pipeline, 0, prompt="", latents=noise[:, :2])


def test_other_schedulers_and_the_studio_autoencoder() -> None:
    torch.manual_seed(0)
    vae = StudioAutoencoder(latent_channels=4, block_out_channels=(8, 8, 8)).eval()
    euler = EulerDiscreteScheduler.from_config(tiny_scheduler().config)
    found = tiny_pipeline(vae=vae, scheduler=euler)(emotion=tiny_condition("emotion", 1), num_inference_steps=2)
    assert found.images[0].size == (64, 64)  # 8 pixels a latent position


def test_save_and_load(pipeline: Any, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path)
    assert sorted(path.name for path in (tmp_path / "adapters").iterdir()) == sorted(f"{n}.safetensors" for n in NAMES)
    assert json.loads((tmp_path / "model_index.json").read_text())["tokenizer"][1] == "PreTrainedTokenizerFast"
    again = PortraitPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert again.folder == tmp_path
    assert {name: branch.null for name, branch in again.adapters.items()} == {
        name: branch.null for name, branch in pipeline.adapters.items()
    }
    kwargs = conditions(NAMES)
    assert torch.equal(draw(pipeline, 0, 1, **kwargs), draw(again, 0, 1, **kwargs))
    half = PortraitPipeline.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert {branch.dtype for branch in half.adapters.values()} == {torch.bfloat16}
    assert torch.isfinite(draw(half, 0, 1, **kwargs)).all()
    bare = PortraitPipeline.from_pretrained(tmp_path, adapters={})
    assert bare.adapters == {}
    (tmp_path / "adapters" / "landmarks.safetensors").write_bytes(b"{}")
    with pytest.raises(ConfigError, match=r"landmarks\.safetensors"):
        PortraitPipeline.from_pretrained(tmp_path)


def test_a_base_brings_its_own_guidance(pipeline: Any, tmp_path: Path) -> None:
    identity = conditions(("identity", "landmarks"))
    own = tiny_pipeline(guidance={"identity": 4.0, "landmarks": 1.0})
    assert not torch.equal(draw(own, 0, 1, **identity), draw(pipeline, 0, 1, **identity))
    told = {"guidance": {"identity": 4.0, "landmarks": 1.0}}
    assert torch.equal(draw(own, 0, 1, **identity), draw(pipeline, 0, 1, **identity, **told))
    told = {"guidance": {"identity": 2.5, "landmarks": 2.0}}
    assert torch.equal(draw(own, 0, 1, **identity, **told), draw(pipeline, 0, 1, **identity))
    # a caller's word on the text goes before the base's on the identity that stands in it
    told = {"prompt": ["red hair", "a hat"], "guidance": {"text": 1.0, "landmarks": 2.0}}
    assert torch.equal(draw(own, 0, 1, **identity, **told), draw(pipeline, 0, 1, **identity, **told))
    own.save_pretrained(tmp_path)
    again = PortraitPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert torch.equal(draw(again, 0, 1, **identity), draw(own, 0, 1, **identity))
    with pytest.raises(BadInput, match="identty"):
        tiny_pipeline(guidance={"identty": 4.0})


def test_a_base_may_turn_a_branch_off_until_it_is_asked_for(pipeline: Any) -> None:
    kwargs = conditions(("identity", "expression"))
    quiet = tiny_pipeline(scales={"expression": 0.0})
    assert torch.equal(draw(quiet, 0, 1, **kwargs), draw(pipeline, 0, 1, identity=kwargs["identity"]))
    asked = draw(quiet, 0, 1, **kwargs, scales={"expression": 1.0})
    assert torch.equal(asked, draw(pipeline, 0, 1, **kwargs))


def test_to_moves_the_adapters() -> None:
    pipeline = tiny_pipeline(("emotion",)).to(torch.float64)
    assert pipeline.adapters["emotion"].dtype == torch.float64


def test_missing_weights_and_adapters(pipeline: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mien.assets._HERE", tmp_path)
    with pytest.raises(MissingAsset, match="studio"):
        PortraitPipeline.from_pretrained("studio")
    bare = tiny_pipeline(())
    with pytest.raises(BadInput, match="no adapter for landmarks"):
        draw(bare, 0, landmarks=tiny_condition("landmarks", 1))
    with pytest.raises(BadInput, match="no expression encoder"):
        draw(pipeline, 0, expression=torch.zeros(1, 3, 8, 8))


def test_which_adapter_takes_a_condition() -> None:
    unet = tiny_unet()
    branch, other = tiny_branch(unet, "expression", seed=1), tiny_branch(unet, "expression", seed=2)
    condition = tiny_condition("expression", 1)
    one = draw(tiny_pipeline(unet=unet, adapters={"only": branch}), 0, expression=condition)
    named = tiny_pipeline(unet=unet, adapters={"image_prompt": other, "expression": branch})
    assert torch.equal(draw(named, 0, expression=condition), one)
    unclear = tiny_pipeline(unet=unet, adapters={"a": other, "b": branch})
    with pytest.raises(BadInput, match="Several adapters take expression"):
        draw(unclear, 0, expression=condition)


class TinyExpressionEncoder(nn.Module):
    """Crops [B, 3, H, W] -> tokens [B, 5, 20]."""

    config: Any = {"image_size": 8}  # noqa: RUF012
    dtype = torch.float32
    device = torch.device("cpu")

    def forward(self, crop: Tensor) -> Tensor:
        assert crop.shape[-2:] == (8, 8)
        return crop.mean((1, 2, 3))[:, None, None].expand(-1, 5, 20)


def test_crops_go_through_the_expression_encoder(pipeline: Any) -> None:
    crop = torch.rand(1, 3, 16, 16)
    encoder = TinyExpressionEncoder()
    pipeline.expression_encoder = encoder
    try:
        found = draw(pipeline, 0, expression=crop)
    finally:
        pipeline.expression_encoder = None
    small = torch.nn.functional.interpolate(crop, size=(8, 8), mode="bilinear", antialias=True)
    assert torch.equal(found, draw(pipeline, 0, expression=encoder(small)))


def test_the_null_prompt_is_kept() -> None:
    pipeline = tiny_pipeline(())
    kept = pipeline.encode_null().clone()
    with torch.no_grad():
        pipeline.text_encoder.get_input_embeddings().weight.mul_(2)
    assert torch.equal(pipeline.encode_null(), kept)
    assert not torch.equal(pipeline.encode_null("glasses"), kept)


def test_the_embedded_model_loads_in_a_fresh_process() -> None:
    """Nothing but the pipeline is imported: its parts' modules must come with it."""
    import subprocess
    import sys

    code = "from mien.pipelines import PortraitPipeline as P; print(sorted(P.from_pretrained('studio').adapters))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "landmarks" in done.stdout
