"""The conditions of one call, checked and brought to one batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.diffusion.guidance import Guidance
from mien.errors import BadInput
from mien.models.text import ID_PROMPT, ID_TOKEN
from mien.pipelines.text import Text

IdentityMode = Literal["prompt", "branch"]
CONDITIONS = ("identity", "landmarks", "expression", "emotion")

# FaceCrafter sec. 4.1 gives 2.5 and 2.0; text takes identity's value and expression that of the others (*inferred*).
DEFAULT_GUIDANCE = {"text": 2.5, "identity": 2.5, "landmarks": 2.0, "expression": 2.0, "emotion": 2.0}

_AXES = {"identity": (2, 3), "landmarks": (4,), "expression": (2, 3, 4), "emotion": (2,)}


@dataclass
class Conditions:
    """One row for each picture.

    Attributes:
        prompts: P prompts; empty strings where nothing is said.
        identity_in_prompt: face embeddings [P, 512] that replace the ``id`` token, or None.
        branches: condition -> its tensor [P, ...], for those that enter through a branch.
        text: the caller's own prompt embeddings, P rows, in the place of prompts.
    """

    prompts: list[str]
    identity_in_prompt: Tensor | None
    branches: dict[str, Tensor]
    text: Text | None = None

    @property
    def count(self) -> int:
        """P, the number of pictures."""
        return len(self.prompts)

    @property
    def has_text(self) -> bool:
        """Whether any prompt says something."""
        return self.text is not None or any(self.prompts)


def prepare_conditions(
    prompt: str | Sequence[str] | None,
    given: Mapping[str, Tensor | None],
    identity_mode: IdentityMode,
    images_per_prompt: int,
    text: Text | None = None,
) -> Conditions:
    """Check the conditions and repeat them to one batch.

    Args:
        prompt: one prompt, or one a picture.
        given: condition -> tensor with or without the batch axis, or None.
        identity_mode: ``"prompt"``: the face embedding replaces the ``id`` token of the prompt; a prompt without it is
            put behind "photo of a id person, ". ``"branch"``: it goes through the identity branch.
        images_per_prompt: pictures of each row.
        text: prompt embeddings, one or one a row, instead of a prompt.

    Raises:
        BadInput: if nothing is given, batch sizes do not fit, or a tensor has a wrong shape or is not finite.
    """
    if identity_mode not in get_args(IdentityMode):
        raise BadInput(f"identity_mode={identity_mode!r} is unknown; choose prompt or branch.")
    if images_per_prompt < 1:
        raise BadInput("num_images_per_prompt must be at least 1.")
    if text is not None and prompt is not None:
        raise BadInput("Give prompt or prompt_embeds, not both.")
    if text is not None and identity_mode == "prompt" and given.get("identity") is not None:
        raise BadInput("The identity goes into the prompt here: give prompt, not prompt_embeds.")
    tensors = {name: _checked(name, value) for name, value in given.items() if value is not None}
    prompts = [] if prompt is None else [prompt] if isinstance(prompt, str) else list(prompt)
    sizes = {name: len(value) for name, value in tensors.items()} | ({"prompt": len(prompts)} if prompts else {})
    sizes |= {} if text is None else {"prompt_embeds": len(text.states)}
    if not sizes:
        raise BadInput("Nothing to draw: give a prompt, an identity or another condition.")
    rows = max(sizes.values())
    if any(size not in (1, rows) for size in sizes.values()):
        counted = ", ".join(f"{size} for {name}" for name, size in sizes.items())
        raise BadInput(f"The conditions have different numbers of rows ({counted}); give one row or {rows} for each.")
    count = rows * images_per_prompt
    prompts = [prompts[index // images_per_prompt % len(prompts)] if prompts else "" for index in range(count)]
    tensors = {
        name: value.expand(rows, *value.shape[1:]).repeat_interleave(images_per_prompt, 0)
        for name, value in tensors.items()
    }
    in_prompt = tensors.pop("identity", None) if identity_mode == "prompt" else None
    if in_prompt is not None and in_prompt.ndim != 2:
        raise BadInput("A prompt takes face embeddings [P, 512]; a face with its picture needs an identity branch.")
    if in_prompt is not None:
        prompts = [_with_identity(text) for text in prompts]
    if text is not None:
        text = text.map(lambda part: part.expand(rows, *part.shape[1:])).repeat(images_per_prompt)
    return Conditions(prompts, in_prompt, tensors, text)


def _checked(name: str, value: Tensor) -> Tensor:
    value = torch.as_tensor(value)
    if not value.is_floating_point():
        value = value.float()
    axes = _AXES[name]
    if value.ndim + 1 == axes[0]:
        value = value[None]
    if value.ndim not in axes or len(value) == 0:
        numbers = " or ".join(map(str, axes))
        raise BadInput(f"{name} must have {numbers} axes, batch first, not the shape {tuple(value.shape)}.")
    if not bool(torch.isfinite(value).all()):
        raise BadInput(f"{name} holds values that are not finite; compute it again.")
    return F.normalize(value.float(), dim=-1) if name == "identity" and value.ndim == 2 else value


def _with_identity(text: str) -> str:
    if ID_TOKEN in text.replace(",", " ").split():
        return text
    return f"{ID_PROMPT}, {text}" if text else ID_PROMPT


def check_names(option: str, names: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse names in an option that stand for nothing.

    Raises:
        BadInput: for the first unknown name.
    """
    unknown = [name for name in names if name not in allowed]
    if unknown:
        raise BadInput(f"{option} names {unknown[0]!r}, which is unknown; choose among {', '.join(allowed)}.")


