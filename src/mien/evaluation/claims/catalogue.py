"""The papers' claims with their margins, and what counts as a trained arm: one data file, frozen before arms are drawn.

Its sha256 stands in every report that tests claims, so that a margin moved after seeing the numbers shows.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files

from pydantic import Field

from mien.core.strict import StrictModel


class Claim(StrictModel):
    """A claim of a paper.

    Attributes:
        id: kept stable.
        source: paper and table; ``(inferred)`` where the paper's own numbers are not in the text we have.
        statement: one sentence.
        metric: of the report, or a measure of its headline.
        also: the same by other judges; the claim has to hold on each.
        model: the model that should be better, by its name in the run.
        baseline: what it is compared with; of several the best, chosen anew in each resample.
        paper: the paper's own two numbers, model then baseline, or None where it gives none.
        margin: the difference that still counts as no worse; 0 is superiority.
    """

    id: str
    source: str
    statement: str
    metric: str
    also: tuple[str, ...] = ()
    model: str
    baseline: tuple[str, ...] = Field(min_length=1)
    paper: tuple[float, float] | None = None
    margin: float = Field(default=0.0, ge=0)


class TrainedBounds(StrictModel):
    """The least an arm must have done for a claim about it to be tested; all *inferred*.

    Attributes:
        full_rate_steps: optimizer steps, each counted by its share of the full learning rate.
        weight_change: norm of the change of the trained weights over the norm of those it started from.
        gap: 1 - error with the right condition / error with a shuffled one, on held-out people, at the best timestep.
    """

    full_rate_steps: float
    weight_change: float
    gap: float


class Catalogue(StrictModel):
    """The data file.

    Attributes:
        frozen: date of the last change.
        trained: see `TrainedBounds`.
        claims: what a run of ``mien evaluate`` can test, by the names of its models.
    """

    frozen: str
    trained: TrainedBounds
    claims: tuple[Claim, ...]


def _text() -> str:
    return files("mien.evaluation.claims").joinpath("papers.json").read_text(encoding="utf-8")


@cache
def catalogue() -> Catalogue:
    """The data file ``papers.json``."""
    return Catalogue.model_validate(json.loads(_text()))


@cache
def catalogue_sha256() -> str:
    """sha256 of ``papers.json``, line ends as in the repository."""
    return hashlib.sha256(_text().encode()).hexdigest()
