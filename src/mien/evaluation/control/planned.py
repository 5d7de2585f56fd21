"""Renders of planned pictures, kept so that the same command does not draw them again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.core.progress import Bar, silent
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.pictures import kept, open_folder
from mien.evaluation.control.scene import Subject, pixels_digest
from mien.evaluation.png import Pixels


def kept_renders(
    tools: EvaluationContext, subjects: Sequence[Subject], folder: Path, what: str, bar: Bar = silent
) -> list[Pixels]:
    """Renders uint8 [S, S, 3], each drawn unless it is there.

    The first picture of everybody is drawn each time: a renderer that draws it otherwise draws the others anew.

    Args:
        tools: the renderer.
        subjects: what to draw.
        folder: where such pictures are kept, under names that other plans and other renderers do not have.
        what: they are for.
        bar: makes progress bars.
    """
    from mien import __version__

    place = open_folder(folder, {"mien": __version__, "kit": tools.kit, "what": what})
    found: list[Pixels] = []
    first: dict[int, str] = {}
    with bar(len(subjects), what) as advance:
        for subject in subjects:
            seed = subject.person.seed
            if seed not in first:
                found.append(np.asarray(tools.render(subject).image))
                first[seed] = pixels_digest(found[-1:])
            else:
                digest = hashlib.sha256(f"{subject} {first[seed]}".encode()).hexdigest()[:32]
                path = place / f"{seed}-{digest}.png"
                found.append(kept(path, lambda one=subject: tools.render(one).image))
            advance(1)
    return found
