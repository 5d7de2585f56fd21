"""A branch trains on a frozen UNet: gradients, bf16, checkpointing, taps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from mien.adapters import Branch, Injection
from tests.tiny import TEXT_DIM, tiny_branch, tiny_condition, tiny_unet
from tests.tolerance import PASS


def frozen_unet() -> Any:
    unet = tiny_unet()
    unet.set_attn_processor(AttnProcessor())
    return unet.requires_grad_(False)


def step(unet: Any, branch: Branch, *, bf16: bool = False, taps: bool = False, attention: Any = "auto") -> Tensor:
    """Loss of one training step in which row 1 has lost its condition."""
    generator = torch.Generator().manual_seed(3)
    sample, text = torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 6, TEXT_DIM, generator=generator)
    with (
        Injection(unet, [branch], attention=attention) as injection,
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        kwargs = injection.condition(
            {branch.label: branch.encode(tiny_condition(branch.kind, 3))},
            present={branch.label: torch.tensor([True, False, True])},
            taps=taps,
        )
        out = unet(sample, torch.tensor([1, 500, 900]), text, cross_attention_kwargs=kwargs).sample
        loss = out.float().square().mean()
        for tap in (kwargs["mien"].taps or {}).values():
            loss = loss + torch.cosine_similarity(tap.base, tap.terms[branch.label], -1).float().mean()
        loss.backward()
    return loss.detach()


def gradient(branch: Branch) -> Tensor:
    found = torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in branch.parameters()]
    )
    branch.zero_grad()
    return found


@pytest.mark.parametrize("kind", ["landmarks", "emotion", "expression", "identity"])
def test_a_fresh_branch_changes_nothing_but_learns(kind: str) -> None:
    unet = frozen_unet()
    template = tiny_branch(unet, kind)
    torch.manual_seed(0)
    branch = Branch.for_unet(unet, kind, 16, encoder=dict(template.config["encoder_config"]))
    with torch.no_grad(), Injection(unet, [branch]) as injection:
        arguments = (torch.randn(2, 4, 8, 8), 7, torch.randn(2, 6, TEXT_DIM))
        kwargs = injection.condition({kind: branch.encode(tiny_condition(kind, 2))})
        assert torch.equal(unet(*arguments, cross_attention_kwargs=kwargs).sample, unet(*arguments).sample)
    optimizer = torch.optim.SGD(branch.parameters(), lr=1.0)
    step(unet, branch)
    grads = [pair.to_v.weight.grad for pair in branch.projections().values()]
    assert all(grad is not None and grad.abs().max() > 0 for grad in grads)
    assert all(parameter.grad is None for parameter in unet.parameters())
    for _ in range(2):  # keys and encoder learn from the second step, behind a zero convolution from the third
        optimizer.step()
        optimizer.zero_grad()
        step(unet, branch)
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in branch.parameters())


def test_a_branch_learns_a_target() -> None:
    unet = frozen_unet()
    torch.manual_seed(0)
    branch = Branch.for_unet(unet, "emotion", 16, encoder={"hidden": 16, "tokens": 3})
    optimizer = torch.optim.Adam(branch.parameters(), lr=2e-2)
    losses = []
    for _ in range(8):
        losses.append(step(unet, branch))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.9 * losses[0]


def test_copied_keys_and_values_are_the_bases_own() -> None:
    unet = frozen_unet()
    branch = Branch.for_unet(unet, "emotion", TEXT_DIM, init="copy", encoder={"hidden": 8, "tokens": 2})
    for key, pair in branch.projections().items():
        base = unet.get_submodule(key.replace("/", "."))
        assert torch.equal(pair.to_k.weight, base.to_k.weight)
        assert torch.equal(pair.to_v.weight, base.to_v.weight)


@pytest.mark.parametrize("bf16", [False, True])
def test_checkpointing_with_taps_gives_the_same_gradients(bf16: bool) -> None:
    unet = frozen_unet().train()
    branch = tiny_branch(unet, "landmarks").train()
    loss = step(unet, branch, bf16=bf16, taps=True)
    plain = gradient(branch)
    unet.enable_gradient_checkpointing()
    assert torch.equal(step(unet, branch, bf16=bf16, taps=True), loss)
    torch.testing.assert_close(gradient(branch), plain)


def test_bf16_gradients_are_near_fp32() -> None:
    unet = frozen_unet()
    branch = tiny_branch(unet, "landmarks").train()
    step(unet, branch)
    full = gradient(branch)
    step(unet, branch, bf16=True)
    assert torch.cosine_similarity(gradient(branch), full, 0) > 0.99


def test_explicit_and_fused_attention_agree() -> None:
    unet = frozen_unet()
    branch = tiny_branch(unet).train()
    results = []
    for attention in ("explicit", "sdpa"):
        loss = step(unet, branch, attention=attention)
        results.append((loss, gradient(branch)))
    torch.testing.assert_close(results[0], results[1], **PASS)


def test_half_precision_base_with_full_precision_branch() -> None:
    unet = tiny_unet().to(torch.bfloat16)
    branch = tiny_branch(tiny_unet())
    with torch.no_grad(), Injection(unet, [branch]) as injection:
        kwargs = injection.condition({"emotion": branch.encode(tiny_condition("emotion", 2))})
        arguments = torch.randn(2, 4, 8, 8).bfloat16(), 7, torch.randn(2, 6, TEXT_DIM).bfloat16()
        assert unet(*arguments, cross_attention_kwargs=kwargs).sample.dtype == torch.bfloat16


def test_rows_do_not_see_each_other() -> None:
    """The gradient of row 0's output reaches no other row's condition."""
    unet = frozen_unet()
    branch = tiny_branch(unet)
    condition = tiny_condition("emotion", 3).requires_grad_()
    with Injection(unet, [branch]) as injection:
        kwargs = injection.condition({"emotion": branch.encode(condition)})
        out = unet(torch.randn(3, 4, 8, 8), 7, torch.randn(3, 6, TEXT_DIM), cross_attention_kwargs=kwargs).sample
    (found,) = torch.autograd.grad(out[0].square().sum(), condition)
    assert found[0].abs().max() > 0
    assert found[1:].abs().max() == 0


@pytest.mark.slow
def test_compiled_training_neither_breaks_the_graph_nor_recompiles() -> None:
    """With static shapes, other pictures and other scales run the same graph, taps included."""
    unet = frozen_unet()
    branch = tiny_branch(unet, "landmarks").train()
    compiled: list[int] = []

    def backend(module: Any, _: Any) -> Any:
        compiled.append(1)
        return module.forward

    run = torch.compile(unet, backend=backend, fullgraph=True)
    with Injection(unet, [branch], static_shapes=True) as injection:
        for seed, scales in enumerate(([1.0, 1.0, 1.0], [1.0, 0.0, 0.5], [0.0, 1.0, 0.0])):
            tokens = {"landmarks": branch.encode(tiny_condition("landmarks", 3, seed))}
            kwargs = injection.condition(tokens, {"landmarks": scales}, taps=True)
            arguments = torch.randn(3, 4, 8, 8), torch.tensor([1, 2, 3]), torch.randn(3, 6, TEXT_DIM)
            out = run(*arguments, cross_attention_kwargs=kwargs).sample
            assert len(kwargs["mien"].taps) == 7
            torch.testing.assert_close(out, unet(*arguments, cross_attention_kwargs=kwargs).sample)
            out.mean().backward()
    assert len(compiled) == 1
