"""Inject and eject leave no trace; a branch that does nothing is bit-equal to no branch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import Tensor, nn

from mien.adapters import Branch, Injection
from mien.errors import BadInput, ConfigError
from tests.tiny import TEXT_DIM, tiny_branch, tiny_condition, tiny_sdxl_unet, tiny_unet
from tests.tolerance import PASS, ROUNDED

KINDS = ("landmarks", "emotion", "expression", "identity")
BATCH = 3


def call(unet: Any, kwargs: dict[str, Any] | None = None, rows: slice | None = None) -> Tensor:
    """One UNet call on fixed inputs."""
    generator = torch.Generator().manual_seed(9)
    sample = torch.randn(BATCH, 4, 8, 8, generator=generator)
    text = torch.randn(BATCH, 7, TEXT_DIM, generator=generator)
    time = torch.tensor([5, 400, 900])
    rows = rows or slice(None)
    extra = {}
    if unet.config.addition_embed_type == "text_time":
        extra["added_cond_kwargs"] = {
            "text_embeds": torch.randn(BATCH, 20, generator=generator)[rows],
            "time_ids": torch.arange(BATCH * 6).reshape(BATCH, 6).float()[rows],
        }
    return unet(sample[rows], time[rows], text[rows], cross_attention_kwargs=kwargs, **extra).sample


def tokens_of(branches: dict[str, Branch]) -> dict[str, Tensor]:
    return {name: branch.encode(tiny_condition(branch.kind, BATCH)) for name, branch in branches.items()}


@pytest.fixture(params=["sd15", "sdxl"])
def unet(request: pytest.FixtureRequest) -> Any:
    return tiny_unet() if request.param == "sd15" else tiny_sdxl_unet()


@pytest.mark.parametrize("site", ["parallel", "serial", "self"])
@torch.no_grad()
def test_inject_and_eject_twice_leave_no_trace(unet: Any, site: Any) -> None:
    before = call(unet)
    state = {key: value.clone() for key, value in unet.state_dict().items()}
    processors = dict(unet.attn_processors)
    modules = [name for name, _ in unet.named_modules()]
    unet.mid_block.train()
    unet.conv_in.requires_grad_(False)
    modes = [module.training for module in unet.modules()]
    flags = [parameter.requires_grad for parameter in unet.parameters()]
    branches = {"emotion": tiny_branch(unet, site=site)}
    injection = Injection(unet, branches)
    for _ in range(2):
        injection.inject()
        assert injection.injected
        assert list(unet.state_dict()) == list(state)
        assert [name for name, _ in unet.named_modules()] == modules
        assert torch.equal(call(unet), before)
        assert not torch.equal(call(unet, injection.condition(tokens_of(branches))), before)
        injection.eject()
        assert not injection.injected
        assert torch.equal(call(unet), before)
        assert all(torch.equal(unet.state_dict()[key], value) for key, value in state.items())
        assert list(unet.attn_processors) == list(processors)
        assert all(unet.attn_processors[key] is value for key, value in processors.items())
        assert [module.training for module in unet.modules()] == modes
        assert [parameter.requires_grad for parameter in unet.parameters()] == flags
        assert not any(module._forward_pre_hooks for module in unet.modules())


class ModuleProcessor(nn.Module):
    """A base processor with parameters of its own, as IP-Adapter's are."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.inner = AttnProcessor()

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, attention_mask: Any = None):
        return self.gain * self.inner(attn, hidden_states, encoder_hidden_states, attention_mask)


@torch.no_grad()
def test_base_processors_with_parameters_stay_registered() -> None:
    unet = tiny_unet()
    unet.set_attn_processor({key: ModuleProcessor() for key in unet.attn_processors})
    before, keys, processors = call(unet), list(unet.state_dict()), dict(unet.attn_processors)
    branches = {"emotion": tiny_branch(unet)}
    with Injection(unet, branches) as injection:
        assert list(unet.state_dict()) == keys
        assert torch.equal(call(unet), before)
        assert not torch.equal(call(unet, injection.condition(tokens_of(branches))), before)
    assert list(unet.state_dict()) == keys
    assert all(unet.attn_processors[key] is value for key, value in processors.items())
    assert torch.equal(call(unet), before)


