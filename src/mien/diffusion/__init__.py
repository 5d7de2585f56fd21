"""Between the UNet and the scheduler: prediction types, guidance, one-step estimates, what is kept from step to step.

Names are resolved when first used, so that importing this package is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.core.lazy import lazy_exports

_EXPORTS = {
    "SD_F_MAX": ".inversion",
    "Caching": ".caching",
    "Difference": ".guidance",
    "DifferenceCaching": ".caching",
    "FeatureReuse": ".caching",
    "Guidance": ".guidance",
    "GuidanceInterval": ".caching",
    "Speed": ".caching",
    "adaptive_noise_inversion": ".inversion",
    "convert": ".prediction",
    "f_of_timestep": ".inversion",
    "signal_and_noise": ".prediction",
    "timestep_of_f": ".inversion",
    "to_epsilon": ".prediction",
    "to_v": ".prediction",
    "to_x0": ".prediction",
}

__all__ = [
    "SD_F_MAX",
    "Caching",
    "Difference",
    "DifferenceCaching",
    "FeatureReuse",
    "Guidance",
    "GuidanceInterval",
    "Speed",
    "adaptive_noise_inversion",
    "convert",
    "f_of_timestep",
    "signal_and_noise",
    "timestep_of_f",
    "to_epsilon",
    "to_v",
    "to_x0",
]

if TYPE_CHECKING:
    from mien.diffusion.caching import Caching, DifferenceCaching, FeatureReuse, GuidanceInterval, Speed
    from mien.diffusion.guidance import Difference, Guidance
    from mien.diffusion.inversion import SD_F_MAX, adaptive_noise_inversion, f_of_timestep, timestep_of_f
    from mien.diffusion.prediction import convert, signal_and_noise, to_epsilon, to_v, to_x0

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
