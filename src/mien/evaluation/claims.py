"""What the papers claim, as differences between models of one run: computed here, never typed.

A claim holds when the low end of its effect's interval is above minus its margin; 0 is superiority. Effects are signed
so that positive supports the claim. The studio's judges stand in for the papers' networks: a value is no paper's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mien.io import read_json, write_json


class Claim(NamedTuple):
    """A claim of a paper.

    Attributes:
        id: kept stable.
        source: paper and table.
        statement: one sentence.
        metric: of the report.
        model: the model that should be better, by its name in the run.
        baseline: what it is held against.
        paper: the paper's own two numbers, model then baseline, or None where it gives none.
        margin: the difference that still counts as no worse.
    """

    id: str
    source: str
    statement: str
    metric: str
    model: str
    baseline: str
    paper: tuple[float, float] | None = None
    margin: float = 0.0


class Column(NamedTuple):
    """A column of Table 1: the studio's measure of it (lower is better in all), its name, and the paper's numbers.

    The numbers are those of Arc2Face + ControlNet, of FaceCrafter with landmarks, with landmarks and emotion, and of
    the latter after pre-training alone.
    """

    metric: str
    name: str
    controlnet: float
    lmk: float
    lmk_emo: float
    pretrained: float


_TABLE1 = {
    "exp": Column("judge.coefficients", "expression", 8.12, 6.78, 6.81, 7.12),
    "pose": Column("judge.pose", "pose", 0.130, 0.119, 0.126, 0.128),
    "v": Column("judge.valence", "valence", 0.360, 0.250, 0.217, 0.218),
    "a": Column("judge.arousal", "arousal", 0.247, 0.203, 0.184, 0.205),
    "dist": Column("judge.emotion_l2", "the distribution of emotions", 0.86, 0.63, 0.52, 0.59),
    "acc": Column("judge.emotion_class", "the emotion's class", 0.351, 0.524, 0.612, 0.565),
    "fid": Column("kid.studio", "the look of the set (KID)", 44.64, 38.80, 41.54, 53.25),
}


def _table1(suffix: str, columns: str, models: tuple[str, str], rows: tuple[str, str], said: str) -> list[Claim]:
    """A claim on several columns; ``models`` are names of the run, ``rows`` the paper's, the better one first."""
    found = []
    for key in columns.split():
        column = _TABLE1[key]
        paper = (getattr(column, rows[0]), getattr(column, rows[1]))
        statement = f"{said} on {column.name}."
        claim = Claim(
            f"facecrafter-t1-{key}-{suffix}", "FaceCrafter, Table 1", statement, column.metric, *models, paper
        )
        found.append(claim)
    return found


CLAIMS: tuple[Claim, ...] = (
    *_table1("lmkemo-vs-controlnet", "exp pose v a dist acc fid", ("lmk-emo", "controlnet"), ("lmk_emo", "controlnet"),
             "Landmark and emotion modules beat a ControlNet"),
    *_table1("lmk-vs-controlnet", "exp pose acc", ("lmk", "controlnet"), ("lmk", "controlnet"),
             "The landmark module alone beats a ControlNet"),
    *_table1("emo-gain", "v a dist acc", ("lmk-emo", "lmk"), ("lmk_emo", "lmk"),
             "The emotion module adds to the landmark module"),
    *_table1("joint-vs-pretrained", "exp v a dist acc fid", ("joint", "lmk-emo"), ("lmk_emo", "pretrained"),
             "Joint training beats pre-training"),
)  # fmt: skip
"""The claims that a run of ``mien evaluate control`` can test, by the names of its models."""


def tested(scores: Mapping[str, Mapping[str, Any]], command: str) -> list[dict[str, Any]]:
    """The claims whose two models were in a run.

    Args:
        scores: model -> metric -> `mien.evaluation.scores.Comparable`.
        command: what made the numbers.

    Returns:
        Rows of ``claims.json``: id, source, statement, paper, studio (the two values), effect, low, high, margin,
        holds, command.
    """
    return [_row(claim, scores, command) for claim in CLAIMS if {claim.model, claim.baseline} <= scores.keys()]


def _row(claim: Claim, scores: Mapping[str, Mapping[str, Any]], command: str) -> dict[str, Any]:
    ours, theirs = (scores[name][claim.metric] for name in (claim.model, claim.baseline))
    told, change = ours.as_json(), ours.minus(theirs)
    ends = [change["low"], change["high"]]
    if told["better"] == "lower":
        change["value"], ends = _turned(change["value"]), [_turned(end) for end in reversed(ends)]
    low, high = ends
    return {
        "id": claim.id,
        "source": claim.source,
        "statement": claim.statement,
        "paper": claim.paper,
        "studio": {"metric": claim.metric, claim.model: told["value"], claim.baseline: theirs.as_json()["value"]},
        "effect": change["value"],
        "low": low,
        "high": high,
        "margin": claim.margin,
        "holds": low is not None and low > -claim.margin,
        "command": command,
    }


def _turned(value: float | None) -> float | None:
    return None if value is None else 0.0 - value


def merge(file: Path, rows: list[dict[str, Any]]) -> None:
    """Put rows into ``claims.json``, in the place of those of the same ids; the others stay."""
    before = read_json(file) if file.exists() else []
    found = {row["id"]: row for row in [*before, *rows]}
    write_json(file, list(found.values()))
