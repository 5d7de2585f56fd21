"""Few-step mode: a distilled LoRA, and what it was distilled for, in one file beside the base.

The file's tensors have the names of diffusers' LoRA files (``unet.LAYER.lora_A.weight``), so that
``load_lora_weights`` reads it too; the header says for how many steps and which guidance it was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mien.core.strict import StrictModel
from mien.core.weights import read_metadata, read_weights, write_weights
from mien.diffusion.few_step import few_step_scheduler
from mien.diffusion.guidance import Guidance
from mien.errors import BadInput, ConfigError, MissingAsset

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline


FILE = "few_step.safetensors"
FORMAT = "mien-few-step"
VERSION = "1"
_PREFIX = "unet."


class FewStep(StrictModel):
    """What a LoRA was distilled for.

    Attributes:
        steps: number of steps; it draws well with this one only.
        guidance: condition or ``text`` -> guidance weight that is inside.
    """

    steps: int = Field(ge=1)
    guidance: dict[str, float]

    def guide(
        self,
        present: Iterable[str],
        guidance: Mapping[str, float] | Guidance | None,
        rescale: float,
        negative: bool,
        steps: int | None,
    ) -> Guidance:
        """The one evaluation of a call, with every condition.

        Args:
            present: conditions, and ``text``.
            guidance: what the caller asks for, as are the others; nothing but what is inside can be had.
            rescale: of the guidance.
            negative: whether there is a negative prompt, for an unconditional evaluation, which there is not.
            steps: None where the caller does not say.

        Raises:
            BadInput: if something else is asked for.
        """
        weights = guidance if isinstance(guidance, Mapping) else {}
        other = [name for name, weight in weights.items() if self.guidance.get(name) != weight]
        if other or isinstance(guidance, Guidance) or rescale or negative:
            weights = ", ".join(f"{name}={weight:g}" for name, weight in self.guidance.items())
            raise BadInput(
                f"The few-step mode has its guidance inside ({weights}): leave guidance, its rescaling and the "
                "negative prompt out, or draw with the speed exact or fast."
            )
        if steps not in (None, self.steps):
            raise BadInput(
                f"The few-step mode of this base draws in {self.steps} steps: leave the number of steps out."
            )
        return Guidance((), start=frozenset(present))

    def check_timetable(self, timesteps: Sequence[int] | None, sigmas: Sequence[float] | None) -> None:
        """Refuse steps of the caller's own.

        Raises:
            BadInput: if any are given.
        """
        if timesteps is not None or sigmas is not None:
            raise BadInput("The few-step mode has steps of its own: leave timesteps and sigmas out.")


class Folded:
    """W + B A of a UNet's layers, computed when W is first seen and kept for as long as W stays what it is."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Tensor, float, Tensor]] = {}

    @contextmanager
    def into(self, unet: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """The UNet with a LoRA added to its weights for a while; the very tensors W come back afterwards.

        Args:
            unet: the base; layers that carry a LoRA of peft's have it added to the weights beneath.
            tensors: of :class:`FewStepLora`.

        Raises:
            ConfigError: if a layer is not there, or has another shape.
        """
        replaced: list[tuple[nn.Parameter, Tensor]] = []
        try:
            for layer, down, up in _pairs(tensors):
                weight = _weight(unet, layer)
                own = weight.data
                weight.data = self._of(layer, own, down, up)
                replaced.append((weight, own))
            yield
        finally:
            for weight, own in replaced:
                weight.data = own

    @torch.no_grad()
    def _of(self, layer: str, own: Tensor, down: Tensor, up: Tensor) -> Tensor:
        """W + B A of one layer."""
        # A LoRA merged by diffusers writes to the same memory and torch does not count it: the sum tells.
        total = own.sum(dtype=torch.float32).item()
        known = self._kept.get(layer)
        if known is not None and known[0].data_ptr() == own.data_ptr() and known[1] == total:
            return known[2]
        update = _product(layer, down.to(own.device).float(), up.to(own.device).float(), own)
        folded = (own.float() + update).to(own.dtype)
        self._kept[layer] = own, total, folded  # W is held so that nothing else comes to lie there
        return folded


@dataclass(frozen=True, eq=False)
class FewStepLora:
    """A file.

    Attributes:
        tensors: ``LAYER.lora_A.weight`` and ``LAYER.lora_B.weight`` -> values.
        settings: what it was distilled for.
        folded: the weights with the LoRA in them, from the first picture on: as large as those of the UNet's layers.
    """

    tensors: dict[str, Tensor]
    settings: FewStep
    folded: Folded = field(default_factory=Folded, repr=False)


def save_few_step(path: Path, tensors: Mapping[str, Tensor], settings: FewStep) -> None:
    """Write a LoRA in fp16 with its settings, atomically."""
    metadata = {"format": FORMAT, "version": VERSION, "config": settings.model_dump_json()}
    half = {f"{_PREFIX}{name}": value.detach().to("cpu", torch.float16).contiguous() for name, value in tensors.items()}
    write_weights(path, half, metadata)


def read_few_step(path: Path | None) -> FewStepLora:
    """Read a file of :func:`save_few_step`; None is the place of a base that has none.

    Raises:
        MissingAsset: if it is not there.
        ConfigError: if it is another file, of a later version, or incomplete.
    """
    if path is None or not path.is_file():
        raise MissingAsset(
            "This base has no few-step weights: distil it with a few-step preset of  mien train  and load the file "
            "with --adapter, draw with the speed exact or fast, or load an LCM LoRA with --lora."
        )
    metadata, stored = read_weights(path)
    tensors = {key.removeprefix(_PREFIX): value for key, value in stored.items()}
    if (metadata.get("format"), metadata.get("version")) != (FORMAT, VERSION):
        raise ConfigError(f"{path} holds no few-step weights that this mien reads; update mien, or fetch it again.")
    _check_pairs(path, tensors)
    unreadable = f"{path} carries no readable settings, fetch it again"
    return FewStepLora(tensors, FewStep.parsed(metadata.get("config", ""), unreadable))


def _check_pairs(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse anything but pairs of A [r, ...] and B [out, r, ...]."""
    ends = (".lora_A.weight", ".lora_B.weight")
    layers = {key.removesuffix(end) for key in tensors for end in ends if key.endswith(end)}
    if not layers or tensors.keys() != {layer + end for layer in layers for end in ends}:
        raise ConfigError(f"{path} holds half of a LoRA; fetch it again.")
    for layer, down, up in _pairs(tensors):
        fits = down.ndim >= 2 and up.ndim >= 2 and len(down) == up.shape[1]
        if not fits or not (down.is_floating_point() and up.is_floating_point()):
            raise ConfigError(f"{path} is damaged: the two halves of {layer} do not fit each other; fetch it again.")


def is_few_step(path: Path) -> bool:
    """Whether a safetensors file says that it is one of these."""
    try:
        return read_metadata(path).get("format") == FORMAT
    except ConfigError:
        return False


def truncated(tensors: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """The best approximation of each layer's B A by one of a lower rank (Eckart & Young 1936).

    Args:
        tensors: of :class:`FewStepLora`.
        rank: largest rank that is left.
    """
    found = {}
    for layer, down, up in _pairs(tensors):
        left, strength, right = torch.linalg.svd(up.float().flatten(1) @ down.float().flatten(1), full_matrices=False)
        kept, root = min(rank, len(down)), strength.sqrt()
        found[f"{layer}.lora_A.weight"] = (root[:kept, None] * right[:kept]).view(kept, *down.shape[1:])
        found[f"{layer}.lora_B.weight"] = (left[:, :kept] * root[:kept]).view(len(up), kept, *up.shape[2:])
    return found


@contextmanager
def in_few_steps(pipeline: PortraitPipeline, lora: FewStepLora | None) -> Iterator[None]:
    """A pipeline with a distilled UNet and its solver for a while; as it is where there is no LoRA.

    Args:
        pipeline: a diffusers pipeline.
        lora: see :func:`read_few_step`.

    Raises:
        ConfigError: if the LoRA is for another base.
    """
    if lora is None:
        yield
        return
    own = pipeline.scheduler
    with lora.folded.into(pipeline.unet, lora.tensors):
        pipeline.scheduler = few_step_scheduler(own.config)
        try:
            yield
        finally:
            pipeline.scheduler = own


def widened(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A LoRA as the beginning of one of at least its rank: what it computes is the same, and the rest can learn.

    Args:
        tensors: of :class:`FewStepLora`.
        own: of the one that begins, as it was made; its further ranks keep their A and have a B of zeros.

    Raises:
        ConfigError: if it has other layers, layers of another shape, or a smaller rank.
    """
    if tensors.keys() != own.keys():
        raise ConfigError("These few-step weights are for other layers: begin without them, or distil the same layers.")
    found = {}
    for layer, down, up in _pairs(tensors):
        own_down, own_up = own[f"{layer}.lora_A.weight"].clone(), torch.zeros_like(own[f"{layer}.lora_B.weight"])
        rank = len(down)
        if rank > len(own_down) or down.shape[1:] != own_down.shape[1:] or len(up) != len(own_up):
            raise ConfigError(
                f"The few-step weights of {layer} have rank {rank} and shape {(len(up), *down.shape[1:])}, not a rank "
                f"up to {len(own_down)} and {(len(own_up), *own_down.shape[1:])}: set a larger rank, or begin without."
            )
        own_down[:rank], own_up[:, :rank] = down, up
        found |= {f"{layer}.lora_A.weight": own_down, f"{layer}.lora_B.weight": own_up}
    return found


def _pairs(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, Tensor]]:
    for key, down in tensors.items():
        if key.endswith(".lora_A.weight"):
            layer = key.removesuffix(".lora_A.weight")
            yield layer, down, tensors[f"{layer}.lora_B.weight"]


def _weight(unet: nn.Module, layer: str) -> nn.Parameter:
    try:
        module: Any = unet.get_submodule(layer)
    except AttributeError as error:
        raise ConfigError(f"The few-step weights are for another base: this one has no {layer}.") from error
    module = module.get_base_layer() if hasattr(module, "get_base_layer") else module
    return module.weight


def _product(layer: str, down: Tensor, up: Tensor, weight: Tensor) -> Tensor:
    """B A in the shape of a linear layer's weight, or of a convolution's, whose A holds the kernel."""
    found = up.flatten(1) @ down.flatten(1)
    if found.numel() != weight.numel() or up.shape[0] != weight.shape[0]:
        raise ConfigError(f"The few-step weights are for another base: its {layer} has another shape.")
    return found.view(weight.shape)
