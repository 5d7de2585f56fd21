"""What the papers claim, as differences between models of one run: computed here, never typed.

A claim holds when the low end of its effect's interval is above minus its margin; 0 is superiority. Effects are signed
so that positive supports the claim. The studio's judges stand in for the papers' networks: a value is no paper's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.core.io import read_json, write_json
from mien.errors import BadInput
from mien.evaluation.statistics.bootstrap import estimate


class Claim(NamedTuple):
    """A claim of a paper.

    Attributes:
        id: kept stable.
        source: paper and table.
        statement: one sentence.
        metric: of the report.
        model: the model that should be better, by its name in the run.
        baseline: what it is held against; of several the best, chosen anew in each resample.
        paper: the paper's own two numbers, model then baseline, or None where it gives none.
        margin: the difference that still counts as no worse.
    """

    id: str
    source: str
    statement: str
    metric: str
    model: str
    baseline: str | tuple[str, ...]
    paper: tuple[float, float] | None = None
    margin: float = 0.0


class Column(NamedTuple):
    """A column of Table 1: the studio's measure of it (lower is better in all), its name, and the paper's numbers.

    The numbers are those of Arc2Face + ControlNet, of the modules after pre-training (landmarks alone, landmarks and
    emotion), and of both after joint training.
    """

    metric: str
    name: str
    controlnet: float
    lmk: float
    lmk_emo: float
    joint: float


_TABLE1 = {
    "exp": Column("judge.coefficients", "expression", 8.12, 7.11, 7.12, 6.81),
    "pose": Column("judge.pose", "pose", 0.130, 0.124, 0.128, 0.126),
    "v": Column("judge.valence", "valence", 0.360, 0.267, 0.218, 0.217),
    "a": Column("judge.arousal", "arousal", 0.247, 0.221, 0.205, 0.184),
    "dist": Column("judge.emotion_l2", "the distribution of emotions", 0.86, 0.71, 0.59, 0.52),
    "acc": Column("judge.emotion_class", "the emotion's class", 0.351, 0.465, 0.565, 0.612),
    "fid": Column("kid.studio", "the look of the set (KID)", 44.64, 46.85, 53.25, 41.54),
}


class Diversity(NamedTuple):
    """A column of Tables 2 and 3: the studio's measure of it, its name, and the paper's pairs (Synth-500)."""

    metric: str
    name: str
    table2: tuple[float, float]
    table3: tuple[float, float]


_DIVERSITY = {
    "lpips": Diversity("perceptual.studio", "perceptual diversity", (0.552, 0.506), (0.552, 0.538)),
    "exp": Diversity("diversity.expression.judge", "diversity of expressions", (6.971, 6.375), (6.971, 6.540)),
    "pose": Diversity("diversity.pose.judge", "diversity of poses", (0.429, 0.317), (0.429, 0.411)),
    "fid": Diversity("kid.studio", "the look of the set (KID)", (2.112, 5.673), (2.112, 2.140)),
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


def _diversity(table: int, columns: str, model: str, baseline: str, suffix: str, said: str, paper: bool) -> list[Claim]:
    """Claims on pictures from the identity alone; ``paper`` where the paper makes them too."""
    found = []
    for key in columns.split():
        column = _DIVERSITY[key]
        numbers = (column.table2 if table == 2 else column.table3) if paper else None
        source = f"FaceCrafter, Table {table}" if paper else f"a control of FaceCrafter's Table {table} (ours)"
        found.append(
            Claim(f"facecrafter-t{table}-{key}-{suffix}", source, f"{said} {column.name}.", column.metric, model,
                  baseline, numbers)
        )  # fmt: skip
    return found


def _emojidiff(
    suffix: str, metric: str, models: tuple[str, str | tuple[str, ...]], said: str, margin: float = 0.0
) -> Claim:
    """A claim of EmojiDiff's, in words only: its main body with the tables is not in the text we have."""
    return Claim(f"emojidiff-{suffix}", "EmojiDiff (inferred)", said, metric, *models, None, margin)


_EXP = "transfer.mediapipe.exp"


