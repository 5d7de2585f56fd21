"""Branches that stand beside what is trained on a frozen base: EmojiDiff's identity branch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mien.adapters import Branch, Injection
from mien.adapters.published import read_adapter
from mien.errors import ConfigError
from mien.training.export import save_branch
from mien.training.objectives.frozen import FrozenBaseObjective
from mien.training.prompts import Kind
from mien.training.sources import Sources

if TYPE_CHECKING:
    import numpy as np

    from mien.training.examples import Examples


class CompaniedObjective(FrozenBaseObjective):
    """The diffusion loss with other branches in place, in the rows whose prompt does not hold the identity.

    Args:
        sources: where the base and earlier adapters are.
        kind: what the trained part reads.
        companions: branch name -> adapter file, named as ``init`` of `BranchObjective` is.
        train_companions: train their encoder (projection) as well (EmojiDiff A.1), not their K/V.
        file: name under which a trained companion is written, as ``FILE_COMPANION``; the kind by default.
        **settings: see :class:`FrozenBaseObjective`.
    """

    def __init__(
        self,
        sources: Sources,
        kind: str,
        companions: dict[str, str] | None = None,
        train_companions: bool = True,
        file: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(sources, kind, **settings)
        self.file = file or kind
        self.branches = nn.ModuleDict()
        for name, path in (companions or {}).items():
            branch = self._read(path).requires_grad_(False)
            branch.encoder.requires_grad_(train_companions)
            self.branches[name] = branch
        self.companions = list(self.branches)

    def _read(self, name: str) -> Branch:
        """The branch of an adapter file that the sources, a path or an asset's name leads to."""
        path = self.sources.named(name)
        branch = next(iter(read_adapter(path, self.unet).values()))
        if "resampler" in branch.config["encoder_config"].get("type", ""):
            raise ConfigError(f"{path} reads more than the pooled embedding of a picture: use the plain version.")
        return branch

    def inject(self) -> Injection:
        """Put all branches into the UNet, the one that is trained first."""
        names = sorted(self.branches, key=lambda name: name != self.kind)
        branches = {name: self._branch(name) for name in names}
        return Injection(self.unet, branches, attention=self.attention).inject()

    def _gather(
        self, examples: Examples, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray, present: np.ndarray
    ) -> dict[str, Tensor]:
        companion = torch.from_numpy((kinds == Kind.CAPTION) | (kinds == Kind.EMPTY))
        return super()._gather(examples, rows, other, kinds, present) | {"companion": companion}

    def companion_tokens(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens of the companions, and the rows they act in."""
        tokens = {name: self._branch(name).encode(batch["identity"]) for name in self.companions}
        return tokens, dict.fromkeys(self.companions, batch["companion"])

    def _branch(self, name: str) -> Branch:
        branch: Any = self.branches[name]
        return branch

    def export(self, folder: Path) -> None:
        """What was trained: see the base class; companions as ``FILE_COMPANION``."""
        super().export(folder)
        for name in self.branches:
            branch = self._branch(name)
            if any(parameter.requires_grad for parameter in branch.parameters()):
                save_branch(branch, folder, self.file if name == self.kind else f"{self.file}_{name}")
