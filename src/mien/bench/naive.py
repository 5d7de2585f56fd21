"""Eq. 6 as it is written: one UNet call an evaluation, and nothing is kept from one call to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mien.adapters.branch import Branch
from mien.adapters.injection import Injection
from mien.diffusion.guidance import Guidance
from mien.errors import BadInput
from mien.pipelines.portrait import PortraitPipeline

if TYPE_CHECKING:
    from mien.adapters.plan import BranchPlan
    from mien.diffusion.caching import Caching
    from mien.diffusion.schedulers import Scheduler
    from mien.pipelines.controlnet import ControlledRows
    from mien.pipelines.redraw import Redraw
    from mien.pipelines.rows import Generators
    from mien.pipelines.timetable import Timetable


class NaivePipeline(PortraitPipeline):
    """What :class:`PortraitPipeline` is held against: the same picture from the same parts, four calls a step.

    Region masks, step ranges, ControlNets, given pictures and scales are not its business.
    """

    def _tokens(self, branch: Branch, condition: Tensor, kind: str) -> Tensor:
        tokens = super()._tokens(branch, condition, kind)
        self._branch_tokens: dict[str, tuple[Branch, Tensor]] = {
            **getattr(self, "_branch_tokens", {}),
            kind: (branch, tokens),
        }
        return tokens

    def _denoise(
        self,
        latents: Tensor,
        text: Tensor,
        added: dict[str, Any],
        plan: BranchPlan,
        guide: Guidance,
        controlled: ControlledRows | None,
        redraw: Redraw | None,
        timetable: Timetable,
        caching: Caching,
        generator: Generators,
        callback: object,
    ) -> Tensor:
        if controlled is not None or redraw is not None or added:
            raise BadInput("The naive sampler draws from noise, on bases of SD1.5's shape, without a ControlNet.")
        scheduler: Scheduler = self.scheduler
        timetable.apply(scheduler, latents.device)
        latents = latents * scheduler.init_noise_sigma
        branch_tokens, self._branch_tokens = getattr(self, "_branch_tokens", {}), {}
        injection = Injection(self.unet, {kind: branch for kind, (branch, _) in branch_tokens.items()})
        tokens, pictures = {kind: states for kind, (_, states) in branch_tokens.items()}, len(latents)
        dtype = self.unet.dtype
        for timestep in scheduler.timesteps:
            inputs = scheduler.scale_model_input(latents, timestep).to(dtype)
            outputs = []
            for number, present in enumerate(guide.evaluations()):
                options = injection.condition(tokens, evaluations=[present], grid=plan.grid)
                states = text[number * pictures : (number + 1) * pictures]
                outputs.append(self.unet(inputs, timestep, states, cross_attention_kwargs=options).sample)
            guided = guide.combine(torch.cat(outputs).float())
            latents = scheduler.step(guided, timestep, latents).prev_sample
        return latents
