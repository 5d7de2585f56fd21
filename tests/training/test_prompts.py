from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from mien.data.corpus import Corpus
from mien.models import ID_PROMPT
from mien.models.text import tokenize, tokenizer_key
from mien.training.prompts import Kind, Prompts
from tests.tiny import tiny_text


def _corpus(folder: Path, captions: list[str]) -> Corpus:
    return Corpus(folder, {}, captions, {})


def test_each_row_has_the_prompt_of_its_kind(tmp_path: Path) -> None:
    tokenizer, _ = tiny_text()
    captions = ["red hair", "round glasses", "teal background"]
    prompts = Prompts(_corpus(tmp_path, captions), tokenizer, 512)
    kinds = np.array([Kind.CAPTION, Kind.IDENTITY, Kind.BOTH, Kind.EMPTY])
    ids = prompts.ids(kinds, np.array([1, 1, 2, 0]))
    read = [tokenizer.decode(row, skip_special_tokens=True).replace(" ", "") for row in ids]
    wanted = [captions[1], ID_PROMPT, f"{ID_PROMPT}, {captions[2]}", ""]
    assert read == [text.replace(" ", "") for text in wanted]
    assert (ids == tokenize(tokenizer, wanted, 1)).all()


def test_a_narrow_text_encoder_reads_the_face_as_several_tokens(tmp_path: Path) -> None:
    tokenizer, _ = tiny_text()
    prompts = Prompts(_corpus(tmp_path, [""]), tokenizer, 128)
    ids = prompts.ids(np.array([Kind.IDENTITY]), np.array([0]))
    assert (ids == prompts.id_token).sum() == 512 // 128


def test_prompts_are_tokenised_once(tmp_path: Path) -> None:
    tokenizer, _ = tiny_text()
    captions = [f"hair number {number}" for number in range(5)]
    rows, kinds = np.arange(5), np.full(5, Kind.BOTH)
    first = Prompts(_corpus(tmp_path, captions), tokenizer, 512).ids(kinds, rows)
    wordless = _corpus(tmp_path, [""] * 5)  # what is kept belongs to the shards, whose digest is the same here
    assert (Prompts(wordless, tokenizer, 512).ids(kinds, rows) == first).all()
    assert (Prompts(wordless, tokenizer, 256).ids(kinds, rows) != first).any()


def test_the_key_of_a_tokenizer_is_not_that_of_its_last_call() -> None:
    tokenizer, _ = tiny_text()
    before = tokenizer_key(tokenizer)
    tokenizer(["some words"], padding="max_length", truncation=True, max_length=5)
    assert tokenizer_key(tokenizer) == before
    tokenizer.add_tokens(["freckled"])
    assert tokenizer_key(tokenizer) != before


def test_captions_that_are_too_long_are_told_of(tmp_path: Path) -> None:
    tokenizer, _ = tiny_text()
    with pytest.warns(UserWarning, match="2 of 3 prompts are longer"):
        Prompts(_corpus(tmp_path / "long", ["hair " * 90, "hair", "hair " * 91]), tokenizer, 512)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Prompts(_corpus(tmp_path / "short", ["hair"] * 3), tokenizer, 512)
