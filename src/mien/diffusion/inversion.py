"""Adaptive Noise Inversion (EmojiDiff suppl. Eq. 8): a usable estimate of the clean latent in one step.

    x0_hat = Decode(z0 + f(t) (eps - eps_theta(z_t, t, C)))
    f(t) = sqrt((1 - alpha_bar_t) / alpha_bar_t)  for t <= R_tmax, else f(R_tmax)

R_tmax = 600 belongs to Stable Diffusion's scaled-linear schedule, where f is 2.28; on another schedule the same
timestep means another noise level (6.17 on the linear one), so the bound is kept as ``f_max``, not as a timestep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mien.diffusion.prediction import to_epsilon

if TYPE_CHECKING:
    from mien.diffusion.schedulers import Scheduler


SD_F_MAX = 2.28465
"""f(600) on SD's schedule (1000 steps, scaled-linear 0.00085 to 0.012; 600 is R_tmax of EmojiDiff suppl. A.1).

The bound that carries over to any schedule.
"""


def f_of_timestep(scheduler: Scheduler, timesteps: Tensor) -> Tensor:
    """f(t) = sqrt((1 - alpha_bar_t) / alpha_bar_t), the noise-to-signal ratio; float32, shape of ``timesteps``.

    Example:
        >>> import torch
        >>> from diffusers import DDPMScheduler
        >>> from mien.diffusion import f_of_timestep
        >>> scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
        >>> round(float(f_of_timestep(scheduler, torch.tensor(600))), 2)
        2.28
    """
    alpha_bar = scheduler.alphas_cumprod.to(timesteps.device).float()[timesteps.long()]
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def timestep_of_f(scheduler: Scheduler, f_max: float = SD_F_MAX) -> int:
    """R_tmax of a schedule: its last timestep with f(t) <= ``f_max`` (600 for SD's schedule); 0 if there is none.

    Example:
        >>> from diffusers import DDPMScheduler
        >>> from mien.diffusion import timestep_of_f
        >>> timestep_of_f(DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"))
        600
    """
    alpha_bar = scheduler.alphas_cumprod.double()
    inside = ((1 - alpha_bar) / alpha_bar).sqrt() <= f_max
    return max(int(inside.sum()) - 1, 0)


def adaptive_noise_inversion(
    clean: Tensor,
    noise: Tensor,
    output: Tensor,
    noisy: Tensor,
    timesteps: Tensor,
    scheduler: Scheduler,
    f_max: float = SD_F_MAX,
) -> Tensor:
    """z0_hat of Eq. 8, before decoding; gradients flow through the UNet's output.

    Args:
        clean: z0 [B, C, h, w].
        noise: the noise eps that was added [B, C, h, w].
        output: the UNet's output [B, C, h, w], of the scheduler's prediction type.
        noisy: z_t [B, C, h, w].
        timesteps: int [B].
        scheduler: gives alpha_bar and the prediction type.
        f_max: bound of f; ``float("inf")`` gives plain single-step inversion (Eq. 6).

    Returns:
        z0_hat [B, C, h, w] float32.

    Example:
        >>> import torch
        >>> from diffusers import DDPMScheduler
        >>> from mien.diffusion import adaptive_noise_inversion
        >>> scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
        >>> clean, noise, timesteps = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor([900])
        >>> noisy = scheduler.add_noise(clean, noise, timesteps)
        >>> estimate = adaptive_noise_inversion(clean, noise, noise, noisy, timesteps, scheduler)
        >>> torch.equal(estimate, clean)  # a UNet that predicts the very noise
        True
    """
    f = f_of_timestep(scheduler, timesteps.to(output.device)).clamp(max=f_max)[:, None, None, None]
    return clean.float() + f * (noise.float() - to_epsilon(output, noisy, timesteps, scheduler))