@torch.no_grad()
def test_a_foreign_base_processor_gives_the_same_sum() -> None:
    class Foreign(AttnProcessor):
        """Another class: mien must not assume what it computes."""

    unet = tiny_unet()
    branches = {"emotion": tiny_branch(unet)}
    outputs = []
    for processor in (AttnProcessor(), Foreign(), AttnProcessor2_0()):
        unet.set_attn_processor(processor)
        with Injection(unet, branches) as injection:
            outputs.append(call(unet, injection.condition(tokens_of(branches))))
    torch.testing.assert_close(outputs[1], outputs[0], **PASS)
    torch.testing.assert_close(outputs[2], outputs[0], **PASS)


@torch.no_grad()
def test_eject_undoes_even_foreign_changes() -> None:
    unet = tiny_unet()
    processors = dict(unet.attn_processors)
    injection = Injection(unet, [tiny_branch(unet)]).inject()
    unet.set_attn_processor(AttnProcessor())
    injection.eject()
    injection.eject()
    assert all(unet.attn_processors[key] is value for key, value in processors.items())


@pytest.mark.parametrize("attention", ["auto", "explicit", "sdpa"])
@torch.no_grad()
def test_scale_zero_everywhere_is_bit_equal(unet: Any, attention: Any) -> None:
    branches = {kind: tiny_branch(unet, kind) for kind in KINDS}
    if attention != "auto":
        unet.set_attn_processor(AttnProcessor() if attention == "explicit" else AttnProcessor2_0())
    before = call(unet)
    with Injection(unet, branches, attention=attention) as injection:
        kwargs = injection.condition(tokens_of(branches), dict.fromkeys(KINDS, 0.0))
        assert kwargs["mien"].terms == ()
        assert torch.equal(call(unet, kwargs), before)
        assert torch.equal(call(unet, injection.condition({})), before)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("site", ["parallel", "serial", "self"])
@torch.no_grad()
def test_rows_with_their_own_scales_equal_separate_runs(unet: Any, site: Any, static: bool) -> None:
    branches = {kind: tiny_branch(unet, kind, site=site, seed=seed) for seed, kind in enumerate(KINDS)}
    scales = {
        "landmarks": [1.0, 0.0, 0.5],
        "emotion": [0.0, 0.0, 2.0],
        "identity": [1.0, 0.0, 0.0],
        "expression": [0.0] * 3,
    }
    before = call(unet)
    with Injection(unet, branches, static_shapes=static) as injection:
        tokens = tokens_of(branches)
        mixed = call(unet, injection.condition(tokens, scales))
        assert torch.equal(mixed[1], before[1])
        for row in range(BATCH):
            alone = injection.condition(
                {name: value[row : row + 1] for name, value in tokens.items()},
                {name: value[row] for name, value in scales.items()},
            )
            single = call(unet, alone, slice(row, row + 1))
            torch.testing.assert_close(mixed[row : row + 1], single, **PASS)


@pytest.mark.parametrize("attention", ["auto", "explicit"])
@torch.no_grad()
def test_a_serial_branch_comes_after_the_parallel_ones(unet: Any, attention: Any) -> None:
    """EmojiDiff A.2 c: x += base + identity, then x += Attn(Q(norm2 x), K_e, V_e)."""
    identity, expression = tiny_branch(unet, "identity"), tiny_branch(unet, "expression", site="serial", seed=1)
    both = {"identity": identity, "expression": expression}
    tokens = tokens_of(both)

    def output(branches: dict[str, Any], scales: dict[str, Any] | None = None) -> Tensor:
        with Injection(unet, branches, attention=attention) as injection:
            given = {name: tokens[name] for name in branches}
            return call(unet, injection.condition(given, scales or {}))

    together = output(both)
    first, second = output({"identity": identity}), output({"expression": expression})
    torch.testing.assert_close(output(both, {"expression": 0.0}), first, **PASS)
    torch.testing.assert_close(output(both, {"identity": 0.0}), second, **PASS)
    assert (together - first).abs().max() > 1e-4 and (together - second).abs().max() > 1e-4
    # the second query has seen what the first added: in parallel it would not have
    parallel = tiny_branch(unet, "expression", seed=1)
    side_by_side = output({"identity": identity, "expression": parallel})
    assert (together - side_by_side).abs().max() > 1e-5


