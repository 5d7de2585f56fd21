"""Sampling in a few steps: the solver that a distilled UNet is drawn with, and what its steps have to land on.

The steps are DDIM's (Song et al. 2021, arXiv 2010.02502, Eq. 12 without noise), which is the first order of
DPM-Solver++, at "trailing" timesteps: from pure noise to the clean latent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mien.diffusion.prediction import Prediction, convert

if TYPE_CHECKING:
    from diffusers import DPMSolverMultistepScheduler


def few_step_scheduler(config: Any, order: int = 1) -> Any:
    """A diffusers scheduler with the noise schedule and the prediction type of ``config``, at trailing timesteps.

    Args:
        config: of any diffusers scheduler.
        order: 1 is DDIM; 2 the multistep solver that teachers are drawn with.
    """
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler.from_config(
        config, algorithm_type="dpmsolver++", solver_order=order, timestep_spacing="trailing",
        final_sigmas_type="zero", lower_order_final=True, use_karras_sigmas=False, use_lu_lambdas=False,
        use_exponential_sigmas=False, use_beta_sigmas=False, use_flow_sigmas=False,
    )  # fmt: skip


def levels(scheduler: DPMSolverMultistepScheduler) -> tuple[Tensor, Tensor]:
    """Signal a and noise s before each step of a scheduler whose timesteps are set, and after the last; each [S + 1].

    They are variance-preserving, a^2 + s^2 = 1, and the last noise is 0.
    """
    sigmas = scheduler.sigmas.double()
    a = (1 + sigmas**2).rsqrt()
    return a.float(), (sigmas * a).float()


def landing_target(
    start: Tensor,
    end: Tensor,
    before: tuple[Tensor, Tensor],
    after: tuple[Tensor, Tensor],
    kind: Prediction,
) -> Tensor:
    """The UNet output with which one DDIM step leads from ``start`` exactly to ``end``.

    A step is x' = a' x0 + s' eps with x = a x0 + s eps. Of the clean latent that makes it land,

        x0 = (s x' - s' x) / (s a' - s' a)

    which is Salimans & Ho's target of progressive distillation (2022, arXiv 2202.00512, App. G) for any teacher and any
    number of its steps in between.

    Args:
        start: x [B, C, h, w].
        end: x' [B, C, h, w].
        before: (a, s) of ``start``, broadcastable; s above 0.
        after: (a', s') of ``end``, with less noise.
        kind: what the UNet predicts.

    Returns:
        [B, C, h, w] float32.
    """
    (a, s), (a_after, s_after) = before, after
    start, end = start.float(), end.float()
    clean = (s * end - s_after * start) / (s * a_after - s_after * a)
    return convert(clean, start, a, s, "sample", kind)


def ddim_step(
    output: Tensor,
    start: Tensor,
    before: tuple[Tensor, Tensor],
    after: tuple[Tensor, Tensor],
    kind: Prediction,
) -> Tensor:
    """Where one DDIM step leads from ``start`` under a UNet's output; arguments as :func:`landing_target`."""
    (a, s), (a_after, s_after) = before, after
    clean = convert(output, start, a, s, kind, "sample")
    noise = (start.float() - a * clean) / s
    return a_after * clean + s_after * noise


def at(values: Tensor, steps: Tensor) -> Tensor:
    """Entries ``steps`` [B] of a table [S + 1], as [B, 1, 1, 1]."""
    return torch.as_tensor(values, device=steps.device)[steps][:, None, None, None]
