"""A LoRA that belongs to a branch: low-rank updates of the base's attention while the branch is in (FaceID files).

Kept beside peft, which puts modules of its own into the UNet: these are hooks that go with the branch, and the UNet's
modules and names of weights stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mien.adapters.blocks import BlockSpec, attention_modules

LINEARS = ("to_q", "to_k", "to_v", "to_out")


class LowRank(nn.Module):
    """x -> up(down(x)), to be added to what a linear layer gives (Hu et al. 2021); up starts at zero.

    Args:
        inputs: width of x.
        outputs: width of the result.
        rank: width between.
    """

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)
        nn.init.normal_(self.down.weight, std=1 / rank)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs], in the dtype of x."""
        return self.up(self.down(x.to(self.down.weight.dtype))).to(x.dtype)


def attention_specs(unet: nn.Module) -> dict[str, BlockSpec]:
    """Every attention layer of a UNet, self-attention too: block key -> widths."""
    return {
        key: BlockSpec(module.inner_dim, module.heads, cast(nn.Linear, module.to_k).in_features)
        for key, module in attention_modules(unet)
    }


def build_low_rank(rank: int, blocks: Mapping[str, Sequence[int]]) -> nn.ModuleDict:
    """Updates of queries, keys, values and output of attention layers.

    Args:
        rank: of each.
        blocks: block key -> [hidden, heads, cross_dim].
    """
    found = nn.ModuleDict()
    for key, (hidden, _, cross) in blocks.items():
        inputs = {"to_q": hidden, "to_k": cross, "to_v": cross, "to_out": hidden}
        found[key] = nn.ModuleDict({name: LowRank(inputs[name], hidden, rank) for name in LINEARS})
    return found


def put_low_rank(unet: nn.Module, updates: Iterable[nn.ModuleDict]) -> list[RemovableHandle]:
    """Let the linear layers of a UNet's attention add the updates to what they give.

    Hooks, so that no key, parameter or module of the UNet changes; they act on all rows of a call, as LoRA files do
    elsewhere.

    Args:
        unet: the base.
        updates: of :func:`build_low_rank`, one for each branch that has them.

    Returns:
        What takes them off again.
    """
    layers = dict(attention_modules(unet))
    handles = []
    for one in updates:
        for key, parts in one.items():
            for name, update in cast(nn.ModuleDict, parts).items():
                layer = getattr(layers[key], name)
                linear: nn.Module = layer[0] if name == "to_out" else layer
                handles.append(linear.register_forward_hook(_adding(update)))
    return handles


def _adding(update: nn.Module) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + update(inputs[0])

    return hook