@torch.no_grad()
def test_a_dropped_row_is_untouched_by_tokens_that_are_not_finite() -> None:
    unet = tiny_unet()
    branches = {"emotion": tiny_branch(unet)}
    before = call(unet)
    tokens = tokens_of(branches)
    tokens["emotion"][1] = float("nan")
    for static in (False, True):
        with Injection(unet, branches, static_shapes=static) as injection:
            mixed = call(unet, injection.condition(tokens, {"emotion": [1.0, 0.0, 1.0]}))
        assert torch.equal(mixed[1], before[1])
        assert torch.isfinite(mixed).all()


@torch.no_grad()
def test_branches_are_summed() -> None:
    """With two copies of one branch, scales 0.3 and 0.7 are as one branch at 1."""
    unet = tiny_unet()
    branch = tiny_branch(unet)
    tokens = branch.encode(tiny_condition("emotion", BATCH))
    with Injection(unet, {"a": branch, "b": branch}) as injection:
        both = call(unet, injection.condition({"a": tokens, "b": tokens}, {"a": 0.3, "b": 0.7}))
        one = call(unet, injection.condition({"a": tokens}))
    torch.testing.assert_close(both, one, **PASS)


@torch.no_grad()
def test_null_cut_and_null_zeros() -> None:
    unet = tiny_unet()
    present = torch.tensor([True, False, True])
    before = call(unet)
    for null in ("cut", "zeros"):
        branches = {"expression": tiny_branch(unet, "expression", null=null)}
        tokens = tokens_of(branches)
        with Injection(unet, branches) as injection:
            dropped = call(unet, injection.condition(tokens, present={"expression": present}))
            full = call(unet, injection.condition(tokens))
            zeros = branches["expression"].encode(torch.zeros(BATCH, 5, 20))
            absent = before if null == "cut" else call(unet, injection.condition({"expression": zeros}))
        torch.testing.assert_close(dropped[1], absent[1], **ROUNDED)
        torch.testing.assert_close(dropped[[0, 2]], full[[0, 2]], **PASS)


@torch.no_grad()
def test_evaluations_make_rows_by_set() -> None:
    unet = tiny_unet()
    branches = {
        "landmarks": tiny_branch(unet, "landmarks"),
        "expression": tiny_branch(unet, "expression", null="zeros"),
    }
    sets = [set(), {"landmarks"}, {"landmarks", "expression"}]
    one = {name: value[:1] for name, value in tokens_of(branches).items()}
    three = {name: value.expand(3, -1, -1) for name, value in one.items()}
    with Injection(unet, branches) as injection:
        together = call(unet, injection.condition(one, {"landmarks": 0.8}, evaluations=sets))
        present = {name: torch.tensor([name in names for names in sets]) for name in branches}
        apart = call(unet, injection.condition(three, {"landmarks": 0.8}, present=present))
    torch.testing.assert_close(together, apart, **ROUNDED)


