"""Does a picture show what its caption says? Drawn from words alone, read by the attribute judge.

The exact render of the same caption, read by the same judge, is the ceiling; the same captions held against all other
pictures are the floor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.captions.compose import describe
from mien.core.progress import Bar, silent
from mien.errors import MissingAsset
from mien.evaluation.assemble import assembled
from mien.evaluation.bootstrap import resamples
from mien.evaluation.control.pictures import draw_pairs, open_folder, read_png
from mien.evaluation.control.planned import kept_renders
from mien.evaluation.control.run import made_with_what
from mien.evaluation.control.scene import Pair, lay_out, varied_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.tools import EvaluationContext
from mien.evaluation.judges import picture_attributes
from mien.evaluation.page import Case, Cases
from mien.evaluation.scores import Comparable, share_score
from mien.evaluation.text_scores import ASKED, Told, right_of, text_scores
from mien.faces.observed import largest_face
from mien.faces.surroundings import background_of
from mien.generation.conditioning import PipelineInputs
from mien.studio.scene import attributes


def compare_text(
    settings: ControlSettings,
    models: Mapping[str, tuple[ControlSettings, EvaluationContext]],
    folder: Path,
    bar: Bar = silent,
) -> tuple[dict[str, Any], dict[str, Cases]]:
    """Draw ``settings.targets`` captions of each person with several models, told nothing else.

    Args:
        settings: people, captions a person (``targets``), steps, resamples. Other conditions than the prompt are not
            used, whatever a model's settings say.
        models: name -> its own settings and tools; the first is the one the others are compared with.
        folder: where pictures are kept and found again.
        bar: makes progress bars.

    Returns:
        The report, with the keys of `mien.evaluation.compare.compare`, and the pictures to show.

    Raises:
        MissingAsset: without the attribute judge.
    """
    first = next(iter(models.values()))[1]
    if first.judge_attributes is None:
        raise MissingAsset("There is no attribute judge: train it (mien train studio-judge-attributes) and publish it.")
    settings = replace(settings, conditions=("prompt",), pairs_per_person=None)
    subjects = varied_subjects(settings.first_person, settings.people, settings.targets)
    wanted = [attributes(one.person, one.picture) for one in subjects]
    words = [describe(one) for one in wanted]
    pairs = lay_out(settings)
    exact = kept_renders(first, subjects, folder, "captioned renders", bar)
    right = read_attributes(first, exact, bar)
    weights = resamples([[pair.person for pair in pairs]], settings.draws, np.random.default_rng(0x74657874))
    told: dict[str, dict[str, Any]] = {}
    scores: dict[str, dict[str, Comparable]] = {}
    cases: dict[str, Cases] = {}
    for name, (asked, tools) in models.items():
        only = replace(asked, conditions=("prompt",), people=settings.people, targets=settings.targets,
                       pairs_per_person=None)  # fmt: skip
        made_with = made_with_what(only, tools, hashlib.sha256("\n".join(words).encode()).hexdigest())
        with bar(len(pairs), "drawing") as step:
            files = draw_pairs(
                tools.pipeline, only, pairs,
                lambda part: [
                    PipelineInputs(prompt=words[pair.person * settings.targets + pair.target]) for pair in part
                ],
                open_folder(folder, made_with), step,
            )  # fmt: skip
        pictures = [read_png(file) for file in files]
        seen = read_attributes(first, pictures, bar)
        scores[name] = text_scores(wanted, seen, right, weights)
        found = [largest_face(first.readers[first.first_reader], picture) is not None for picture in pictures]
        scores[name][f"faces.{first.first_reader}"] = share_score(np.array(found), weights, None, None)
        told[name] = {"made_with": made_with}
        cases[name] = _cases(pairs, words, pictures, exact, right_of(wanted, seen))
    return assembled(_title(settings, len(pairs)), settings, len(pairs), first, told, scores), cases


def read_attributes(tools: EvaluationContext, pictures: Sequence[NDArray[np.uint8]], bar: Bar = silent) -> list[Told]:
    """What the attribute judge and the upper corners tell of pictures uint8 [S, S, 3]."""
    found = []
    with bar(len(pictures), "judging") as step:
        for picture in pictures:
            told = picture_attributes(tools.judge_attributes, picture)
            found.append(told | {"background": background_of(picture)})
            step(1)
    return found


def _cases(
    pairs: Sequence[Pair], words: Sequence[str], pictures: Sequence[Any], exact: Sequence[Any], right: Sequence[int]
) -> Cases:
    """Exact render and picture of the captions with fewest and with most attributes right."""
    order = np.argsort(right, kind="stable")
    return {
        heading: [
            Case(pairs[row].name, [exact[row], pictures[row]], f"{right[row]} of {len(ASKED)}: {words[row]}")
            for row in rows
        ]
        for heading, rows in {"fewest right: exact render, picture": order[:6], "most right": order[::-1][:6]}.items()
    }


def _title(settings: ControlSettings, count: int) -> str:
    return (
        f"{count} pictures from captions alone, {settings.targets} of each of {settings.people} held-out studio people."
        " Read by the attribute judge; the background by its colour in the upper corners. Floor: the same captions "
        "against all other pictures; ceiling: the exact renders. In parentheses: 95 % interval, bootstrap over people."
    )
