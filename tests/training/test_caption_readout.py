"""The term that keeps apart what captions say of a face, and branches that are rarer beside words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.data.corpus import Corpus
from mien.training.caption_readout import CaptionReadout, shown_in
from mien.training.prompts import WORDED
from tests.training.small_base import objective


def test_the_reading_is_of_the_mean_state_of_real_tokens_in_rows_with_a_caption() -> None:
    wording = CaptionReadout(2, 2)
    with torch.no_grad():
        wording.head.weight.copy_(torch.eye(2))
        wording.head.bias.zero_()
    states = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [9.0, 9.0]], [[5.0, 5.0]] * 3], requires_grad=True)
    words = torch.tensor([[True, True, False], [True, True, True]])
    shown = torch.tensor([[2.0, 4.0], [0.0, 0.0]])
    loss = wording(states, words, shown, torch.tensor([True, False]))
    assert loss.item() == pytest.approx((0**2 + 3**2) / 2)
    (grad,) = torch.autograd.grad(loss, states)
    assert grad[0, :2].abs().sum() > 0 and not grad[0, 2].any() and not grad[1].any()
    assert wording(states, words, shown, torch.tensor([False, False])).item() == 0


def test_what_pictures_show_has_unit_variance_and_what_never_varies_is_nothing() -> None:
    rng = np.random.default_rng(0)
    arrays = {"coefficients": rng.random((50, 53)), "gaze": rng.normal(0, 9, (50, 2)),
              "pose": rng.normal(5, 20, (50, 3)), "emotion": rng.random((50, 10))}  # fmt: skip
    arrays["coefficients"][:, 7] = 0.25
    found = shown_in(Corpus(Path(), arrays, [""] * 50, {}))
    varied = [row for row in range(68) if row != 7]
    assert found.shape == (50, 68) and not found[:, 7].any()
    torch.testing.assert_close(found.mean(0), torch.zeros(68), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, varied].std(0, correction=0), torch.ones(67), atol=1e-4, rtol=0)


def test_the_bases_loss_has_the_weighted_term_and_the_text_encoder_its_gradient(small_base: Path) -> None:
    made, plain = objective(small_base, caption_readout=0.5), objective(small_base)
    assert made.trained().keys() - plain.trained().keys() == {
        "caption_readout.head.weight",
        "caption_readout.head.bias",
    }
    corpus = Corpus.load(small_base / "data")
    batch = made.batch(corpus, np.random.default_rng(0), 8)
    loss, logs = made(batch, torch.Generator().manual_seed(0))
    alone, _ = plain(plain.batch(corpus, np.random.default_rng(0), 8), torch.Generator().manual_seed(0))
    assert (
        loss.item() == pytest.approx(alone.item() + 0.5 * float(logs["caption_readout"]))
        and logs["caption_readout"] > 0
    )
    assert made.caption_readout is not None
    states = made.examples.text_states(made.text_encoder, batch)
    term = made.caption_readout(states, batch["ids"] != made.tokenizer.pad_token_id, batch["shown"], batch["worded"])
    grads = torch.autograd.grad(term, list(made.text_encoder.parameters()), allow_unused=True)
    assert any(grad is not None and grad.abs().sum() > 0 for grad in grads)
    made.eval()
    with torch.no_grad():
        assert {"caption_readout", "caption_right_900"} <= made.validate(with_held_out(corpus)).keys()


def with_held_out(corpus: Corpus) -> Corpus:
    corpus.held_out = corpus
    return corpus


def test_branches_are_rarer_beside_words_and_in_at_least_one_row(small_base: Path) -> None:
    made = objective(
        small_base, branches={"landmarks": 0.8}, branch_prob_with_caption=0.25, mixture=(0.25, 0.25, 0.25, 0.25)
    )
    corpus, rng = Corpus.load(small_base / "data"), np.random.default_rng(0)
    shares: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(60):
        kinds = np.random.default_rng(int(rng.integers(1000)))
        state = kinds.bit_generator.state
        batch = made.batch(corpus, kinds, 16)
        kinds.bit_generator.state = state
        worded = np.isin(kinds.choice(4, 16, p=made.config.mixture), WORDED)
        here = batch["landmarks_present"].numpy()
        assert here.any()
        for told in shares:
            shares[told] += here[worded == told].tolist()
    assert np.mean(shares[True]) == pytest.approx(0.2, abs=0.06)
    assert np.mean(shares[False]) == pytest.approx(0.8, abs=0.06)
    seldom = objective(small_base, branches={"landmarks": 1e-9})
    assert seldom.batch(corpus, rng, 4)["landmarks_present"].sum() == 1
