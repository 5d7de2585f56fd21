"""What a stage of training must offer to the loop."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from mien.errors import ConfigError, MissingAsset
from mien.faces.networks.classes import grown_head
from mien.training.parts import ROW, Part
from mien.training.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    from mien.adapters import Branch
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources

Logs = dict[str, float]
Network = TypeVar("Network", bound=nn.Module)


class ObjectiveConfig(Settings, ABC):
    """The options of an objective; a subclass for each, with its options as fields."""

    @abstractmethod
    def build(self, sources: Sources) -> Objective:
        """The objective with these options.

        Args:
            sources: where the parts are that earlier stages made, for objectives that begin with some.

        Raises:
            MissingAsset: if one is absent.
            ConfigError: if the options do not go with it.
        """


def load_compatible(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy weights into a module of the same class, or of the same class with more attention blocks.

    A block that the weights do not have begins as nothing, so that what the module computes is what the weights did:
    a UNet's transformer with an output projection of zero, a branch's block as it was made, with values of zero.

    Raises:
        ConfigError: if the weights differ in anything else.
    """
    own = module.state_dict()
    new = {found.group() for key in own.keys() - state.keys() if (found := _BLOCK.match(key))}
    grown = {key for key in own if (found := _BLOCK.match(key)) and found.group() in new}
    if own.keys() - grown != state.keys() or any(own[key].shape != value.shape for key, value in state.items()):
        raise ConfigError(f"{source} holds a model of another size, which this preset cannot start from.")
    module.load_state_dict(dict(state), strict=False)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name in grown and ".proj_out." in name:
                parameter.zero_()


_BLOCK = re.compile(r".*\.attentions\.\d+\.|kv\.[^.]+\.")


def open_part(kind: type[Network], folder: Path) -> Network:
    """The module in a ``from_pretrained`` folder that a run begins with.

    Raises:
        MissingAsset: if there is no such folder.
    """
    if not folder.is_dir():
        raise MissingAsset(f"There is no {folder} to start from; give a folder that holds it, or leave --init out.")
    return kind.from_pretrained(folder)  # type: ignore[attr-defined]


def load_part(module: nn.Module, folder: Path) -> None:
    """Copy the weights of a ``from_pretrained`` folder into a module, see :func:`load_compatible`."""
    stored = open_part(type(module), folder)
    state = stored.state_dict()
    if getattr(module, "classes", None) != getattr(stored, "classes", None):
        state |= grown_head(stored, module)
    load_compatible(module, state, str(folder))


def load_branch(branch: Branch, folder: Path, file: str) -> None:
    """Copy the weights of ``adapters/FILE.safetensors`` of a model folder into a branch; see ``start_from``."""
    from mien.adapters import load_adapter

    path = folder / "adapters" / f"{file}.safetensors"
    stored = load_adapter(path)
    if branch.kind not in stored:
        raise ConfigError(f"{path} holds no branch of the kind {branch.kind}.")
    load_compatible(branch, stored[branch.kind].state_dict(), str(path))


class Objective(nn.Module, ABC):
    """A loss over a batch, and everything it trains.

    The step is this module's ``forward`` (else distributed training never synchronises). Parameters that require
    gradients are trained and averaged; the rest is frozen.

    Attributes:
        config_type: the class of its options.
        former_names: prefix of parameters in checkpoints of 0.1.0 -> prefix now.
        progress: share of the run's budget that was seen before this step, 0 to 1; set by the loop.
    """

    config_type: ClassVar[type[ObjectiveConfig]]
    former_names: ClassVar[Mapping[str, str]] = {}
    progress: float = 0.0

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Look at the data once before the first step of every start (statistics, caches); may be slow."""

    def learning_rates(self) -> dict[str, float]:
        """Factors on the learning rate, by prefix of the parameters' names; 1 for the rest."""
        return {}

    @abstractmethod
    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Draw ``size`` training examples; depends on ``rng`` alone, so that an interrupted run repeats itself.

        Every entry has a row for each example. `mien.training.parts.ROW` tells which rows of the corpus they show.
        """

    def batch_parts(
        self, corpus: Corpus, rng: np.random.Generator, size: int, parts: Sequence[Part]
    ) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """Some parts of the batch that :meth:`batch` draws.

        Here the whole batch is made; an objective that knows its rows before it reads them makes those of the parts.

        Returns:
            The parts, without `ROW`; and which rows of the corpus the whole batch shows [B], where it tells.
        """
        whole = self.batch(corpus, rng, size)
        rows = whole.pop(ROW, None)
        return [part.rows(whole) for part in parts], rows

    @abstractmethod
    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """Loss (a scalar) and what to log."""

    def calibrate(self, corpus: Corpus) -> None:
        """Fit what belongs to the averaged weights (batch statistics); called once, at the end, before the export."""

    def validate(self, corpus: Corpus) -> Logs:
        """Numbers on held-out people; called once, after the export, with the averaged weights in place."""
        return self.gaps(corpus)

    def gaps(self, corpus: Corpus) -> Logs:
        """Whether the conditions are followed: the errors on held-out pictures with the right and the wrong ones.

        Called with the averaged weights in place, before the first step, now and then, and at the end. Must leave the
        objective as it was.

        Returns:
            Errors, and from them ``gap`` or ``CONDITION_gap`` (:mod:`mien.training.validation`); empty for an objective
            without conditions, or without held-out people.
        """
        return {}

    def parts(self) -> dict[str, nn.Module]:
        """What this stage trains, by its folder in the layout of the embedded models; known after ``prepare``."""
        return {}

    def extra_state(self) -> dict[str, Tensor]:
        """Tensors that this run does not train and that no other folder has: its checkpoint holds them too."""
        return {}

    def export(self, folder: Path) -> None:
        """Write what this stage trained, as fp16 safetensors, in the layout of the embedded models."""
        from mien.training.export import save_half

        for name, module in self.parts().items():
            save_half(module, folder / name)

    def start_from(self, folder: Path) -> None:
        """Take the weights of a model folder (an export, the embedded model); what is not stored starts as new.

        The folder's UNet may have fewer attention blocks (:func:`load_compatible`), its networks fewer attributes and
        classes (:func:`grown_head`).

        Raises:
            MissingAsset: if a part is absent.
            ConfigError: if one is of another size.
        """
        for name, module in self.parts().items():
            load_part(module, folder / name)

    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
