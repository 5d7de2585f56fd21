"""What is attacked: how a mutant is made, and what reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        make: (random numbers, an empty folder) -> the mutant's path in it; the same numbers give the same mutant.
        read: reads it; a `MienError` is the right answer to damage, anything else that is raised is a fault.
    """

    make: Callable[[np.random.Generator, Path], Path]
    read: Callable[[Path], object]
