"""Which requests can be drawn in one batch: in the app and of a file of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from mien.generation.conditioning import PipelineInputs
    from mien.generation.request import GenerateRequest


def batch_key(request: GenerateRequest) -> Hashable:
    """Equal for requests that may be drawn in one batch; None for one that is drawn alone.

    What differs from row to row (people, poses, words, seeds) does not stand in it; how the batch is sampled does.
    """
    if request.edit is not None:
        return None
    sampling = (request.speed, request.steps, request.scheduler, request.guidance_rescale)
    scales = (tuple(sorted(request.branch_scales.items())), tuple(sorted(request.guidance.items())))
    return sampling + scales + (request.identity is None, request.expression is None, request.emotion is None)


def conditions_of(inputs: PipelineInputs) -> tuple[bool, ...]:
    """Which conditions a row has, known once its pictures are read: rows of one batch have the same."""
    given = (inputs.prompt, inputs.identity, inputs.landmark_image, inputs.expression, inputs.face, inputs.emotion)
    return tuple(one is None for one in given)
