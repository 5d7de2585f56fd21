"""Guidance is a sum of named differences (FaceCrafter Eq. 6)."""

from __future__ import annotations

import pytest
import torch

from mien.diffusion import Difference, Guidance, convert
from mien.diffusion.guidance import FACECRAFTER_WEIGHTS, rescale
from mien.errors import ConfigError
from tests.tolerance import PASS

NONE = frozenset[str]()


def named(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_equation_6() -> None:
    guidance = Guidance.around(FACECRAFTER_WEIGHTS, [["identity"]])
    sets = guidance.evaluations()
    assert set(sets) == {NONE, named("identity"), named("identity", "landmarks"), named("identity", "emotion")}
    e = {names: torch.randn(2, 4, 3, 3) for names in sets}
    zero, identity = e[NONE], e[named("identity")]
    manual = zero + 2.5 * (identity - zero) + 2.0 * (e[named("identity", "landmarks")] - identity)
    manual = manual + 2.0 * (e[named("identity", "emotion")] - identity)
    found = guidance.combine(torch.cat([e[names] for names in sets]))
    torch.testing.assert_close(found, manual, **PASS)


def test_differences_of_weight_zero_are_not_evaluated() -> None:
    guidance = Guidance.around({"identity": 2.5, "landmarks": 0.0}, [["identity"]])
    assert set(guidance.evaluations()) == {NONE, named("identity")}
    alone = Guidance.around({"identity": 1.0}, [["identity"]])
    assert alone.evaluations() == (named("identity"),)  # e(0) cancels
    assert Guidance(()).evaluations() == (NONE,)


@pytest.mark.parametrize("weights", [{"a": 3.0, "b": 0.5}, {"a": 1.0, "b": 1.0, "c": 7.0}, {"b": 2.0}])
def test_factors_add_up_to_one(weights: dict[str, float]) -> None:
    anchor = [["a"]] if "a" in weights else []
    assert sum(Guidance.around(weights, anchor).coefficients().values()) == pytest.approx(1.0)


def test_a_chain_of_anchors_and_a_joint_anchor() -> None:
    chain = Guidance.around({"text": 2.0, "identity": 3.0, "emotion": 1.5}, [["text"], ["identity"]])
    assert chain.differences == (
        Difference("text", 2.0, named("text"), NONE),
        Difference("identity", 3.0, named("text", "identity"), named("text")),
        Difference("emotion", 1.5, named("text", "identity", "emotion"), named("text", "identity")),
    )
    joint = Guidance.around({"text": 2.0, "identity": 3.0}, [["text", "identity"]])
    assert joint.differences == (Difference("text", 2.0, named("text", "identity"), NONE),)
    with pytest.raises(ConfigError, match="no weight for 'text'"):
        Guidance.around({"identity": 1.0}, [["text"]])


def test_the_sum_may_be_taken_on_any_prediction() -> None:
    """Guiding v and converting is converting and guiding epsilon."""
    guidance = Guidance.around({"a": 3.0, "b": 2.0}, [["a"]])
    count = len(guidance.evaluations())
    velocity, noisy = torch.randn(count, 4, 3, 3), torch.randn(1, 4, 3, 3)
    a, s = torch.tensor(0.6), torch.tensor(0.8)
    first = convert(guidance.combine(velocity), noisy, a, s, "v_prediction", "epsilon")
    second = guidance.combine(convert(velocity, noisy.expand(count, -1, -1, -1), a, s, "v_prediction", "epsilon"))
    torch.testing.assert_close(first, second, **PASS)


def test_rescale() -> None:
    guided, reference = 3 * torch.randn(2, 4, 8, 8) + 1, torch.randn(2, 4, 8, 8)
    assert torch.equal(rescale(guided, reference, 0.0), guided)
    full = rescale(guided, reference, 1.0)
    torch.testing.assert_close(full.std((1, 2, 3)), reference.std((1, 2, 3)))
    torch.testing.assert_close(rescale(guided, reference, 0.7), 0.7 * full + 0.3 * guided)


def test_rescale_takes_the_fullest_evaluation() -> None:
    guidance = Guidance.around({"a": 5.0, "b": 4.0}, [["a"]], rescale=1.0)
    outputs = torch.cat([torch.randn(1, 4, 8, 8) * gain for gain in (1.0, 2.0, 3.0)])
    index = guidance.evaluations().index(named("a", "b"))
    torch.testing.assert_close(guidance.combine(outputs).std(), outputs[index].std())


def test_dtype_and_gradient() -> None:
    guidance = Guidance.around({"a": 3.0}, [["a"]])
    assert guidance.combine(torch.randn(4, 4, 2, 2).bfloat16()).dtype == torch.bfloat16
    outputs = torch.randn(2, 1, 2, 2, requires_grad=True)
    guidance.combine(outputs).sum().backward()
    assert outputs.grad is not None
    torch.testing.assert_close(outputs.grad[:, 0, 0, 0], torch.tensor(list(guidance.coefficients().values())))
