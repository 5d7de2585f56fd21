from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from mien.errors import BadInput
from mien.models import ID_PROMPT, build_text_encoder, encode_prompt, identity_tokens, train_tokenizer
from mien.models.text import tokenize
from tests.tiny import tiny_pipeline, tiny_text
from tests.tolerance import PASS

CAPTIONS = ["portrait of a person with red hair", "photo of a woman, blue background", "a man with round glasses"] * 5


@pytest.fixture(scope="module")
def text() -> tuple[Any, Any]:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(CAPTIONS, vocabulary=200, length=20)
    return tokenizer, build_text_encoder(tokenizer, hidden=64, layers=1, intermediate=64).eval()


def test_id_is_one_token_and_length_is_fixed(text: tuple[Any, Any]) -> None:
    tokenizer, _ = text
    ids = tokenize(tokenizer, [ID_PROMPT, "unheard-of words: zyx qq"], 8)
    assert ids.shape == (2, 20)
    assert (ids[0] == tokenizer.convert_tokens_to_ids("id")).sum() == 8
    assert (ids == tokenizer.unk_token_id).sum() == 0  # bytes-pairs over printable ASCII spell any English word


@pytest.mark.parametrize(("hidden", "count"), [(256, 2), (768, 1), (512, 1), (200, 3)])
def test_tokens_a_face_embedding_needs(hidden: int, count: int) -> None:
    assert identity_tokens(hidden) == count


def test_rows_do_not_mix(text: tuple[Any, Any]) -> None:
    tokenizer, encoder = text
    identity = torch.nn.functional.normalize(torch.randn(3, 512), dim=1)
    prompts = [ID_PROMPT, "photo of a woman", f"{ID_PROMPT}, red hair"]
    with torch.no_grad():
        together = encode_prompt(tokenizer, encoder, prompts, identity)
        for row, prompt in enumerate(prompts):
            alone = encode_prompt(tokenizer, encoder, [prompt], identity[row : row + 1])
            torch.testing.assert_close(together[row], alone[0], **PASS)
        plain = encode_prompt(tokenizer, encoder, prompts)
    assert torch.allclose(together[1], plain[1], atol=1e-5)  # no id token: the face does not matter
    assert not torch.allclose(together[0], plain[0], atol=1e-3)


def test_the_hook_is_gone_afterwards_and_gradients_reach_the_face(text: tuple[Any, Any]) -> None:
    tokenizer, encoder = text
    identity = torch.randn(1, 512, requires_grad=True)
    encode_prompt(tokenizer, encoder, [ID_PROMPT], identity).sum().backward()
    assert identity.grad is not None and identity.grad.abs().sum() > 0
    assert not encoder.get_input_embeddings()._forward_hooks


def test_a_wrong_number_of_identities_is_refused(text: tuple[Any, Any]) -> None:
    with pytest.raises(BadInput, match="one identity"):
        encode_prompt(*text, [ID_PROMPT, ID_PROMPT], torch.zeros(1, 512))


def test_what_is_cut_of_a_prompt_is_said() -> None:
    tokenizer, encoder = tiny_text()
    words = " ".join(["red hair"] * 20)
    with pytest.warns(
        UserWarning, match=r"a prompt is longer than the 22 tokens that this base reads; left out: '.*hair"
    ):
        cut = encode_prompt(tokenizer, encoder, [words])
    assert cut.shape[1] == 24
    with pytest.warns(UserWarning, match=r"2 of 3 prompts are longer"):
        tokenize(tokenizer, [words, "red hair", words], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenize(tokenizer, ["red hair"], 1)


def test_what_is_kept_of_a_prompt_is_read_whole() -> None:
    """The record of a picture kept words that had no effect."""
    pipeline = tiny_pipeline(())
    words = "red hair, " * 12
    with pytest.warns(UserWarning, match=r"this base reads 22 tokens of a prompt; left out: '.*hair,'"):
        kept = pipeline.readable_prompt(words)
    assert words.startswith(kept) and 0 < len(kept) < len(words)
    with pytest.warns(UserWarning, match="left out"):
        shorter = pipeline.readable_prompt(words, identity=True)
    assert len(shorter) < len(kept), "the face and its words take tokens, too"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pipeline.readable_prompt(kept) == kept
        assert pipeline.readable_prompt(shorter, identity=True) == shorter
        pipeline._encode([kept])


def test_a_tokenizer_without_padding_is_refused() -> None:
    """It was a traceback of the library, found by a mutant of a base."""
    tokenizer, _ = tiny_text()
    tokenizer.pad_token = None
    with pytest.raises(BadInput, match="no padding token"):
        tokenize(tokenizer, ["red hair"], 1)
