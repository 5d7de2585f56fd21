"""A branch whose tokens lie on a grid looks at them by distance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mien.adapters import Branch, Injection, load_adapter, save_adapter
from mien.adapters.plan import DistanceBias
from mien.errors import BadInput, ConfigError
from tests.tiny import TEXT_DIM, tiny_branch, tiny_condition, tiny_unet


def local_branch(unet: Any) -> Branch:
    return tiny_branch(unet, "landmarks", local=True)


def run(unet: Any, branch: Branch, tokens: torch.Tensor, **more: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    sample, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 6, TEXT_DIM, generator=generator)
    with Injection(unet, [branch], attention=more.pop("attention", "auto")) as injection:
        kwargs = injection.condition({"landmarks": tokens}, **more)
        return unet(sample, 500, text, cross_attention_kwargs=kwargs).sample


def test_the_bias_is_half_the_squared_scaled_distance() -> None:
    places = DistanceBias({"block": torch.tensor([0.0, 2.0])}, tokens=2, grid=(4, 4))
    bias = places.bias("block", 4)  # the level of 2x2 positions below a 4x4 latent
    assert bias.shape == (2, 4, 4)
    assert torch.equal(bias[0], torch.zeros(4, 4))
    side, diagonal = -0.5 * 4 * 0.25, -0.5 * 4 * 0.5
    assert bias[1, 0] == pytest.approx(torch.tensor([0.0, side, side, diagonal]))
    assert torch.equal(bias[1], bias[1].T)


def test_a_query_off_the_tokens_grid_sees_the_nearest_best() -> None:
    bias = DistanceBias({"block": torch.tensor([3.0])}, tokens=2, grid=(4, 6)).bias("block", 24)[0]
    assert bias.shape == (24, 4)
    assert bias[0].argmax() == 0 and bias[5].argmax() == 1 and bias[23].argmax() == 3


def test_a_grid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadInput, match="does not fit"):
        DistanceBias({"block": torch.ones(1)}, tokens=2, grid=(4, 4)).bias("block", 5)


@pytest.mark.parametrize("attention", ["explicit", "sdpa"])
def test_very_sharp_heads_see_only_their_own_cell(attention: str) -> None:
    unet = tiny_unet()
    branch = local_branch(unet)
    tokens = branch.encode(tiny_condition("landmarks", 1)).detach()
    moved = tokens.clone()
    moved[:, -1] += 1.0  # the last cell of the tokens' grid
    with torch.no_grad():
        for pair in branch.projections().values():
            pair.sharpness.fill_(1000.0)  # type: ignore[union-attr]
    outputs: list[torch.Tensor] = []

    def keep(module: Any, arguments: Any, output: torch.Tensor) -> None:
        outputs.append(output)

    first = unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    handle = first.register_forward_hook(keep)
    with torch.no_grad():
        run(unet, branch, tokens, attention=attention)
        run(unet, branch, moved, attention=attention)
    handle.remove()
    changed = (outputs[0] - outputs[1]).abs().amax(-1)[0].reshape(8, 8) > 1e-6  # first block: 8x8 positions
    side = branch.encoder.grid
    assert side is not None
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[-8 // side :, -8 // side :] = True
    assert torch.equal(changed, expected)


def test_the_sharpness_learns() -> None:
    unet = tiny_unet()
    branch = local_branch(unet)
    run(unet, branch, branch.encode(tiny_condition("landmarks", 1))).square().mean().backward()
    assert all(pair.sharpness.grad.abs().max() > 0 for pair in branch.projections().values())  # type: ignore[union-attr]


def test_rows_do_not_mix(tmp_path: Path) -> None:
    unet = tiny_unet()
    branch = local_branch(unet)
    generator = torch.Generator().manual_seed(0)
    sample, text = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 6, TEXT_DIM, generator=generator)
    tokens = branch.encode(tiny_condition("landmarks", 2)).detach()
    with torch.no_grad(), Injection(unet, [branch]) as injection:
        both = unet(sample, 500, text, cross_attention_kwargs=injection.condition({"landmarks": tokens})).sample
        one = unet(
            sample[1:], 500, text[1:], cross_attention_kwargs=injection.condition({"landmarks": tokens[1:]})
        ).sample
    assert torch.allclose(both[1:], one, atol=1e-5)


def test_it_is_kept_in_the_file(tmp_path: Path) -> None:
    unet = tiny_unet()
    branch = local_branch(unet)
    save_adapter(tmp_path / "a.safetensors", {"landmarks": branch})
    loaded = load_adapter(tmp_path / "a.safetensors")["landmarks"]
    assert loaded.config["local"] and loaded.state_dict().keys() == branch.state_dict().keys()
    tokens = branch.encode(tiny_condition("landmarks", 1)).detach()
    with torch.no_grad():
        assert torch.equal(run(unet, branch, tokens), run(unet, loaded, tokens))


def test_tokens_without_a_place_cannot_be_local() -> None:
    with pytest.raises(ConfigError, match="grid"):
        tiny_branch(tiny_unet(), "emotion", local=True)
