"""Pictures from captions alone: how much of the caption the attribute judge reads in them.

The exact render of the same caption, read by the same judge, is the ceiling; the same captions compared with all other
pictures are the floor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.captions.compose import describe
from mien.core.progress import Bar, silent
from mien.errors import MissingAsset
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.baselines import AUTOENCODER, EXACT, blank, mean_face
from mien.evaluation.control.pictures import draw_pairs, open_folder
from mien.evaluation.control.planned import kept_renders
from mien.evaluation.control.run import made_with_what
from mien.evaluation.control.scene import Pair, Subject, lay_out, varied_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.judges import picture_attributes
from mien.evaluation.png import Pixels, read_png
from mien.evaluation.protocols.base import EvaluationRun, Protocol, Report
from mien.evaluation.protocols.text_scores import ASKED, Seen, right_of, text_scores
from mien.evaluation.reconstruction import reconstructed
from mien.evaluation.report.assemble import assembled, baseline_report
from mien.evaluation.report.cases import Case, Cases
from mien.evaluation.statistics.bootstrap import resamples
from mien.evaluation.statistics.scores import Comparable, share_score
from mien.faces.observed import largest_face
from mien.faces.surroundings import background_of
from mien.generation.conditioning import PipelineInputs
from mien.studio.scene import attributes


@dataclass(frozen=True)
class _Captions:
    """Conditions of pairs of a person and the number of a caption, as steering."""

    words: Sequence[str]
    each: int

    def __call__(self, pairs: Sequence[Pair]) -> list[PipelineInputs]:
        return [PipelineInputs(prompt=self.words[pair.person * self.each + pair.target]) for pair in pairs]


class TextProtocol(Protocol):
    """Pictures from captions alone, read by the attribute judge."""

    def run(self, run: EvaluationRun) -> Report:
        """Draw ``settings.targets`` captions of each person with several models, without any other condition.

        Args:
            run: ``settings`` has people, captions a person (``targets``), steps and resamples; conditions other than
                the prompt are not used, whatever a model's settings say.

        Raises:
            MissingAsset: without the attribute judge.
        """
        first, bar = run.first, run.bar
        if first.judge_attributes is None:
            raise MissingAsset(
                "There is no attribute judge: train it (mien train studio-judge-attributes) and publish it."
            )
        settings = replace(run.settings, conditions=("prompt",), pairs_per_person=None)
        subjects = varied_subjects(settings.first_person, settings.people, settings.targets)
        wanted = [attributes(one.person, one.picture) for one in subjects]
        words = [describe(one) for one in wanted]
        pairs = lay_out(settings)
        exact = kept_renders(first, subjects, run.folder, "captioned renders", bar)
        right = read_attributes(first, exact, bar)
        weights = resamples([[pair.person for pair in pairs]], settings.draws, np.random.default_rng(0x74657874))
        made: dict[str, dict[str, Any]] = {}
        scores: dict[str, dict[str, Comparable]] = {}
        cases: dict[str, Cases] = {}
        for name, (asked, tools) in run.models.items():
            with run.part():
                only = replace(asked, conditions=("prompt",), people=settings.people, targets=settings.targets,
                               pairs_per_person=None)  # fmt: skip
                made_with = made_with_what(only, tools, hashlib.sha256("\n".join(words).encode()).hexdigest())
                files = draw_pairs(
                    tools, only, pairs, _Captions(words, settings.targets), open_folder(run.folder, made_with), bar
                )
                pictures = [read_png(file) for file in files]
                seen = read_attributes(first, pictures, bar)
                scores[name] = text_scores(wanted, seen, right, weights)
                found = [largest_face(first.readers[first.first_reader], picture) is not None for picture in pictures]
                scores[name][f"faces.{first.first_reader}"] = share_score(np.array(found), weights, None, None)
                made[name] = {"made_with": made_with}
                cases[name] = _cases(pairs, words, pictures, exact, right_of(wanted, seen))
        run.check_whole()
        report = assembled(_title(settings, len(pairs)), settings, len(pairs), first, made, scores)
        report |= baseline_report(_baselines(first, subjects, exact, wanted, right, weights, settings.targets))
        return Report(report | {"protocol": self.name}, cases)


TEXT = TextProtocol("text", "pictures from captions alone, read by the attribute judge", 100, 5, None, ("prompt",))


def _baselines(
    context: EvaluationContext,
    subjects: Sequence[Subject],
    exact: Sequence[Pixels],
    wanted: Sequence[Mapping[str, Any]],
    right: Sequence[Seen],
    weights: NDArray[np.float64],
    each: int,
) -> dict[str, dict[str, Comparable]]:
    """Scores of the exact renders and of dummies; a caption has no template, whose place the next caption's takes.

    Args:
        context: the attribute judge and the renderer.
        subjects: what the captions are of; ``each`` of everybody.
        exact: their renders.
        wanted: attributes of the captions.
        right: what is read of the exact renders.
        weights: of the bootstrap.
        each: captions of everybody; a copy of the identity is the person's first picture.
    """
    count = len(exact)
    seen = {EXACT: list(right)}
    for name, picture in (("blank", blank(context.size)), ("mean-face", mean_face(context, subjects[0]))):
        seen[name] = read_attributes(context, [picture]) * count
    seen["copy-template"] = [right[(row + each) % count] for row in range(count)]
    seen["copy-identity"] = [right[row - row % each] for row in range(count)]
    if getattr(context.pipeline, "vae", None) is not None:
        seen[AUTOENCODER] = read_attributes(context, reconstructed(context.pipeline.vae, exact))
    return {name: text_scores(wanted, one, right, weights) for name, one in seen.items()}


def read_attributes(tools: EvaluationContext, pictures: Sequence[NDArray[np.uint8]], bar: Bar = silent) -> list[Seen]:
    """What the attribute judge and the upper corners tell of pictures uint8 [S, S, 3]."""
    assert tools.judge_attributes is not None  # `run` refuses a model without it
    found = []
    with bar(len(pictures), "judging") as advance:
        for picture in pictures:
            attributes = picture_attributes(tools.judge_attributes, picture)
            found.append(attributes | {"background": background_of(picture)})
            advance(1)
    return found


def _cases(
    pairs: Sequence[Pair],
    words: Sequence[str],
    pictures: Sequence[Pixels],
    exact: Sequence[Pixels],
    right: Sequence[int],
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
