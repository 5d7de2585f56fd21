"""Arguments that diffusers' users know, on tiny random models."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.callbacks import SDCFGCutoffCallback
from PIL import Image

from mien.conditions import Emotion, Identity, Pose
from mien.errors import BadInput
from mien.pipelines import PortraitPipeline, PortraitXLPipeline
from mien.pipelines.arguments import REFUSED
from tests.tiny import tiny_condition, tiny_pipeline, tiny_scheduler, tiny_xl_pipeline


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def xl_pipeline() -> Any:
    return tiny_xl_pipeline()


def draw(pipeline: Any, *seeds: int, **options: Any) -> torch.Tensor:
    generator = [torch.Generator().manual_seed(seed) for seed in seeds]
    settings = {"num_inference_steps": 2, "output_type": "latent", **options}
    return pipeline(generator=generator, **settings).images


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Within what another batch layout changes in the bits."""
    return torch.allclose(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(PortraitPipeline, StableDiffusionPipeline), (PortraitXLPipeline, StableDiffusionXLPipeline)],
)
def test_every_argument_of_diffusers_is_taken_or_refused_by_name(ours: Any, theirs: Any) -> None:
    known = set(inspect.signature(ours.__call__).parameters) | set(REFUSED)
    known |= set(inspect.signature(ours._added_conditions).parameters)  # SDXL's picture sizes
    missing = set(inspect.signature(theirs.__call__).parameters) - known
    # SDXL's second set of sizes: refused by the base's own sentence, "This base takes no ..."
    sizes = {"negative_original_size", "negative_crops_coords_top_left", "negative_target_size"}
    assert missing - {"kwargs"} <= sizes


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_has_no_counterpart_is_refused_and_none_is_nothing(pipeline: Any, name: str) -> None:
    with pytest.raises(BadInput, match=f"takes no {name}: "):
        draw(pipeline, 0, prompt="red hair", **{name: 1})
    draw(pipeline, 0, prompt="red hair", num_inference_steps=1, **{name: None})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"output_type": "jpeg"}, "no output_type 'jpeg'; choose one of: pil, np, pt, latent"),
        ({"idenity": "me.jpg"}, r"no argument idenity \(did you mean 'identity'\?\)"),
        ({"prompt": "red hair", "num_inference_step": 3}, "did you mean 'num_inference_steps'"),
        ({"prompt": "red hair", "colour": 3}, "takes no colour"),
    ],
)
def test_mistyped_arguments_are_told(pipeline: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        pipeline(**wrong)


def test_guidance_scale_is_the_text_or_each_condition(pipeline: Any) -> None:
    asked = {"prompt": "red hair", "emotion": tiny_condition("emotion", 1)}
    number, named = draw(pipeline, 0, **asked, guidance_scale=5), draw(pipeline, 0, **asked, guidance={"text": 5.0})
    assert torch.equal(number, named)
    assert torch.equal(number, draw(pipeline, 0, **asked, guidance_scale={"text": 5.0}))
    assert not same(number, draw(pipeline, 0, **asked))
    with pytest.raises(BadInput, match="another name of guidance_scale"):
        draw(pipeline, 0, **asked, guidance_scale=5, guidance={})


def test_each_row_has_its_negative_prompt(pipeline: Any) -> None:
    prompts, negatives = ["red hair", "round glasses"], ["teal background", ""]
    both = draw(pipeline, 1, 2, 3, 4, prompt=prompts, negative_prompt=negatives, num_images_per_prompt=2)
    first = draw(pipeline, 1, 2, prompt=prompts[0], negative_prompt=negatives[0], num_images_per_prompt=2)
    second = draw(pipeline, 3, 4, prompt=prompts[1], negative_prompt=None, num_images_per_prompt=2)
    assert same(both, torch.cat([first, second]))
    assert not same(first, draw(pipeline, 1, 2, prompt=prompts[0], num_images_per_prompt=2))
    with pytest.raises(BadInput, match="3 negative prompts do not fit 2"):
        draw(pipeline, 1, 2, prompt=prompts, negative_prompt=["", "", "red"])


def test_prompts_may_come_as_embeddings(pipeline: Any) -> None:
    prompts = ["red hair", "round glasses"]
    states, negative = pipeline._encode(prompts).states, pipeline.encode_null("teal background")
    asked = {"emotion": tiny_condition("emotion", 2)}
    embedded = draw(pipeline, 0, 1, prompt_embeds=states, negative_prompt_embeds=negative, **asked)
    assert same(embedded, draw(pipeline, 0, 1, prompt=prompts, negative_prompt="teal background", **asked))
    for wrong, message in (
        ({"prompt": "red hair", "prompt_embeds": states}, "not both"),
        ({"prompt_embeds": states[0]}, "must have the shape"),
        ({"prompt_embeds": states[:, :4]}, "shape of this base's own"),
        ({"prompt_embeds": states, "pooled_prompt_embeds": states[:1, 0]}, "must have the shape"),
        ({"prompt_embeds": states, "identity": tiny_condition("identity", 2)}, "give prompt, not prompt_embeds"),
        ({"prompt": prompts, "negative_prompt": "red", "negative_prompt_embeds": negative}, "not both"),
        ({"prompt": prompts, "negative_pooled_prompt_embeds": negative}, "give both"),
    ):
        with pytest.raises(BadInput, match=message):
            draw(pipeline, 0, 1, **wrong)


def test_sdxl_takes_pooled_embeddings_too(xl_pipeline: Any) -> None:
    text, null = xl_pipeline._encode(["red hair"]), xl_pipeline._null("")
    embedded = draw(
        xl_pipeline, 0, prompt_embeds=text.states, pooled_prompt_embeds=text.pooled,
        negative_prompt_embeds=null.states, negative_pooled_prompt_embeds=null.pooled,
    )  # fmt: skip
    assert same(embedded, draw(xl_pipeline, 0, prompt="red hair"))
    with pytest.raises(BadInput, match="for SDXL with the pooled ones"):
        draw(xl_pipeline, 0, prompt_embeds=text.states)


def test_timesteps_sigmas_and_eta() -> None:
    euler = tiny_pipeline(scheduler=EulerDiscreteScheduler.from_config(tiny_scheduler().config))
    given, sigmas = [900, 400, 50], [10.0, 3.0, 0.5, 0.0]
    seen: list[float] = []

    def keep(_pipeline: Any, _step: int, time: Any, values: dict[str, Any]) -> dict[str, Any]:
        seen.append(float(time))
        return values

    draw(euler, 0, prompt="red hair", timesteps=given, callback_on_step_end=keep)
    assert seen == given
    seen.clear()
    draw(euler, 0, prompt="red hair", sigmas=sigmas, callback_on_step_end=keep)
    assert len(seen) == 3 and euler.scheduler.sigmas.tolist() == sigmas
    ddim = tiny_pipeline(scheduler=DDIMScheduler.from_config(tiny_scheduler().config))
    assert not same(draw(ddim, 0, prompt="red hair", eta=1.0), draw(ddim, 0, prompt="red hair"))
    for wrong, message in (
        ({"timesteps": given, "sigmas": sigmas}, "not both"),
        ({"eta": 0.5}, "takes no eta"),
        ({"timesteps": [3, 400]}, "must fall"),
    ):
        with pytest.raises(BadInput, match=message):
            draw(euler, 0, prompt="red hair", **wrong)
    with pytest.raises(BadInput, match="DDIMScheduler takes no sigmas"):
        draw(ddim, 0, prompt="red hair", sigmas=sigmas)


def test_a_callback_may_interrupt_and_diffusers_own_are_checked(pipeline: Any) -> None:
    seen: list[int] = []

    def stop(found: Any, step: int, _time: Any, values: dict[str, Any]) -> dict[str, Any]:
        seen.append(step)
        found._interrupt = step == 1
        return values

    draw(pipeline, 0, prompt="red hair", num_inference_steps=5, callback_on_step_end=stop)
    assert seen == [0, 1] and pipeline.interrupt
    seen.clear()
    draw(pipeline, 0, prompt="red hair", num_inference_steps=1, callback_on_step_end=stop)
    assert seen == [0] and not pipeline.interrupt
    with pytest.raises(BadInput, match="latents only"):
        draw(pipeline, 0, prompt="", callback_on_step_end=SDCFGCutoffCallback(cutoff_step_ratio=0.4))


def test_emotions_and_identities_as_people_have_them(pipeline: Any) -> None:
    vector = torch.nn.functional.normalize(torch.randn(512, generator=torch.Generator().manual_seed(3)), dim=0)
    identity = Identity(tuple(vector.tolist()))
    happy = torch.tensor([Emotion.of("happy").vector()])
    expected = draw(pipeline, 0, identity=vector[None], emotion=happy, identity_mode="branch")
    for who in (identity, [identity], vector, vector.numpy(), [vector]):
        for feeling in ("happy", Emotion.of("happy"), ["happy:1"], happy.numpy()):
            found = draw(pipeline, 0, identity=who, emotion=feeling, identity_mode="branch", num_inference_steps=2)
            assert torch.equal(found, expected)
    with pytest.raises(BadInput, match="pictures, or embeddings, not both"):
        draw(pipeline, 0, identity=[identity, vector])


def test_pictures_go_to_the_reader_and_tensors_go_past_it(pipeline: Any) -> None:
    asked: list[dict[str, Any]] = []
    found = {"prompt": ["red hair"], "identity": torch.ones(1, 512), "landmarks": torch.zeros(1, 3, 32, 32)}

    def reader(_pipeline: Any, **given: Any) -> dict[str, Any]:
        asked.append(given)
        return found

    picture = Image.new("RGB", (64, 64))
    with pytest.raises(BadInput, match=r"load it with mien\.load"):
        draw(pipeline, 0, identity=picture)
    pipeline.reader = reader
    try:
        forms = (picture, "me.jpg", np.asarray(picture), [picture], torch.zeros(3, 64, 64, dtype=torch.uint8))
        first = [draw(pipeline, 0, identity=form, emotion="happy", pose=Pose(yaw=5)) for form in forms]
        assert all(torch.equal(one, first[0]) for one in first)
        assert [given["emotion"] for given in asked] == ["happy"] * len(forms)
        by_tensors = draw(pipeline, 0, **found, emotion="happy")
        assert torch.equal(first[0], by_tensors)
        asked.clear()
        draw(pipeline, 0, identity=torch.ones(1, 512), expression=tiny_condition("expression", 1), emotion="happy")
        assert asked == []
        own = torch.ones(1, 3, 32, 32)
        kept = draw(pipeline, 0, identity=picture, landmarks=own)
        assert torch.equal(kept, draw(pipeline, 0, **{**found, "landmarks": own}))
    finally:
        pipeline.reader = None
