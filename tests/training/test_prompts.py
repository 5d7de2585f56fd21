from __future__ import annotations

import warnings

import numpy as np
import pytest

from mien.models import ID_PROMPT
from mien.training.prompts import Kind, Prompts
from tests.tiny import tiny_text


def test_each_row_has_the_prompt_of_its_kind() -> None:
    tokenizer, _ = tiny_text()
    captions = ["red hair", "round glasses", "teal background"]
    prompts = Prompts(tokenizer, 512, captions)
    kinds = np.array([Kind.CAPTION, Kind.IDENTITY, Kind.BOTH, Kind.EMPTY])
    ids = prompts.ids(kinds, np.array([1, 1, 2, 0]))
    read = [tokenizer.decode(row, skip_special_tokens=True).replace(" ", "") for row in ids]
    wanted = [captions[1], ID_PROMPT, f"{ID_PROMPT}, {captions[2]}", ""]
    assert read == [text.replace(" ", "") for text in wanted]


def test_a_narrow_text_encoder_reads_the_face_as_several_tokens() -> None:
    tokenizer, _ = tiny_text()
    prompts = Prompts(tokenizer, 128, [""])
    ids = prompts.ids(np.array([Kind.IDENTITY]), np.array([0]))
    assert (ids == prompts.id_token).sum() == 512 // 128


def test_what_is_cut_of_captions_is_said() -> None:
    """A model does not learn words that its text encoder never reads: whoever trains it must know."""
    tokenizer, _ = tiny_text()
    long = " ".join(["red hair"] * 20)
    with pytest.warns(UserWarning) as said:
        prompts = Prompts(tokenizer, 512, ["red hair", long, long])
    sentences = [str(one.message) for one in said]
    assert len(sentences) == 2, "of the captions, and of the same behind the face's words"
    assert all("2 of 3 prompts are longer than the 22 tokens" in one and "hair" in one for one in sentences)
    ids = prompts.ids(np.array([Kind.CAPTION]), np.array([1]))
    assert ids.shape == (1, tokenizer.model_max_length)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Prompts(tokenizer, 512, ["red hair", "round glasses"])
