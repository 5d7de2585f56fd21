"""Train one branch on a frozen base: landmarks, emotion, identity or expression (pre-training stages)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mien.adapters import Injection, load_adapter, preset_branch
from mien.adapters.blocks import Site
from mien.training.export import save_branch
from mien.training.objective import load_branch
from mien.training.objectives.frozen import FrozenBaseObjective
from mien.training.prompts import Kind
from mien.training.sources import Sources

if TYPE_CHECKING:
    import numpy as np

    from mien.training.examples import Examples


class BranchObjective(FrozenBaseObjective):
    """The diffusion loss with one branch in place; only the branch (and ``train_companions``) is trained.

    Args:
        sources: where the base and earlier adapters are.
        kind: ``landmarks``, ``emotion``, ``identity`` or ``expression``.
        file: name of the adapter file that is written; the kind by default.
        init: adapter file the branch starts from.
        companions: branch name -> adapter file of branches that are in place in the rows without identity prompt.
        site: where a fresh branch enters (EmojiDiff A.2): ``parallel``, ``serial`` or ``self``.
        train_companions: train the encoder (projection) of the companions as well (EmojiDiff A.1), not their K/V.
        **settings: see :class:`FrozenBaseObjective`; ``drop`` is for branches whose null is ``zeros``.
    """

    def __init__(
        self,
        sources: Sources,
        kind: str,
        file: str | None = None,
        init: str | None = None,
        companions: dict[str, str] | None = None,
        site: Site = "parallel",
        train_companions: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(sources, kind, **settings)
        self.file = file or kind
        if init is None:
            branch = preset_branch(self.unet, self.sizes, kind, site)
        else:
            branch = next(iter(load_adapter(sources.path(init)).values())).float()
        branches = {kind: branch.requires_grad_(True)}
        for name, path in (companions or {}).items():
            branches[name] = next(iter(load_adapter(sources.path(path)).values())).float().requires_grad_(False)
            branches[name].encoder.requires_grad_(train_companions)
        self.branches = nn.ModuleDict(branches)
        self.companions = [name for name in branches if name != kind]
        self.injection = Injection(self.unet, branches, attention=self.attention).inject()

    def _gather(
        self, examples: Examples, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray, present: np.ndarray
    ) -> dict[str, Tensor]:
        companion = torch.from_numpy((kinds == Kind.CAPTION) | (kinds == Kind.EMPTY))
        return super()._gather(examples, rows, other, kinds, present) | {"companion": companion}

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output for noisy latents under the prompts and conditions of a batch."""
        tokens = {self.kind: self._branch(self.kind).encode(batch["condition"])}
        present = {self.kind: batch["present"]}
        for name in self.companions:
            tokens[name] = self._branch(name).encode(batch["identity"])
            present[name] = batch["companion"]
        plan = self.injection.condition(tokens, present=present)
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, self.text_states(batch), cross_attention_kwargs=plan).sample

    def _branch(self, name: str) -> Any:
        return self.branches[name]

    def start_from(self, folder: Path) -> None:
        """Take the branch from its adapter file; see the base class."""
        load_branch(self._branch(self.kind), folder, self.file)

    def export(self, folder: Path) -> None:
        """``adapters/FILE.safetensors``, and companions whose projection was trained as ``FILE_COMPANION``."""
        for name in self.branches:
            branch = self._branch(name)
            if any(p.requires_grad for p in branch.parameters()):
                save_branch(branch, folder, self.file if name == self.kind else f"{self.file}_{name}")
