"""The branches of an objective: the one that is trained, and those beside it (EmojiDiff's identity branch)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from mien.adapters import Branch, Injection
from mien.adapters.published import read_adapter
from mien.errors import ConfigError
from mien.training.export import save_branch
from mien.training.frozen_base import ConditionConfig, FrozenBase, Selection
from mien.training.prompts import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class CompaniedConfig(ConditionConfig):
    """What an objective has that trains one condition beside other branches.

    Attributes:
        companions: branch name -> adapter file, named as ``init`` of `BranchConfig` is. They act in the rows whose
            prompt does not hold the identity.
        train_companions: train their encoder (projection) as well (EmojiDiff A.1), not their K/V.
        file: name under which the branch is written, and a trained companion as ``FILE_COMPANION``; the kind by
            default.
    """

    companions: dict[str, str] = Field(default_factory=dict)
    train_companions: bool = True
    file: str | None = None


class BranchSet:
    """Branches on a base.

    Args:
        base: where they are injected.
        kind: of the branch that is trained, added later; None where there is no one such branch.

    Attributes:
        modules: the branches by name; an objective that has them must hold this module.
        companions: names of those that stand beside.
    """

    def __init__(self, base: FrozenBase, kind: str | None = None) -> None:
        self.base, self.kind = base, kind
        self.modules = nn.ModuleDict()
        self.companions: list[str] = []

    def __getitem__(self, name: str) -> Branch:
        return cast(Branch, self.modules[name])

    def read(self, name: str) -> Branch:
        """The branch of an adapter file that the sources, a path or an asset's name leads to.

        Raises:
            MissingAsset: if it is none of them.
            ConfigError: if it reads more than the pooled embedding of a picture.
        """
        path = self.base.sources.named(name)
        branch = next(iter(read_adapter(path, self.base.unet).values()))
        if "resampler" in branch.config["encoder_config"].get("type", ""):
            raise ConfigError(f"{path} reads more than the pooled embedding of a picture: use the plain version.")
        return branch

    def add_companions(self, files: Mapping[str, str], *, train: bool) -> None:
        """Put frozen branches beside; with ``train`` their encoders are trained."""
        for name, file in files.items():
            branch = self.read(file).requires_grad_(False)
            branch.encoder.requires_grad_(train)
            self.modules[name] = branch
            self.companions.append(name)

    def inject(self) -> Injection:
        """Put all branches into the UNet, the one that is trained first."""
        names = sorted(self.modules, key=lambda name: name != self.kind)
        return Injection(self.base.unet, {name: self[name] for name in names}, attention=self.base.attention).inject()

    def companion_rows(self, selection: Selection) -> dict[str, Tensor]:
        """The rows [B] in which the companions act, as an entry of the batch."""
        kinds = selection.kinds
        return {"companion": torch.from_numpy((kinds == Kind.CAPTION) | (kinds == Kind.EMPTY))}

    def companion_tokens(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens of the companions, and the rows they act in."""
        tokens = {name: self[name].encode(batch["identity"]) for name in self.companions}
        return tokens, dict.fromkeys(self.companions, batch["companion"])

    def export(self, folder: Path, file: str) -> None:
        """Write the branches that are trained: the one as ``FILE``, companions as ``FILE_COMPANION``."""
        for name in self.modules:
            if any(parameter.requires_grad for parameter in self[name].parameters()):
                save_branch(self[name], folder, file if name == self.kind else f"{file}_{name}")
