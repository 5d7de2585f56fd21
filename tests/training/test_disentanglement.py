"""FaceCrafter Eq. 2-3: known values, the paper's sum against a loop over replicas, gradients, edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mien.adapters.plan import Tap
from mien.training.disentanglement import PAIRS, SETTINGS, ad_loss, row_pairs

GRID = (4, 4)


def tap(total: Tensor, **terms: Tensor) -> Tap:
    base = total - sum(terms.values()) if terms else total
    return Tap(base, dict(terms), total, GRID)


def whole(rows: int) -> Tensor:
    return torch.ones(rows, *GRID)


def all_settings(samples: int = 1, count: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    settings = torch.arange(4).repeat_interleave(samples)
    return settings, torch.arange(samples).repeat(4), torch.full((4 * samples,), count)


def test_equal_rows_cost_one_a_pair_and_orthogonal_ones_nothing() -> None:
    pairs = row_pairs(*all_settings())
    assert len(pairs.first) == len(PAIRS) == 5
    equal = torch.ones(4, 16, 8)
    assert float(ad_loss({"a": tap(equal)}, pairs, whole(4))) == pytest.approx(5)
    apart = torch.eye(8)[:4, None].expand(4, 16, 8).contiguous()
    assert float(ad_loss({"a": tap(apart)}, pairs, whole(4))) == pytest.approx(0)
    assert float(ad_loss({"a": tap(equal), "b": tap(apart)}, pairs, whole(4))) == pytest.approx(2.5)
    opposite = equal * torch.tensor([1.0, -1.0, -1.0, -1.0])[:, None, None]
    assert float(ad_loss({"a": tap(opposite)}, pairs, whole(4))) == pytest.approx(2)  # ReLU: only (1,2) and (1,3) count


def test_the_five_pairs_are_the_papers() -> None:
    """Eq. 3, written out: the emotion alone is never held against emotion and landmarks together."""
    identity, landmarks, emotion = (frozenset(names) for names in ((), ("landmarks",), ("emotion",)))
    both = landmarks | emotion
    compared = {(SETTINGS[a], SETTINGS[b]) for a, b in PAIRS}
    assert len(PAIRS) == 5 and compared == {
        (identity, landmarks), (identity, emotion), (identity, both), (landmarks, emotion), (landmarks, both)
    }  # fmt: skip


def test_the_papers_sum_over_replicas() -> None:
    """Distinct rows with counts give what a loop over all replicas gives."""
    torch.manual_seed(0)
    counts = torch.tensor([3, 0, 5, 2, 4, 1, 0, 6])  # two samples, setting-major
    settings, samples, _ = all_settings(2)
    values, masks = torch.randn(8, 16, 8), torch.rand(2, *GRID)[samples]
    found = ad_loss({"a": tap(values)}, row_pairs(settings, samples, counts), masks)
    expanded = torch.arange(8).repeat_interleave(counts)
    wanted = torch.zeros(())
    for i in expanded.tolist():
        for j in expanded.tolist():
            if samples[i] == samples[j] and (int(settings[i]), int(settings[j])) in PAIRS:
                alike = torch.nn.functional.cosine_similarity(values[i], values[j], dim=-1).relu()
                inside = masks[i].flatten()
                wanted = wanted + (alike * inside).sum() / inside.sum()
    torch.testing.assert_close(found, wanted / 2)
    every = row_pairs(settings[expanded], samples[expanded], torch.ones(len(expanded)))
    torch.testing.assert_close(ad_loss({"a": tap(values[expanded])}, every, masks[expanded]), found)


def test_only_the_face_counts() -> None:
    torch.manual_seed(0)
    values, masks = torch.randn(4, 16, 8), torch.zeros(4, *GRID)
    masks[:, 1:3, 1:3] = 1
    pairs = row_pairs(*all_settings())
    before = ad_loss({"a": tap(values)}, pairs, masks)
    values[:, 0] += 100
    torch.testing.assert_close(ad_loss({"a": tap(values)}, pairs, masks), before)
    assert float(ad_loss({"a": tap(values)}, pairs, torch.zeros(4, *GRID))) == 0


def test_per_branch_compares_what_each_setting_adds() -> None:
    base = torch.eye(8)[0].expand(4, 16, 8)
    has = torch.tensor([["landmarks" in s, "emotion" in s] for s in SETTINGS]).float()
    landmarks = torch.eye(8)[1].expand(4, 16, 8) * has[:, 0, None, None]
    emotion = torch.eye(8)[1].expand(4, 16, 8) * has[:, 1, None, None]
    taps = {"a": tap(base + landmarks + emotion, landmarks=landmarks, emotion=emotion)}
    pairs = row_pairs(*all_settings())
    # identity is orthogonal to both; landmarks and emotion say the same in (1, 2) and (1, 3)
    assert float(ad_loss(taps, pairs, whole(4), "per_branch")) == pytest.approx(2)
    assert float(ad_loss(taps, pairs, whole(4))) > 2  # the literal reading sees the shared identity everywhere


def test_the_mean_is_the_sum_over_the_number_of_pairs() -> None:
    torch.manual_seed(1)
    taps = {"a": tap(torch.randn(4, 16, 8))}
    pairs = row_pairs(*all_settings(count=4))
    total = ad_loss(taps, pairs, whole(4))
    torch.testing.assert_close(ad_loss(taps, pairs, whole(4), mean=True), total / (5 * 16))


def test_gradient_pushes_apart() -> None:
    torch.manual_seed(2)
    values = (torch.ones(4, 16, 8) + 0.1 * torch.randn(4, 16, 8)).requires_grad_()
    pairs = row_pairs(*all_settings())
    loss = ad_loss({"a": tap(values)}, pairs, whole(4))
    loss.backward()
    assert values.grad is not None and values.grad.abs().sum() > 0
    moved = (values - 0.5 * values.grad).detach()
    assert ad_loss({"a": tap(moved)}, pairs, whole(4)) < loss.detach()


def test_one_setting_alone_has_nothing_to_be_held_against() -> None:
    pairs = row_pairs(torch.zeros(3, dtype=torch.long), torch.arange(3), torch.ones(3))
    assert float(ad_loss({"a": tap(torch.randn(3, 16, 8))}, pairs, whole(3))) == 0