@torch.no_grad()
def test_region_masks_act_where_they_say() -> None:
    unet = tiny_unet()
    branches = {"emotion": tiny_branch(unet)}
    tokens = tokens_of(branches)
    with Injection(unet, branches) as injection:
        full = call(unet, injection.condition(tokens))
        ones = call(unet, injection.condition(tokens, masks={"emotion": torch.ones(BATCH, 32, 32)}))
        none = call(unet, injection.condition(tokens, masks={"emotion": torch.zeros(BATCH, 32, 32)}))
        assert torch.equal(ones, full)
        torch.testing.assert_close(none, call(unet), **ROUNDED)
        mask = torch.zeros(BATCH, 32, 32)
        mask[:, :16] = 1
        kwargs = injection.condition(tokens, masks={"emotion": mask}, taps=True)
        call(unet, kwargs)
    for tap in kwargs["mien"].taps.values():
        h, w = tap.grid
        rows = tap.terms["emotion"].unflatten(1, (h, w))
        assert rows[:, h // 2 :].abs().max() == 0
        assert rows[:, : h // 2].abs().max() > 0


@torch.no_grad()
def test_odd_grids_and_non_square_masks() -> None:
    unet = tiny_sdxl_unet()
    branches = {"emotion": tiny_branch(unet)}
    tokens = {"emotion": tokens_of(branches)["emotion"][:1]}
    extra = {"text_embeds": torch.randn(1, 20), "time_ids": torch.zeros(1, 6)}
    with Injection(unet, branches) as injection:
        kwargs = injection.condition(tokens, masks={"emotion": torch.ones(1, 20, 28)}, grid=(5, 7), taps=True)
        arguments = (torch.randn(1, 4, 5, 7), 3, torch.randn(1, 7, TEXT_DIM))
        unet(*arguments, added_cond_kwargs=extra, cross_attention_kwargs=kwargs)
    assert {tap.grid for tap in kwargs["mien"].taps.values()} == {(3, 4), (2, 2)}


@torch.no_grad()
def test_block_lists_and_step_ranges() -> None:
    unet = tiny_unet()
    branches = {"emotion": tiny_branch(unet)}
    with Injection(unet, branches) as injection:
        tokens = tokens_of(branches)
        kwargs = injection.condition(tokens, blocks={"emotion": "mid_block/*"}, taps=True)
        call(unet, kwargs)
        touched = [key for key, tap in kwargs["mien"].taps.items() if tap.terms]
        assert touched == ["mid_block/attentions/0/transformer_blocks/0/attn2"]
        plan = injection.condition(tokens, steps={"emotion": (0.25, 0.75)})["mien"]
    assert [len(plan.at(fraction).terms) for fraction in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0, 1, 1, 1, 0]


@torch.no_grad()
def test_taps_are_the_attention_outputs() -> None:
    unet = tiny_unet()
    branches = {"emotion": tiny_branch(unet), "landmarks": tiny_branch(unet, "landmarks")}
    seen: dict[str, Tensor] = {}
    for path, module in unet.named_modules():
        if path.endswith("attn2.to_out.0"):
            key = path.removesuffix(".to_out.0").replace(".", "/")
            module.register_forward_pre_hook(lambda _, inputs, key=key: seen.__setitem__(key, inputs[0]))
    with Injection(unet, branches) as injection:
        kwargs = injection.condition(tokens_of(branches), {"emotion": [1.0, 0.0, 1.0]}, taps=True)
        tapped = call(unet, kwargs)
        plain = call(unet, injection.condition(tokens_of(branches), {"emotion": [1.0, 0.0, 1.0]}))
    torch.testing.assert_close(tapped, plain, **ROUNDED)
    taps = kwargs["mien"].taps
    assert set(taps) == set(branches["emotion"].blocks)
    for key, tap in taps.items():
        assert tap.grid[0] * tap.grid[1] == tap.total.shape[1]
        assert tap.terms["emotion"][1].abs().max() == 0
        torch.testing.assert_close(tap.base + sum(tap.terms.values()), tap.total)
        torch.testing.assert_close(tap.total, seen[key], **PASS)


def test_the_unet_is_not_registered_anywhere() -> None:
    unet = tiny_unet()
    branch = tiny_branch(unet)
    holder = nn.Module()
    holder.injection = Injection(unet, [branch])  # type: ignore[assignment]
    assert list(holder.parameters()) == []
    assert set(branch.state_dict()) == set(tiny_branch(tiny_unet()).state_dict())


def test_errors_are_one_sentence() -> None:
    unet = tiny_unet()
    branch = tiny_branch(unet)
    with pytest.raises(ConfigError, match="another base"):
        Injection(tiny_unet(block_out_channels=(32, 32)), [branch])
    with pytest.raises(ConfigError, match="same name"):
        Injection(unet, [branch, branch])
    with pytest.raises(ConfigError, match="choose auto"):
        Injection(unet, [branch], attention="fast")  # type: ignore[arg-type]
    injection = Injection(unet, [branch])
    tokens = branch.encode(tiny_condition("emotion", BATCH))
    with pytest.raises(BadInput, match="expresion"):
        injection.condition({"expresion": tokens})
    with pytest.raises(BadInput, match="one number, or 3"):
        injection.condition({"emotion": tokens}, {"emotion": [1.0, 0.0]})
    with pytest.raises(ConfigError, match="No block is called"):
        injection.condition({"emotion": tokens}, blocks={"emotion": ["middle"]})
    with injection, pytest.raises(BadInput, match="3 rows, but its branches hold 2"):
        call(unet, injection.condition({"emotion": tokens[:2]}))
    with injection, pytest.raises(ConfigError, match="eject"):
        Injection(unet, [branch]).inject()
    with pytest.raises(BadInput, match="axes"):
        branch.encode(torch.zeros(10))
