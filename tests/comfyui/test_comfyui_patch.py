"""The patch of a ComfyUI model computes what our own injection computes, without ComfyUI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from comfyui.apply import KINDS, Conditions, apply_branches, open_adapter
from comfyui.blocks import attention_places, check_fit
from comfyui.patch import PRESENT
from comfyui.weights import weigh
from mien.adapters import Injection, save_adapter
from mien.adapters.attention import attend
from mien.adapters.blocks import attention_modules, describe_unet
from mien.errors import BadInput, ConfigError
from tests.comfyui.stand_in import Patcher, in_comfy_layout
from tests.ldm import _unet as in_published_layout
from tests.tiny import tiny_branch, tiny_condition, tiny_sdxl_unet, tiny_unet
from tests.tolerance import PASS

UNETS = {"sd15": tiny_unet, "sdxl": tiny_sdxl_unet}


def explicit(query: Any, key: Any, value: Any, options: Any) -> Any:
    class Layer:
        heads, norm_q, norm_k = options["n_heads"], None, None

    return attend(Layer, query, key, value, None, False)  # type: ignore[arg-type]


def conditions(batch: int = 1) -> Conditions:
    return Conditions(
        identity=torch.nn.functional.normalize(tiny_condition("identity", 1)[0], dim=0),
        landmarks=tiny_condition("landmarks", batch),
        emotion=tiny_condition("emotion", batch),
    )


def branches(unet: Any, site: Any = "parallel") -> dict[str, Any]:
    nulls: dict[str, Any] = {"identity": "zeros", "landmarks": "cut", "emotion": "cut"}
    return {kind: tiny_branch(unet, kind, null=null, site=site) for kind, null in nulls.items()}


@pytest.mark.parametrize("base", UNETS)
def test_places_are_those_of_the_published_layout(base: str) -> None:
    unet = UNETS[base]()
    places = attention_places(in_comfy_layout(unet))
    published, own = in_published_layout(unet), unet.state_dict()
    assert set(describe_unet(unet)) | set(describe_unet(unet, "self")) == set(places)
    for key, place in places.items():
        name = f"{place.path}.to_q.weight"
        assert torch.equal(published[name], own[f"{key.replace('/', '.')}.to_q.weight"])


@pytest.mark.parametrize("site", ["parallel", "self"])
@pytest.mark.parametrize("order", [[0, 1], [1, 0], [0], [1]])
def test_each_block_computes_what_our_injection_computes(site: Any, order: list[int]) -> None:
    unet, pictures = tiny_unet(), 2
    own = branches(unet, site)
    given = conditions(pictures)
    patched = apply_branches(Patcher(in_comfy_layout(unet)), own, given, explicit, scale=0.7)
    places = attention_places(in_comfy_layout(unet))
    tokens = {
        kind: branch.encode(condition.expand(pictures, -1) if kind == "identity" else condition)
        for kind, branch in own.items()
        for condition in [getattr(given, kind)]
    }
    sets = [set(own) if one == 0 else set() for one in order]
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad(), Injection(unet, own) as injection:
        plan = injection.condition(tokens, dict.fromkeys(own, 0.7), evaluations=sets)["mien"]
        for key, layer in attention_modules(unet):
            if key not in own["emotion"].blocks:
                continue
            positions = 16
            hidden = torch.randn(len(order) * pictures, positions, layer.to_q.in_features, generator=generator)  # type: ignore[arg-type]
            text = None if site == "self" else torch.randn(len(hidden), 5, layer.to_k.in_features, generator=generator)  # type: ignore[arg-type]
            expected = layer(hidden, text, mien=plan)
            place, source = places[key], hidden if text is None else text
            patch = patched.model_options["transformer_options"]["patches_replace"][place.attention][place[:3]]
            options = {"n_heads": layer.heads, "cond_or_uncond": order, "sigmas": torch.tensor([5.0])}
            query, keys, values = layer.to_q(hidden), layer.to_k(source), layer.to_v(source)  # type: ignore[operator]
            found = layer.to_out[1](layer.to_out[0](patch(query, keys, values, options)))  # type: ignore[index]
            torch.testing.assert_close(found, expected, **PASS)


def call(patched: Any, unet: Any, **options: Any) -> torch.Tensor:
    places = attention_places(in_comfy_layout(unet))
    place = places["mid_block/attentions/0/transformer_blocks/0/attn2"]
    patch = patched.model_options["transformer_options"]["patches_replace"]["attn2"][place[:3]]
    generator = torch.Generator().manual_seed(4)
    query = torch.randn(2, 16, place.spec.hidden, generator=generator)
    text = torch.randn(2, 5, place.spec.hidden, generator=generator)
    usual = {"n_heads": place.spec.heads, "cond_or_uncond": [0, 1], "sigmas": torch.tensor([5.0]),
             "original_shape": [2, 4, 8, 8]}  # fmt: skip
    return patch(query, text, text, usual | options)


def test_a_branch_acts_in_its_part_of_the_sampling_alone() -> None:
    unet = tiny_unet()
    patched = apply_branches(Patcher(in_comfy_layout(unet)), branches(unet), conditions(), explicit, span=(0.2, 0.6))
    bare = apply_branches(Patcher(in_comfy_layout(unet)), branches(unet), conditions(), explicit, scale=0.0)
    plain = call(bare, unet)
    for sigma, acts in ((9.0, False), (6.0, True), (3.0, False)):
        found = call(patched, unet, sigmas=torch.tensor([sigma]))
        assert torch.equal(found, plain) != acts


def test_a_mask_of_nothing_is_as_no_branch_and_one_of_everything_as_no_mask() -> None:
    unet = tiny_unet()
    cut = {kind: branch for kind, branch in branches(unet).items() if kind != "identity"}
    model = Patcher(in_comfy_layout(unet))
    free = call(apply_branches(model, cut, conditions(), explicit), unet)
    nowhere = call(apply_branches(model, cut, conditions(), explicit, mask=torch.zeros(1, 8, 8)), unet)
    everywhere = call(apply_branches(model, cut, conditions(), explicit, mask=torch.ones(1, 8, 8)), unet)
    plain = call(apply_branches(model, cut, conditions(), explicit, scale=0.0), unet)
    torch.testing.assert_close(everywhere, free, **PASS)
    torch.testing.assert_close(nowhere, plain, **PASS)
    assert not torch.allclose(free, plain)


def test_several_adapters_and_others_patches_add_up() -> None:
    unet = tiny_unet()
    own = branches(unet)
    model = Patcher(in_comfy_layout(unet))
    once = apply_branches(model, own, conditions(), explicit)
    first = apply_branches(model, {"landmarks": own["landmarks"]}, conditions(), explicit)
    second = apply_branches(first, {k: own[k] for k in ("identity", "emotion")}, conditions(), explicit)
    torch.testing.assert_close(call(second, unet), call(once, unet), **PASS)
    assert second.model_options["transformer_options"][KINDS] == frozenset(own)
    assert "patches_replace" not in model.model_options["transformer_options"]  # the model itself is as before

    doubled = model.clone()
    for key, place in attention_places(in_comfy_layout(unet)).items():
        if key.endswith("attn2"):
            doubled.set_model_attn2_replace(lambda q, k, v, o: 2 * explicit(q, k, v, o), *place[:2])
    both = apply_branches(doubled, own, conditions(), explicit)
    bare = apply_branches(model, own, conditions(), explicit, scale=0.0)
    torch.testing.assert_close(call(both, unet) - call(once, unet), call(bare, unet), **PASS)


def test_conditions_have_weights_of_their_own() -> None:
    """Eq. 6 with e a number that tells which conditions an evaluation had."""
    worth = {"identity": 1.0, "landmarks": 10.0, "emotion": 100.0}
    unet = tiny_unet()
    applied = apply_branches(Patcher(in_comfy_layout(unet)), branches(unet), conditions(), explicit)
    seen = []

    def evaluate(_model: Any, conds: Any, x: Any, _sigma: Any, options: Any) -> list[torch.Tensor]:
        present = options["transformer_options"][PRESENT]
        seen.append(present)
        return [x * 0 + sum(worth[kind] for kind in present) for _ in conds]

    patched = weigh(applied, {"landmarks": 2.0, "emotion": 0.0, "expression": 3.0}, evaluate)
    anchor = patched.model_options["transformer_options"][PRESENT]
    x = torch.zeros(1)
    given = {
        "denoised": x + 4.0, "cond_denoised": x + worth["identity"], "model": None, "cond": [], "input": x,
        "sigma": x, "model_options": patched.model_options,
    }  # fmt: skip
    assert anchor == {"identity"}
    assert patched.post[0](given).item() == 4.0 + 2.0 * worth["landmarks"]
    assert seen == [{"identity", "landmarks"}]  # what weighs nothing is not evaluated
    with pytest.raises(BadInput, match="connect Apply first"):
        weigh(Patcher(in_comfy_layout(unet)), {"landmarks": 1.0}, evaluate)


def test_a_call_without_a_condition_is_as_without_its_branch() -> None:
    unet = tiny_unet()
    own = branches(unet)
    model = Patcher(in_comfy_layout(unet))
    whole = apply_branches(model, own, conditions(), explicit)
    rest = apply_branches(model, {k: own[k] for k in ("identity", "landmarks")}, conditions(), explicit)
    found = call(whole, unet, **{PRESENT: frozenset({"identity", "landmarks"})})
    torch.testing.assert_close(found, call(rest, unet), **PASS)


def test_adapter_files_are_opened_and_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    unet = tiny_unet()
    places = attention_places(in_comfy_layout(unet))
    save_adapter(tmp_path / "a.safetensors", branches(unet))
    assert set(open_adapter(tmp_path / "a.safetensors", places)) == {"identity", "landmarks", "emotion"}
    with pytest.raises(ConfigError, match="made for another base"):
        open_adapter(tmp_path / "a.safetensors", attention_places(in_comfy_layout(tiny_sdxl_unet())))
    with pytest.raises(ConfigError, match="site serial, which ComfyUI cannot patch"):
        check_fit(branches(unet, "serial"), places)
    with pytest.raises(ConfigError, match="no UNet of theirs"):
        attention_places(torch.nn.Linear(1, 1))
    with pytest.raises(BadInput, match="reads emotion, and none of it was given"):
        apply_branches(
            Patcher(in_comfy_layout(unet)), {"emotion": tiny_branch(unet)}, Conditions(), explicit
        )  # fmt: skip
