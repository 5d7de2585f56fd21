"""Conditions are checked, repeated to one batch, and weighed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mien.errors import BadInput
from mien.models.text import ID_PROMPT
from mien.pipelines.request import build_guidance, prepare_conditions


def given(**tensors: Any) -> dict[str, Any]:
    return {name: tensors.get(name) for name in ("identity", "landmarks", "expression", "emotion")}


def faces(count: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 512), dim=-1)


def test_rows_are_repeated_picture_by_picture() -> None:
    identity = faces(2)
    found = prepare_conditions("a man", given(identity=identity, emotion=torch.ones(10)), "prompt", 3)
    assert found.count == 6
    assert found.identity_in_prompt is not None
    torch.testing.assert_close(found.identity_in_prompt, identity.repeat_interleave(3, 0))
    assert found.branches["emotion"].shape == (6, 10)
    assert set(found.branches) == {"emotion"}


def test_the_id_prompt_is_put_in_front_where_it_is_missing() -> None:
    prompts = ["a man in a hat", "close-up of a id person, laughing", ""]
    assert prepare_conditions(prompts, given(identity=faces(1)), "prompt", 1).prompts == [
        f"{ID_PROMPT}, a man in a hat",
        "close-up of a id person, laughing",
        ID_PROMPT,
    ]
    assert prepare_conditions(prompts, given(identity=faces(1)), "branch", 1).prompts == prompts
    assert prepare_conditions(None, given(emotion=torch.ones(2, 10)), "prompt", 1).prompts == ["", ""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, given(), "prompt", 1), "Nothing to draw"),
        ((["a", "b"], given(identity=faces(3)), "prompt", 1), "3 for identity, 2 for prompt"),
        ((None, given(identity=faces(3)), "both", 1), "prompt or branch"),
        ((None, given(landmarks=torch.ones(2, 2)), "prompt", 1), "landmarks must have 4 axes"),
        ((None, given(identity=faces(0)), "prompt", 1), "identity must have 2 or 3 axes"),
        ((None, given(emotion=torch.full((1, 10), float("nan"))), "prompt", 1), "not finite"),
        (("a", given(), "prompt", 0), "at least 1"),
    ],
)
def test_what_does_not_fit_is_one_sentence(arguments: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        prepare_conditions(*arguments)


def named(*names: str) -> frozenset[str]:
    return frozenset(names)


def weights_of(conditions: Any, **weights: float) -> list[tuple[float, frozenset[str]]]:
    return [(d.weight, d.present) for d in build_guidance(conditions, weights, 0.0).differences]


def test_guidance_with_the_identity_in_the_prompt_is_equation_6() -> None:
    found = prepare_conditions(
        None, given(identity=faces(1), landmarks=torch.ones(1, 3, 8, 8), emotion=torch.ones(1, 10)), "prompt", 1
    )
    expected = [(2.5, named("text")), (2.0, named("text", "landmarks")), (2.0, named("text", "emotion"))]
    assert weights_of(found) == expected
    assert weights_of(found, identity=4.0, text=3.0)[0] == (4.0, named("text"))
    assert weights_of(found, text=3.0)[0] == (3.0, named("text"))


def test_guidance_with_an_identity_branch() -> None:
    found = prepare_conditions("a man", given(identity=faces(1)), "branch", 1)
    assert weights_of(found) == [(2.5, named("text", "identity"))]
    assert weights_of(found, identity=3.0) == [(3.0, named("text", "identity"))]
    assert weights_of(found, text=2.0, identity=3.0) == [(2.0, named("text")), (3.0, named("text", "identity"))]
    alone = prepare_conditions(None, given(identity=faces(1)), "branch", 1)
    assert weights_of(alone) == [(2.5, named("identity"))]


def test_guidance_without_text_or_identity() -> None:
    found = prepare_conditions(None, given(emotion=torch.ones(1, 10)), "prompt", 1)
    assert weights_of(found, emotion=3.0) == [(3.0, named("emotion"))]
    with pytest.raises(BadInput, match="emotions"):
        weights_of(found, emotions=3.0)
