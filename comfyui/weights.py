"""Guidance weights of single conditions in ComfyUI (FaceCrafter Eq. 6).

A sampler's own guidance is e(0) + cfg (e(text, all conditions) - e(0)). Here the text, and the identity with it, keep
the sampler's weight, and each other condition is added with its own:

    e = e(0) + cfg (e(text, id) - e(0)) + sum_b w_b (e(text, id, b) - e(text, id))

The sum is taken of clean latents, which is the same as of noise: the coefficients add up to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from mien.errors import BadInput

from .apply import KINDS
from .patch import PRESENT

Evaluate = Callable[..., list[Tensor]]


def weigh(model: Any, weights: Mapping[str, float], evaluate: Evaluate) -> Any:
    """A copy of a model in which conditions have weights of their own.

    Args:
        model: ComfyUI's ``ModelPatcher`` with branches applied.
        weights: condition -> w_b; those that were not applied are ignored.
        evaluate: ``comfy.samplers.calc_cond_batch``.

    Raises:
        BadInput: if nothing was applied that could be weighed.
    """
    kinds = frozenset(model.model_options["transformer_options"].get(KINDS, ()))
    weighed = {kind: weight for kind, weight in weights.items() if kind in kinds}
    if not weighed:
        raise BadInput("No expression, landmarks or emotion were applied to this model: connect Apply first.")
    anchor = kinds - set(weighed)
    patched = model.clone()
    patched.model_options["transformer_options"][PRESENT] = anchor

    def add_differences(call: Mapping[str, Any]) -> Tensor:
        result = call["denoised"]
        for kind, weight in weighed.items():
            if weight == 0:
                continue
            options = _with_present(call["model_options"], anchor | {kind})
            (steered,) = evaluate(call["model"], [call["cond"]], call["input"], call["sigma"], options)
            result = result + weight * (steered - call["cond_denoised"])
        return result

    patched.set_model_sampler_post_cfg_function(add_differences)
    return patched


def _with_present(options: Mapping[str, Any], present: frozenset[str]) -> dict[str, Any]:
    inner = {**options.get("transformer_options", {}), PRESENT: present}
    return {**options, "transformer_options": inner}
