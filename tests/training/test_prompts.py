from __future__ import annotations

import numpy as np

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
