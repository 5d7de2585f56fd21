"""Texts that were encoded lately, kept for as long as their encoders stay what they are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mien.pipelines.text import Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST = 16
"""Texts that are kept: of one picture at SDXL's size about 0.6 MB."""


class KeptTexts:
    """The last texts of a pipeline, forgotten at the first sign that its encoders are others or have learnt."""

    def __init__(self) -> None:
        self._texts: OrderedDict[Hashable, Text] = OrderedDict()
        self._parts: list[Any] = []
        self._state: Hashable = None

    def get(
        self,
        encoders: Sequence[nn.Module],
        tokenizers: Sequence[PreTrainedTokenizerBase],
        key: Hashable,
        make: Callable[[], Text],
    ) -> Text:
        """The text of a key, made now if it is not kept.

        Args:
            encoders: whose weights it depends on.
            tokenizers: theirs.
            key: all else that it depends on.
            make: encodes it.
        """
        if any(map(_is_changing, encoders)) or torch.is_grad_enabled() or torch.is_autocast_enabled():
            return make()
        weights = [weight for encoder in encoders for weight in encoder.parameters()]
        state = (tuple(map(_state_of, weights)), tuple(map(id, tokenizers)))
        if state != self._state:
            self._texts.clear()
            self._state = state
            self._parts = [*(weight.data for weight in weights), *tokenizers]  # nothing else comes to lie there
        if key not in self._texts:
            self._texts[key] = make()
            if len(self._texts) > MOST:
                self._texts.popitem(last=False)
        self._texts.move_to_end(key)
        return self._texts[key]

    def forget(self) -> None:
        """Keep none of them: an identity in a text is somebody's face."""
        self._texts.clear()


def text_key(prompts: Sequence[str], identity: Tensor | None, chunks: int) -> Hashable:
    """What the text of some prompts depends on besides the encoders."""
    face = None if identity is None else (identity.dtype, identity.float().cpu().numpy().tobytes())
    return tuple(prompts), face, chunks


def _state_of(weight: Tensor) -> Hashable:
    """What tells whether a weight is what it was."""
    # A LoRA merged by diffusers writes to the same memory and torch does not count it: the sum tells.
    total = weight.sum(dtype=torch.float32).item()
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version, weight.dtype, total


def _is_changing(encoder: nn.Module) -> bool:
    """Whether an encoder learns, carries a LoRA that comes and goes, or has hooks, as one that is offloaded has."""
    hooked = hasattr(encoder, "_hf_hook") or bool(encoder._forward_hooks) or bool(encoder._forward_pre_hooks)
    return encoder.training or bool(getattr(encoder, "peft_config", None)) or hooked
