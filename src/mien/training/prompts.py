"""The kinds of prompt a stage is trained with, tokenised once."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mien.models import ID_PROMPT
from mien.models.text import id_token_of, identity_tokens, say_what_is_cut, token_ids, tokenizer_key
from mien.training.batches import spread_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mien.data.corpus import Corpus

LOOKED_AT = 1000
"""Captions of a data set, evenly spread, of which it is said how many are too long for the text encoder."""


class Kind(IntEnum):
    """Kinds of prompt, in the order in which every preset states their probabilities."""

    CAPTION = 0
    IDENTITY = 1  # Arc2Face's "photo of a id person"
    BOTH = 2  # the two in one prompt (*ours*): the face embedding says who, the text the rest
    EMPTY = 3


WORDED = (Kind.CAPTION, Kind.BOTH)
"""Prompts with a caption."""


class Prompts:
    """Token ids of all prompts of a set of pictures; those with captions are kept with its columns.

    Args:
        corpus: the pictures.
        tokenizer: of the text encoder.
        width: of the text encoder; a face embedding takes as many tokens as it fills.
    """

    def __init__(self, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, width: int) -> None:
        count = identity_tokens(width)
        self.id_token = id_token_of(tokenizer)

        def of_rows(rows: slice) -> np.ndarray:
            captions = corpus.captions[rows]
            prompts = [captions, [f"{ID_PROMPT}, {caption}" for caption in captions]]
            return torch.stack([token_ids(tokenizer, texts, count) for texts in prompts], 1).int().numpy()

        some = [f"{ID_PROMPT}, {corpus.captions[row]}" for row in spread_rows(len(corpus), LOOKED_AT)]
        say_what_is_cut(tokenizer, some, count)
        self._worded = corpus.computed("tokens", f"{tokenizer_key(tokenizer)}-{count}", of_rows)
        self._plain = {
            Kind.IDENTITY: token_ids(tokenizer, [ID_PROMPT], count)[0],
            Kind.EMPTY: token_ids(tokenizer, [""], count)[0],
        }

    @property
    def empty(self) -> Tensor:
        """Token ids [L] of the empty prompt."""
        return self._plain[Kind.EMPTY]

    def ids(self, kinds: np.ndarray, rows: np.ndarray) -> Tensor:
        """Token ids [B, L] of pictures ``rows`` [B] under prompts of ``kinds`` [B]."""
        found = torch.empty(len(rows), len(self.empty), dtype=torch.int64)
        for number, kind in enumerate(WORDED):
            found[torch.from_numpy(kinds == kind)] = torch.from_numpy(self._worded[rows[kinds == kind], number]).long()
        for kind, ids in self._plain.items():
            found[torch.from_numpy(kinds == kind)] = ids
        return found
