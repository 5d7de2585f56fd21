"""The text of a call: prompts, negative prompts and the caller's own embeddings, as rows of the UNet's batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from mien.diffusion.guidance import Guidance
from mien.errors import BadInput
from mien.models.text import chunks_of, encode_prompt, identity_tokens, readable, say_what_is_cut
from mien.pipelines.kept_texts import KeptTexts, text_key
from mien.pipelines.request import Conditions, with_identity
from mien.pipelines.text import Text, stacked


class PromptEncoding(DiffusionPipeline):
    """Encodes prompts, with the empty prompt kept from one call to the next."""

    _null_prompts: dict[tuple[str, int], Text]
    _kept_texts: KeptTexts

    def encode_null(self, prompt: str = "") -> Tensor:
        """Text states [1, L, D] of e(0), the empty prompt; computed once and kept.

        Call this before loading trained text weights, and the kept states stay: e(0) of the frozen text encoder, see
        :data:`mien.conditions.NullPrompt`.
        """
        return self._null(prompt).states

    def _encode(self, prompts: list[str], identity: Tensor | None = None, chunks: int = 1) -> Text:
        """Encode prompts in ``chunks`` pieces, with face embeddings [B, 512] in the place of ``id``."""
        return Text(encode_prompt(self.tokenizer, self.text_encoder, prompts, identity, chunks))

    def _encode_once(self, prompts: list[str], identity: Tensor | None, chunks: int) -> Text:
        """As :meth:`_encode`; the last texts are kept, since a request's pictures share theirs."""
        encoders = [part for name, part in self.components.items() if name.startswith("text_encoder")]
        tokenizers = [part for name, part in self.components.items() if name.startswith("tokenizer")]
        key, encoded = text_key(prompts, identity, chunks), False

        def encode() -> Text:
            nonlocal encoded
            encoded = True
            return self._encode(prompts, identity, chunks)

        text = self._kept_texts.get(encoders, tokenizers, key, encode)
        if not encoded:
            self._say_again_what_is_cut(prompts, chunks, identity is not None)
        return text

    def _say_again_what_is_cut(self, prompts: list[str], chunks: int, identity: bool = False) -> None:
        """The warning that encoding gives, for texts that were kept from an earlier call."""
        if chunks == 1:
            width = self.text_encoder.get_input_embeddings().weight.shape[1]
            say_what_is_cut(self.tokenizer, prompts, identity_tokens(width) if identity else 1)

    def readable_prompt(self, prompt: str, identity: bool = False) -> str:
        """As much of a prompt, in whole words, as this base reads; a warning says what is left out.

        Args:
            prompt: what was asked for.
            identity: whether a face goes into it, which takes tokens.
        """
        width = self.text_encoder.get_input_embeddings().weight.shape[1]
        whole = with_identity(prompt) if identity and self.config["identity_mode"] == "prompt" else prompt
        kept = readable(self.tokenizer, prompt, identity_tokens(width), whole.removesuffix(prompt))
        if kept != prompt:
            room = self.tokenizer.model_max_length - 2
            rest = prompt[len(kept) :].strip()
            warnings.warn(f"this base reads {room} tokens of a prompt; left out: {rest!r}", stacklevel=2)
        return kept

    def _chunks(self, prompts: Iterable[str]) -> int:
        """In how many pieces the longest of the prompts is read."""
        width = self.text_encoder.get_input_embeddings().weight.shape[1]
        return chunks_of(self.tokenizer, prompts, identity_tokens(width))

    def _null(self, prompt: str, chunks: int = 1) -> Text:
        """The text of e(0) in ``chunks`` pieces, one row; see :meth:`encode_null`."""
        encoders = [part for name, part in self.components.items() if name.startswith("text_encoder")]
        if any(getattr(encoder, "peft_config", None) for encoder in encoders):
            # a LoRA comes and goes; what was kept is that of the plain encoder
            return self._encode_null(prompt, chunks)
        if (prompt, chunks) in self._null_prompts:
            self._say_again_what_is_cut([prompt], chunks)
        else:
            self._null_prompts[prompt, chunks] = self._encode_null(prompt, chunks)
        return self._null_prompts[prompt, chunks]

    def _encode_null(self, prompt: str, chunks: int = 1) -> Text:
        """The base's own idea of no prompt, or a prompt of what is not wanted; one row."""
        return self._encode([prompt], chunks=chunks)

    def _negative(self, negative: Sequence[str] | Text, count: int, chunks: int) -> Text:
        """The text of e(0) for P pictures, of one negative prompt (or embedding), one a row, or one a picture."""
        given = len(negative.states) if isinstance(negative, Text) else len(negative)
        if given == 0 or count % given:
            raise BadInput(f"{given} negative prompts do not fit {count} pictures; give one, or one for each.")
        if isinstance(negative, Text):
            return negative.repeat(count // given)
        if given == 1:
            return self._null(negative[0], chunks).expand(count)
        return stacked([self._null(prompt, chunks) for prompt in negative]).repeat(count // given)

    def _text(
        self, conditions: Conditions, guide: Guidance, negative: Sequence[str] | Text, device: torch.device
    ) -> Text:
        """The text of all evaluations, E P rows: the prompt, if any, where a set holds ``text``, else e(0)."""
        dtype = self.unet.dtype
        given = [text for text in (conditions.text, negative) if isinstance(text, Text)]
        words = [] if conditions.text is not None else conditions.prompts
        words = [*words, *([] if isinstance(negative, Text) else negative)]
        length = self.tokenizer.model_max_length
        chunks = max(self._chunks(words), *[text.states.shape[1] // length for text in given], 1)
        null = self._negative(negative, conditions.count, chunks).to(device, dtype)
        prompted = null
        if conditions.text is not None:
            prompted = conditions.text.to(device, dtype)
        elif conditions.has_text:
            identity = conditions.identity_in_prompt
            encoded = self._encode_once(conditions.prompts, None if identity is None else identity.to(device), chunks)
            # an empty prompt encodes to the null prompt
            has_prompt = torch.tensor([bool(prompt) for prompt in conditions.prompts], device=device)
            prompted = encoded.to(device, dtype).where(has_prompt, null)
        if (prompted.pooled is None) != (null.pooled is None) or prompted.states.shape != null.states.shape:
            raise BadInput(
                "Prompt embeddings must have the shape of this base's own, for SDXL with the pooled ones: give "
                "prompt_embeds as encode_prompt of diffusers makes them."
            )
        return stacked([prompted if "text" in names else null for names in guide.evaluations()])

    def _added_conditions(self, text: Text, size: tuple[int, int], **options: Any) -> dict[str, Any]:
        """Further keyword arguments of the UNet and a ControlNet, with a row for each of ``text``; here none."""
        if options:
            raise BadInput(f"This base takes no {', '.join(options)}; leave it out.")
        return {}