CLAIMS: tuple[Claim, ...] = (
    *_table1("joint-vs-controlnet", "exp pose v a dist acc fid", ("joint", "controlnet"), ("joint", "controlnet"),
             "Landmark and emotion modules, jointly trained, beat a ControlNet"),
    *_table1("lmkemo-vs-controlnet", "exp pose v a dist acc", ("lmk-emo", "controlnet"), ("lmk_emo", "controlnet"),
             "Landmark and emotion modules beat a ControlNet before joint training"),
    *_table1("lmk-vs-controlnet", "exp pose acc", ("lmk", "controlnet"), ("lmk", "controlnet"),
             "The landmark module alone beats a ControlNet before joint training"),
    *_table1("emo-gain", "v a dist acc", ("lmk-emo", "lmk"), ("lmk_emo", "lmk"),
             "The emotion module adds to the landmark module"),
    *_table1("joint-vs-pretrained", "exp v a dist acc fid", ("joint", "lmk-emo"), ("joint", "lmk_emo"),
             "Joint training beats pre-training"),
    *_diversity(2, "lpips exp pose fid", "joint", "base", "vs-base",
                "From the identity alone, joint training beats the entangled base in", True),
    *_diversity(2, "lpips exp pose fid", "joint", "text-only", "vs-text-only",
                "The same, but held against the text encoder trained on the same pictures without modules, in", False),
    *_diversity(3, "lpips exp pose", "joint", "no-ad", "ad", "The AD loss adds to joint training, from the identity "
                "alone, in", True),
    _emojidiff("idi-identity", "identity.cosine", ("refined", "same"),
               "Training on pairs of IDI raises the likeness to the wanted person."),
    _emojidiff("idi-leak", "identity.leak", ("refined", "same"),
               "Training on pairs of IDI lets less of the template's person through."),
    _emojidiff("idi-transfer", _EXP, ("refined", "same"),
               "Training on pairs of IDI keeps the transfer of the expression.", 0.05),
    _emojidiff("ica-identity", "identity.cosine", ("ica", "longer"),
               "ICA raises the likeness to the wanted person."),
    _emojidiff("ica-transfer", _EXP, ("ica", "longer"),
               "ICA keeps the transfer of the expression.", 0.03),
    *(_emojidiff(f"vs-{name}-{key}", metric, ("ica", name), f"The whole method beats {said} in {what}.")
      for name, said in (("animate", "drawing first and moving the face afterwards"),
                         ("ipadapter", "the two adapters it starts from, side by side"))
      for key, metric, what in (("exp", "mediapipe.exp", "expression"), ("identity", "identity.cosine", "likeness"))),
    _emojidiff("site-parallel-best", _EXP, ("site-parallel", ("site-serial", "site-self", "site-controlnet")),
               "Parallel cross-attention transfers the expression better than the best of the other three sites."),
    *(_emojidiff(f"ani-vs-{other}{base}", "identity.cosine", (f"ica{base}", f"ani-{other}{base}"),
                 f"ICA with adaptive noise inversion ends nearer to the wanted person than {said}{where}.")
      for base, where in (("", ""), ("-epsilon", ", on a base that predicts noise"))
      for other, said in (("none", "with the plain estimate"), ("drop", "without the noisiest steps"))),
    *(_emojidiff(f"generalises-{name}", _EXP, (name, "ica"),
                 f"The unchanged adapter transfers the expression on {said} as on its own base.", 0.1)
      for name, said in (("style", "a base fine-tuned on another style"), ("lora", "a base with a LoRA"))),
)  # fmt: skip
"""The claims that a run of ``mien evaluate`` can test, by the names of its models; ``NAME#1``, ``NAME#2`` are training
seeds of one of them."""


def tested(scores: Mapping[str, Mapping[str, Any]], command: str) -> list[dict[str, Any]]:
    """The claims whose two models and metric were in a run.

    Where models come in several training seeds, effects are means over the seeds that both have, and the interval is
    also over resampled seeds: three of them say little about more.

    Args:
        scores: model -> metric -> `mien.evaluation.statistics.scores.Comparable`.
        command: what made the numbers.

    Returns:
        Rows of ``claims.json``: id, source, statement, paper, studio (the two values), effect, low, high, margin,
        holds, command.
    """
    rows = []
    for claim in CLAIMS:
        ours = _seeds(claim.model, claim.metric, scores)
        names = (claim.baseline,) if isinstance(claim.baseline, str) else claim.baseline
        against = {name: _paired(ours, _seeds(name, claim.metric, scores)) for name in names}
        if all(against.values()):
            rows.append(_row(claim, against, command))
    return rows


def _paired(ours: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The two models' scores by shared training seed; two models of one seed each are a pair whatever their names."""
    shared = sorted(ours.keys() & theirs.keys())
    if not shared and len(ours) == len(theirs) == 1:
        return [(*ours.values(), *theirs.values())]
    return [(ours[seed], theirs[seed]) for seed in shared]


def _seeds(name: str, metric: str, scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Training seed -> score, "" for the only one."""
    return {
        model.partition("#")[2]: found[metric]
        for model, found in scores.items()
        if model.partition("#")[0] == name and metric in found
    }


def _row(claim: Claim, against: dict[str, list[tuple[Any, Any]]], command: str) -> dict[str, Any]:
    levels = {name: [(ours.as_json(), theirs.as_json()) for ours, theirs in pairs] for name, pairs in against.items()}
    (first, *_), seeds = (next(iter(levels.values())), max(map(len, levels.values())))
    sign = -1.0 if first[0]["better"] == "lower" else 1.0
    draws = {name: _over_seeds(np.stack([a.apart(b) for a, b in pairs])) for name, pairs in against.items()}
    effect = estimate(np.minimum.reduce([sign * one for one in draws.values()]))
    values = {claim.model: _mean([ours["value"] for ours, _ in next(iter(levels.values()))])}
    values |= {name: _mean([theirs["value"] for _, theirs in pairs]) for name, pairs in levels.items()}
    return {
        "id": claim.id,
        "source": claim.source,
        "statement": claim.statement,
        "paper": claim.paper,
        "studio": {"metric": claim.metric, **values} | ({"seeds": seeds} if seeds > 1 else {}),
        "effect": effect["value"],
        "low": effect["low"],
        "high": effect["high"],
        "margin": claim.margin,
        "holds": effect["low"] is not None and effect["low"] > -claim.margin,
        "command": command,
    }


def _over_seeds(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over seeds of [S, 1 + draws], with other seeds in each resample; the first column is the data themselves."""
    seeds, count = draws.shape
    chosen = np.random.default_rng(0x736565).integers(0, seeds, (seeds, count))
    chosen[:, 0] = np.arange(seeds)
    return np.take_along_axis(draws, chosen, 0).mean(0)


def _mean(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return round(sum(there) / len(there), 5) if there else None


def merge(file: Path, rows: list[dict[str, Any]]) -> None:
    """Put rows into ``claims.json``, in the place of those of the same ids; the others stay."""
    write_json(file, list((rows_in(file) | {row["id"]: row for row in rows}).values()))


def rows_in(file: Path) -> dict[str, dict[str, Any]]:
    """Rows of ``claims.json`` by id; none where there is no file yet.

    Raises:
        MienError: if it holds something else.
    """
    rows = read_json(file) if file.exists() else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
        raise BadInput(f"{file} holds no claims, so none are put into it: give another file.")
    return {row["id"]: row for row in rows}
