"""Arguments that users of diffusers know: how they map onto ours, and those that cannot be had here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from mien.diffusion.guidance import Guidance
from mien.errors import BadInput, did_you_mean, one_of
from mien.pipelines.text import Text

StepCallback = Callable[[Any, int, int, dict[str, Any]], dict[str, Any]]

REFUSED: Mapping[str, str] = {
    "cross_attention_kwargs": "set the weights of LoRA files with set_adapters, and of branches with scales",
    "ip_adapter_image": "give the picture as identity or expression",
    "ip_adapter_image_embeds": "give the embedding as identity, or the features as expression",
    "clip_skip": "load a text encoder with fewer layers",
    "prompt_2": "both text encoders of SDXL read prompt",
    "negative_prompt_2": "both text encoders of SDXL read negative_prompt",
    "denoising_end": "pass the latents of one pipeline on as image of another, with a strength",
    "guidance_scale_2": "give guidance_scale as a mapping, with a weight for each condition",
}
"""Arguments of diffusers' Stable Diffusion pipelines that have no counterpart -> what to do instead."""


OUTPUT_TYPES = ("pil", "np", "pt", "latent")


def check_output_type(output_type: str) -> None:
    """Refuse an ``output_type`` that there is not; diffusers takes it for ``np``.

    Raises:
        BadInput: if so.
    """
    if output_type not in OUTPUT_TYPES:
        raise BadInput(f"There is no output_type {output_type!r}{one_of(str(output_type), OUTPUT_TYPES)}.")


def without_refused(options: Mapping[str, Any], pipeline: Any) -> dict[str, Any]:
    """Further arguments of a call, without those that are None as in diffusers.

    Args:
        options: the arguments.
        pipeline: what was called.

    Raises:
        BadInput: for the first that cannot be had here, or is mistyped.
    """
    for name, instead in REFUSED.items():
        if options.get(name) is not None:
            raise BadInput(f"mien takes no {name}: {instead}.")
    own = inspect.signature(pipeline._added_conditions).parameters
    for name in options.keys() - own.keys() - REFUSED.keys():
        if near := did_you_mean(name, inspect.signature(type(pipeline).__call__).parameters):
            raise BadInput(f"There is no argument {name}{near}.")
    return {name: value for name, value in options.items() if value is not None or name not in REFUSED}


def guidance_weights(
    guidance_scale: float | Mapping[str, float] | Guidance | None,
    guidance: Mapping[str, float] | Guidance | None,
) -> Mapping[str, float] | Guidance | None:
    """The guidance that a call asks for.

    Args:
        guidance_scale: one number is the weight of the text, as in diffusers.
        guidance: the same argument under its older name.

    Raises:
        BadInput: if both are given.
    """
    if guidance_scale is None:
        return guidance
    if guidance is not None:
        raise BadInput("guidance is another name of guidance_scale: give one of them.")
    if isinstance(guidance_scale, Mapping | Guidance):
        return guidance_scale
    return {"text": float(guidance_scale)}


def given_text(name: str, states: Tensor | None, pooled: Tensor | None) -> Text | None:
    """Embeddings [P, L, D] that the caller computed, with SDXL's pooled ones [P, F].

    Raises:
        BadInput: if they have no rows, or the two do not fit.
    """
    if states is None:
        if pooled is not None:
            raise BadInput(f"Pooled embeddings go with {name}: give both.")
        return None
    if states.ndim != 3 or len(states) == 0 or (pooled is not None and len(pooled) != len(states)):
        shapes = tuple(states.shape) if pooled is None else (tuple(states.shape), tuple(pooled.shape))
        raise BadInput(f"{name} must have the shape [P, L, D] (and pooled ones [P, F]), not {shapes}.")
    return Text(states, pooled)


def negative_text(
    prompt: str | Sequence[str] | None, states: Tensor | None, pooled: Tensor | None
) -> tuple[list[str], Text | None]:
    """Negative prompts, and embeddings that take their place.

    Raises:
        BadInput: if both are given.
    """
    text = given_text("negative_prompt_embeds", states, pooled)
    prompts = [prompt or ""] if prompt is None or isinstance(prompt, str) else list(prompt)
    if text is not None and any(prompts):
        raise BadInput("Give negative_prompt or negative_prompt_embeds, not both.")
    return prompts, text


def check_callback(callback: object, wanted: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse a callback that wants tensors which a call does not have.

    Raises:
        BadInput: if so.
    """
    if isinstance(callback, PipelineCallback | MultiPipelineCallbacks):
        wanted = callback.tensor_inputs
    if set(wanted) - set(allowed):
        raise BadInput(f"A callback is given {', '.join(allowed)} only.")
