"""Renders of planned pictures, kept so that the same command does not draw them again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from mien.bars import Bar, silent
from mien.evaluation.control.pictures import Pixels, kept, open_folder
from mien.evaluation.control.scene import Subject
from mien.evaluation.control.tools import ControlTools


def kept_renders(
    tools: ControlTools, subjects: Sequence[Subject], folder: Path, what: str, bar: Bar = silent
) -> list[Pixels]:
    """Renders uint8 [S, S, 3], each drawn unless it is there.

    Args:
        tools: the renderer.
        subjects: what to draw.
        folder: where such pictures are kept, other plans and other renderers' in folders of their own.
        what: they are for.
        bar: makes progress bars.
    """
    from mien import __version__

    # the plans in words, and the first one's pixels for the renderer's version
    plans = hashlib.sha256(repr(list(subjects)).encode()).hexdigest()
    first = hashlib.sha256(tools.render(subjects[0]).image.tobytes()).hexdigest()
    made_with = {"mien": __version__, "kit": tools.kit, "what": what, "plans": plans, "inputs": first}
    place = open_folder(folder, made_with)
    found = []
    with bar(len(subjects), what) as told:
        for row, subject in enumerate(subjects):
            path = place / f"{row:05d}.png"
            found.append(kept(path, lambda one=subject: tools.render(one).image))
            told(1)
    return found
