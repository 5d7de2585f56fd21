"""Texts are encoded once while nothing changes, and anew as soon as anything does."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mien.pipelines.kept_texts import MOST
from tests.tiny import tiny_condition, tiny_pipeline, tiny_xl_pipeline

ASKED: dict[str, Any] = {"prompt": "red hair", "num_inference_steps": 2, "output_type": "latent"}


def draw(pipeline: Any, **more: Any) -> torch.Tensor:
    return pipeline(**{**ASKED, **more}, generator=torch.Generator().manual_seed(0)).images


@pytest.fixture(params=[tiny_pipeline, tiny_xl_pipeline])
def pipeline(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture
def encoded(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The prompts of each encoding of a text that is not e(0)."""
    encode: Callable[..., Any] = pipeline._encode
    calls: list[list[str]] = []

    def counting(prompts: list[str], identity: Any = None, chunks: int = 1) -> Any:
        if prompts != [""]:
            calls.append(prompts)
        return encode(prompts, identity, chunks)

    monkeypatch.setattr(pipeline, "_encode", counting)
    return calls


def test_a_prompt_is_encoded_once(pipeline: Any, encoded: list[list[str]]) -> None:
    first = draw(pipeline)
    assert torch.equal(draw(pipeline), first) and encoded == [["red hair"]]
    draw(pipeline, prompt="round glasses")
    draw(pipeline, prompt="red hair")
    assert encoded == [["red hair"], ["round glasses"]]
    assert torch.equal(draw(type(pipeline)(**pipeline.components, adapters=pipeline.adapters)), first)


def test_only_so_many_are_kept(pipeline: Any, encoded: list[list[str]]) -> None:
    for number in range(MOST + 1):
        draw(pipeline, prompt=f"hair {number}")
    assert len(pipeline._kept_texts._texts) == MOST
    draw(pipeline, prompt="hair 0")
    assert len(encoded) == MOST + 2


def test_another_face_is_another_text(pipeline: Any, encoded: list[list[str]]) -> None:
    for seed in (1, 2, 1):
        draw(pipeline, identity=tiny_condition("identity", 1, seed), identity_mode="prompt")
    assert len(encoded) == 2


@pytest.mark.parametrize("counted", [True, False])
def test_an_encoder_that_learns_is_asked_again(pipeline: Any, encoded: list[list[str]], counted: bool) -> None:
    before = draw(pipeline)
    weight = next(iter(pipeline.text_encoder.parameters()))
    with torch.no_grad():
        changed = weight if counted else weight.data  # as an optimiser does, and as a merged LoRA does
        changed.add_(1.0)
    assert not torch.equal(draw(pipeline), before) and len(encoded) == 2
    pipeline.text_encoder.train()
    draw(pipeline)
    draw(pipeline)
    assert len(encoded) == 4


def test_an_exchanged_encoder_is_asked(pipeline: Any, encoded: list[list[str]]) -> None:
    before, other = draw(pipeline), type(pipeline.text_encoder)(pipeline.text_encoder.config).eval()
    pipeline.register_modules(text_encoder=other)
    assert not torch.equal(draw(pipeline), before) and len(encoded) == 2


@pytest.mark.parametrize("name", ["prompt", "negative_prompt"])
def test_what_is_cut_of_a_kept_text_is_said_again(name: str) -> None:
    pipeline = tiny_pipeline()
    long = " ".join(["hair"] * (pipeline.tokenizer.model_max_length + 3)) + " moustache"
    for _ in range(2):
        with pytest.warns(UserWarning, match="left out: .*hair") as told:
            draw(pipeline, **{name: long})
        assert sum("left out" in str(one.message) for one in told) == 1