def check_identity_options(conditions: Conditions, options: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what a face in the prompt cannot have; a scale of 1 says nothing.

    Args:
        conditions: what is present.
        options: ``scales``, ``masks`` and ``steps`` -> condition -> what the caller wants.

    Raises:
        BadInput: for the first option that would do nothing.
    """
    if conditions.identity_in_prompt is None:
        return
    for option, wanted in options.items():
        value = wanted.get("identity")
        if value is not None and not (option == "scales" and bool((torch.as_tensor(value) == 1).all())):
            raise BadInput(
                f"Here the identity stands in the prompt, where its {option} would do nothing: leave them out, and set "
                "the guidance of identity (--guidance identity=NUMBER)."
            )


def whole_guidance(guide: Guidance, conditions: Conditions) -> Guidance:
    """A caller's guidance, with ``text`` for ``identity`` in its sets where the identity stands in the prompt.

    A set that holds both then holds ``text``: the prompt is said with the face in it, or not at all.
    """
    if conditions.identity_in_prompt is None:
        return guide

    def said(names: frozenset[str]) -> frozenset[str]:
        return frozenset("text" if name == "identity" else name for name in names)

    differences = tuple(one._replace(present=said(one.present), absent=said(one.absent)) for one in guide.differences)
    return replace(guide, differences=differences, start=said(guide.start))


def build_guidance(
    conditions: Conditions, weights: Mapping[str, float], rescale: float, own: Mapping[str, float] | None = None
) -> Guidance:
    """The sum of differences of a call (Eq. 6): text and identity first, each other condition on top of them.

    With the identity in the prompt, text and identity are one: the weight ``identity`` goes first, then ``text``. An
    identity branch goes together with the text, as in IP-Adapter (the weight ``text``, else ``identity``), unless both
    weights are given: then identity comes on top of the text.

    Args:
        conditions: what is present.
        weights: condition or ``"text"`` -> weight, as the caller wants it.
        rescale: see :class:`Guidance`.
        own: weights of the base, used where the caller says nothing, over :data:`DEFAULT_GUIDANCE`.

    Raises:
        BadInput: for an unknown name.
    """
    check_names("guidance", weights, tuple(DEFAULT_GUIDANCE))
    usual = DEFAULT_GUIDANCE | dict(own or {})
    present = {name: weights.get(name, usual[name]) for name in CONDITIONS if name in conditions.branches}
    by_branch = "identity" in conditions.branches
    if not conditions.has_text:
        return Guidance.around(present, [["identity"]] if by_branch else [], rescale)
    apart = by_branch and "text" in weights and "identity" in weights
    first, second = ("identity", "text") if conditions.identity_in_prompt is not None else ("text", "identity")
    present["text"] = weights.get(first, weights.get(second, usual[first]))
    if not by_branch:
        return Guidance.around(present, [["text"]], rescale)
    return Guidance.around(present, [["text"], ["identity"]] if apart else [["text", "identity"]], rescale)
