"""Between the UNet and the scheduler: prediction types, guidance, one-step estimates."""

from mien.diffusion.guidance import Difference, Guidance
from mien.diffusion.inversion import SD_F_MAX, adaptive_noise_inversion, f_of_timestep, timestep_of_f
from mien.diffusion.prediction import convert, signal_and_noise, to_epsilon, to_v, to_x0

__all__ = [
    "SD_F_MAX",
    "Difference",
    "Guidance",
    "adaptive_noise_inversion",
    "convert",
    "f_of_timestep",
    "signal_and_noise",
    "timestep_of_f",
    "to_epsilon",
    "to_v",
    "to_x0",
]
