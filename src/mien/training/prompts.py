"""The kinds of prompt the studio is trained with, tokenised once."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mien.models import ID_PROMPT
from mien.models.text import id_token_of, identity_tokens, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Kind(IntEnum):
    """Kinds of prompt, in the order in which every preset states their probabilities."""

    CAPTION = 0
    IDENTITY = 1  # Arc2Face's "photo of a id person"
    BOTH = 2  # the two in one prompt (*ours*): the face embedding says who, the text the rest
    EMPTY = 3


WORDED = (Kind.CAPTION, Kind.BOTH)
"""Prompts with a caption."""


class Prompts:
    """Token ids of all prompts of a set of pictures.

    Args:
        tokenizer: of the text encoder.
        width: of the text encoder; a face embedding takes as many tokens as it fills.
        captions: one a picture.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, width: int, captions: Sequence[str]) -> None:
        count = identity_tokens(width)
        self.id_token = id_token_of(tokenizer)
        self._ids = {
            Kind.CAPTION: tokenize(tokenizer, captions, count),
            Kind.IDENTITY: tokenize(tokenizer, [ID_PROMPT], count),
            Kind.BOTH: tokenize(tokenizer, [f"{ID_PROMPT}, {caption}" for caption in captions], count),
            Kind.EMPTY: tokenize(tokenizer, [""], count),
        }

    @property
    def empty(self) -> Tensor:
        """Token ids [L] of the empty prompt."""
        return self._ids[Kind.EMPTY][0]

    def ids(self, kinds: np.ndarray, rows: np.ndarray) -> Tensor:
        """Token ids [B, L] of pictures ``rows`` [B] under prompts of ``kinds`` [B]."""
        found = torch.empty(len(rows), self._ids[Kind.EMPTY].shape[1], dtype=torch.int64)
        for kind, ids in self._ids.items():
            here = torch.from_numpy(kinds == kind)
            found[here] = ids[torch.from_numpy(rows)[here]] if kind in WORDED else ids[0]
        return found
