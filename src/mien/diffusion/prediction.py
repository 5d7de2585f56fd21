"""What a UNet predicts: noise, the clean latent or a velocity, and how each follows from another.

For a variance-preserving latent z_t = a x0 + s eps with a = sqrt(alpha_bar_t) and s = sqrt(1 - alpha_bar_t):

    v = a eps - s x0        x0 = a z_t - s v        eps = a v + s z_t

Everything is computed in float32: at large t the conversions divide by small numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

from torch import Tensor

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.diffusion.schedulers import Scheduler


Prediction = Literal["epsilon", "sample", "v_prediction"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


def prediction_type(scheduler: Scheduler) -> Prediction:
    """The scheduler's ``prediction_type``.

    Raises:
        ConfigError: if it is none of epsilon, sample, v_prediction.
    """
    kind = scheduler.config.prediction_type
    if kind not in PREDICTIONS:
        raise ConfigError(f"The prediction type {kind!r} is not supported; use one of {', '.join(PREDICTIONS)}.")
    return cast(Prediction, kind)


def signal_and_noise(scheduler: Scheduler, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """A = sqrt(alpha_bar_t) and s = sqrt(1 - alpha_bar_t), each float32 [B, 1, 1, 1].

    Args:
        scheduler: any diffusers scheduler with ``alphas_cumprod``.
        timesteps: int [B] or a scalar (then B = 1).

    Example:
        >>> import torch
        >>> from diffusers import DDPMScheduler
        >>> from mien.diffusion import signal_and_noise
        >>> a, s = signal_and_noise(DDPMScheduler(), torch.tensor([500]))
        >>> a.shape, round(float(a**2 + s**2), 4)
        (torch.Size([1, 1, 1, 1]), 1.0)
    """
    alpha_bar = scheduler.alphas_cumprod.to(timesteps.device).float()[timesteps.long().reshape(-1)]
    return alpha_bar.sqrt()[:, None, None, None], (1 - alpha_bar).sqrt()[:, None, None, None]


def convert(output: Tensor, noisy: Tensor, a: Tensor, s: Tensor, source: Prediction, target: Prediction) -> Tensor:
    """Turn one prediction into another.

    Args:
        output: the prediction [B, C, h, w] of type ``source``.
        noisy: z_t [B, C, h, w], variance-preserving. With schedulers that scale their latents (Euler) this is what
            ``scheduler.scale_model_input`` returns.
        a: sqrt(alpha_bar_t), broadcastable.
        s: sqrt(1 - alpha_bar_t), broadcastable.
        source: what ``output`` is.
        target: what is wanted.

    Returns:
        [B, C, h, w] float32.

    Example:
        >>> import torch
        >>> from mien.diffusion import convert
        >>> x0, noise, a, s = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor(0.6), torch.tensor(0.8)
        >>> velocity = convert(noise, a * x0 + s * noise, a, s, "epsilon", "v_prediction")
        >>> torch.allclose(velocity, a * noise - s * x0, atol=1e-5)
        True
    """
    output, noisy = output.float(), noisy.float()
    if source == target:
        return output
    if source == "epsilon":
        x0 = (noisy - s * output) / a
        return x0 if target == "sample" else a * output - s * x0
    if source == "sample":
        epsilon = (noisy - a * output) / s
        return epsilon if target == "epsilon" else a * epsilon - s * output
    return a * noisy - s * output if target == "sample" else a * output + s * noisy


def _to(output: Tensor, noisy: Tensor, timesteps: Tensor, scheduler: Scheduler, target: Prediction) -> Tensor:
    a, s = signal_and_noise(scheduler, timesteps.to(output.device))
    return convert(output, noisy, a, s, prediction_type(scheduler), target)


def to_epsilon(output: Tensor, noisy: Tensor, timesteps: Tensor, scheduler: Scheduler) -> Tensor:
    """The noise that a UNet output stands for, by ``scheduler.config.prediction_type``; float32.

    Args:
        output: UNet output [B, C, h, w].
        noisy: z_t [B, C, h, w].
        timesteps: int [B] or a scalar.
        scheduler: gives alpha_bar and the prediction type.

    Example:
        >>> import torch
        >>> from diffusers import DDPMScheduler
        >>> from mien.diffusion import to_epsilon
        >>> scheduler = DDPMScheduler(prediction_type="v_prediction")
        >>> clean, noise, timesteps = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor([500])
        >>> noisy = scheduler.add_noise(clean, noise, timesteps)
        >>> velocity = scheduler.get_velocity(clean, noise, timesteps)
        >>> torch.allclose(to_epsilon(velocity, noisy, timesteps, scheduler), noise, atol=1e-4)
        True
    """
    return _to(output, noisy, timesteps, scheduler, "epsilon")


def to_x0(output: Tensor, noisy: Tensor, timesteps: Tensor, scheduler: Scheduler) -> Tensor:
    """The clean latent that a UNet output stands for; arguments as :func:`to_epsilon`.

    Example:
        >>> import torch
        >>> from diffusers import DDPMScheduler
        >>> from mien.diffusion import to_x0
        >>> scheduler = DDPMScheduler(prediction_type="epsilon")
        >>> clean, noise, timesteps = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor([500])
        >>> noisy = scheduler.add_noise(clean, noise, timesteps)
        >>> torch.allclose(to_x0(noise, noisy, timesteps, scheduler), clean, atol=1e-4)
        True
    """
    return _to(output, noisy, timesteps, scheduler, "sample")


def to_v(output: Tensor, noisy: Tensor, timesteps: Tensor, scheduler: Scheduler) -> Tensor:
    """The velocity that a UNet output stands for; arguments as :func:`to_epsilon`.

    Example:
        >>> import torch
        >>> from diffusers import DDPMScheduler
        >>> from mien.diffusion import to_v
        >>> scheduler = DDPMScheduler(prediction_type="epsilon")
        >>> clean, noise, timesteps = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor([500])
        >>> noisy = scheduler.add_noise(clean, noise, timesteps)
        >>> velocity = scheduler.get_velocity(clean, noise, timesteps)
        >>> torch.allclose(to_v(noise, noisy, timesteps, scheduler), velocity, atol=1e-4)
        True
    """
    return _to(output, noisy, timesteps, scheduler, "v_prediction")
