"""From latents to the guided prediction of one denoising step: which UNet calls it takes, and what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mien.adapters.base_keys import base_keys
from mien.adapters.plan import BaseKeys, BranchPlan
from mien.diffusion.caching import Caching, Step
from mien.diffusion.differences import Differences, noise_factor
from mien.diffusion.guidance import Guidance
from mien.diffusion.shortcuts import Recalled, SharedRows, each_tensor
from mien.diffusion.unet_parts import deep_modules, shared_modules
from mien.pipelines.controlnet import ControlledRows

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from mien.diffusion.schedulers import Scheduler


@dataclass(frozen=True)
class Rows:
    """How the evaluations of some pictures lie in one batch: row e P + i is picture i under evaluation e.

    Attributes:
        guide: whose evaluations.
        pictures: P.
    """

    guide: Guidance
    pictures: int

    @property
    def every(self) -> slice:
        """All rows."""
        return slice(0, len(self.guide.evaluations()) * self.pictures)

    @property
    def reference(self) -> slice:
        """The rows of the reference evaluation."""
        start = self.guide.reference() * self.pictures
        return slice(start, start + self.pictures)

    def distinct(self, device: torch.device) -> tuple[Tensor, Tensor] | None:
        """Where rows share their text: the first row of each text [D], and which of them each row has [E P].

        None where all texts are different.
        """
        agree = self.guide.rows_sharing("text")
        if len(set(agree)) == len(agree):
            return None
        firsts = sorted(set(agree))
        own = torch.arange(self.pictures)
        first = torch.cat([own + start * self.pictures for start in firsts])
        place = torch.cat([own + firsts.index(start) * self.pictures for start in agree])
        return first.to(device), place.to(device)


def text_keys(unet: nn.Module, states: Tensor, rows: Rows) -> BaseKeys | None:
    """Keys and values of the distinct texts among ``states`` [E P, L, D]; see :func:`base_keys`."""
    distinct = rows.distinct(states.device)
    return base_keys(unet, states) if distinct is None else base_keys(unet, states[distinct[0]], distinct[1])


@dataclass(eq=False)
class GuidedSteps:
    """The guided predictions of one sampling.

    Attributes:
        unet: the base, with its branches in.
        scheduler: with its timesteps set.
        rows: of the UNet's batch.
        text: states [E P, L, D].
        added: further arguments of the UNet, tensors with a row each.
        plan: of all rows.
        controlled: what a ControlNet adds.
        caching: what is reused between steps.
        count: number of steps.
    """

    unet: UNet2DConditionModel
    scheduler: Scheduler
    rows: Rows
    text: Tensor
    added: Mapping[str, Any]
    plan: BranchPlan
    controlled: ControlledRows | None
    caching: Caching
    count: int
    _differences: Differences = field(init=False)
    _schedule: list[Step] = field(init=False)
    _dtype: torch.dtype = field(init=False)
    _residuals: tuple[slice, dict[str, Any]] | None = field(init=False, default=None)
    _recalled: list[tuple[Recalled, bool]] = field(init=False, default_factory=list)
    _shared: SharedRows | None = field(init=False, default=None)
    _acting: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        setting = self.caching.differences
        self._dtype = self.unet.dtype  # diffusers looks through all modules for it, each time it is asked
        self._differences = Differences(setting is None or setting.extrapolate)
        self._schedule = self.caching.schedule(self.count, len(self.rows.guide.evaluations()))
        keys = text_keys(self.unet, self.text, self.rows)
        self.plan = self.plan._replace(text=keys, batch=len(self.text))
        self._reference_plan = self.plan.part(self.rows.reference)

    @contextmanager
    def shortcuts(self) -> Iterator[GuidedSteps]:
        """Everything that is computed once for all rows or steps, while it lasts; the UNet is as before afterwards.

        A compiled UNet runs whole: its code was made once, and its texts and the differences are all that is kept.
        """
        if any(getattr(module, "_compiled_call_impl", None) for module in self.unet.modules()):
            yield self
            return
        distinct = self.rows.distinct(self.text.device)
        features = self.caching.features
        try:
            if distinct is not None:
                taken = {block for term in self.plan.terms for block in term.keys}
                names = {module: name.replace(".", "/") for name, module in self.unet.named_modules()}
                modules = [module for module in shared_modules(self.unet) if names[module] not in taken]
                self._shared = SharedRows(modules, *distinct)
            constant = getattr(self.unet, "add_embedding", None)
            if constant is not None:  # of text and sizes, which are the same at every step
                self._recalled.append((Recalled([constant]), True))
            if features is not None:
                self._recalled.append((Recalled(deep_modules(self.unet, features.depth)), False))
            yield self
        finally:
            for recalled, _ in reversed(self._recalled):
                recalled.remove()
            if self._shared is not None:
                self._shared.remove()
            self._recalled, self._shared, self._residuals = [], None, None

    def __call__(self, latents: Tensor, timestep: Tensor, index: int) -> Tensor:
        """The guided prediction [P, C, h, w] of step ``index``, float32."""
        guide, step = self.rows.guide, self._schedule[index]
        acting = tuple(term.name for term in self.plan.at(self._progress(index)).terms)
        if acting != self._acting and step.guided:  # a branch came or went: its difference did too
            step = Step(whole=True, guided=True, deep=True)
        self._acting = acting
        evaluations = len(guide.evaluations())
        if not step.whole:
            output = self._call(latents, timestep, index, self.rows.reference, step.deep)
            factor = noise_factor(self.scheduler, timestep).to(output.device)
            return output + self._differences.at(index, factor) if step.guided else output
        output = self._call(torch.cat([latents] * evaluations), timestep, index, self.rows.every, step.deep)
        guided = guide.combine(output) if step.guided else output[self.rows.reference]
        if self.caching.differences is not None and step.guided and evaluations > 1:
            factor = noise_factor(self.scheduler, timestep).to(output.device)
            self._differences.keep(index, guided - output[self.rows.reference], factor)
        return guided

    def _call(self, latents: Tensor, timestep: Tensor, index: int, span: slice, deep: bool) -> Tensor:
        """The UNet's output for some rows, float32."""
        inputs = self.scheduler.scale_model_input(latents, timestep).to(self._dtype)
        everything = span == self.rows.every
        plan = (self.plan if everything else self._reference_plan).at(self._progress(index))
        text = self.text if everything else self.text[span]
        further = dict(self.added) if everything else each_tensor(dict(self.added), lambda rows: rows[span])
        for recalled, always in self._recalled:
            recalled.begin(span, always or not deep)
        if self._shared is not None:
            self._shared.active = everything
        further |= self._control(inputs, timestep, text, further, span, deep)
        return self.unet(inputs, timestep, text, cross_attention_kwargs={"mien": plan}, **further).sample.float()

    def _control(
        self, inputs: Tensor, timestep: Tensor, text: Tensor, added: Mapping[str, Any], span: slice, deep: bool
    ) -> dict[str, Any]:
        """What the ControlNet adds to this call; without the deep blocks what it added the last time."""
        if self.controlled is None:
            return {}
        if deep or self._residuals is None:
            controlled = self.controlled if span == self.rows.every else self.controlled.part(span)
            found = {} if controlled is None else controlled(inputs, timestep, text, added)
            self._residuals = span, found
            return found
        start = self._residuals[0].start
        return each_tensor(self._residuals[1], lambda rows: rows[span.start - start : span.stop - start])

    def _progress(self, index: int) -> float:
        return index / max(self.count - 1, 1)
