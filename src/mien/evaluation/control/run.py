"""The benchmark from settings to a report."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.conditions import Emotion
from mien.core.progress import Advance, Bar, silent
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.animation import animated
from mien.evaluation.control.crosstalk import cross_talk
from mien.evaluation.control.likeness import donor_leak, likeness, look_alike_top1
from mien.evaluation.control.measures import Distances, Measure, distances, driven_values, measures
from mien.evaluation.control.pictures import draw_pairs, kept, open_folder
from mien.evaluation.control.scene import (
    Pair,
    Subject,
    identity_subjects,
    lay_out,
    look_alikes,
    oracle,
    target_subjects,
)
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.steer import Look, active, gather_inputs, look_at
from mien.evaluation.control.summary import pair_weights, summarise
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.readings.read import Floats, judge, read_images
from mien.evaluation.statistics.bootstrap import Weights, estimate
from mien.faces.linear.emotions import emotion_of
from mien.studio.person import Person


@dataclass(frozen=True, eq=False)
class Benchmark:
    """What every model of one run is compared on: people, targets, exact renders and what is read in them.

    Attributes:
        identities, targets: subjects; none where the pictures are a user's own.
        people, wanted: pictures of the identities and of the targets.
        donors: other pictures of the targets' people, where there are any, else the targets.
        emotions: of the targets; None where it is not known.
        pairs: what is drawn, each with a digest of what the models are shown for it.
        exact: readings of the exact render of each pair; NaN where there is none.
        answers: files of the exact renders; none where the pictures are a user's own.
        goals: readings of the targets.
        weights: of the bootstrap, see `pair_weights`.
        folder: where pictures are kept.
        inputs: sha256 of who was chosen in which order, on which batches depend; empty where none was.
    """

    identities: list[Subject]
    targets: list[Subject]
    pairs: list[Pair]
    people: list[Look]
    wanted: list[Look]
    donors: list[Look]
    emotions: list[Emotion | None]
    exact: Readings
    goals: Readings
    weights: Weights
    folder: Path
    inputs: str = ""
    answers: Sequence[Path] = ()


@dataclass(frozen=True, eq=False)
class ModelRun:
    """What one model did.

    Attributes:
        files: its picture of each pair.
        outputs: readings of them.
        made_with: everything they depend on.
        drawn: the folder they are in.
    """

    files: list[Path]
    outputs: Readings
    made_with: dict[str, Any]
    drawn: Path


def set_up(
    settings: ControlSettings,
    tools: EvaluationContext,
    folder: Path,
    bar: Bar = silent,
    chosen: Sequence[Person] | None = None,
) -> Benchmark:
    """Render people, targets and exact answers, and read them.

    Args:
        settings: as for `run_control`.
        tools: the same.
        folder: the same.
        bar: the same.
        chosen: the people, as many as the settings say, whose neighbours share targets; None is the first held-out
            ones, whose neighbours do not.
    """
    identities, targets = identity_subjects(settings, 0, chosen), target_subjects(settings)
    people = renders(tools, identities, bar, "identities")
    wanted = renders(tools, targets, bar, "targets")
    pairs = shown_pairs(lay_out(settings, in_blocks=chosen is not None), people, wanted)
    inputs = hashlib.sha256(repr([one.seed for one in chosen]).encode()).hexdigest() if chosen else ""
    made_with = made_with_what(settings, tools, inputs)
    place = open_folder(folder, {name: made_with[name] for name in ("mien", "kit", "inputs")} | {"what": "exact"})
    with bar(len(pairs), "exact renders") as advance:
        answers = _answers(tools, identities, targets, pairs, place, advance)
    with bar(len(pairs) + len(targets), "reading") as advance:
        exact = read_images(tools, answers, advance, place)
        goals = read_images(tools, [look.image for look in wanted], advance)
    donors = renders(tools, target_subjects(settings, 0), bar, "donors")
    emotions: list[Emotion | None] = [emotion_of(one.picture.expression) for one in targets]
    weights = pair_weights(pairs, settings.draws)
    return Benchmark(
        identities=identities, targets=targets, pairs=pairs, people=people, wanted=wanted, donors=donors,
        emotions=emotions, exact=exact, goals=goals, weights=weights, folder=folder, inputs=inputs, answers=answers,
    )  # fmt: skip


def run_model(stage: Benchmark, settings: ControlSettings, tools: EvaluationContext, bar: Bar = silent) -> ModelRun:
    """Draw every pair with one model, where its picture is not there, and read the pictures."""
    made_with = made_with_what(settings, tools, stage.inputs)
    drawn = open_folder(stage.folder, made_with)
    inputs = gather_inputs(tools, settings, stage.people, stage.wanted, stage.emotions, stage.targets)
    finish = animated(tools, stage.wanted) if settings.animate else None
    files = draw_pairs(tools, settings, stage.pairs, inputs.rows, drawn, bar, finish)
    with bar(len(stage.pairs), "reading") as advance:
        outputs = read_images(tools, files, advance, drawn)
    return ModelRun(files, outputs, made_with, drawn)


def run_control(settings: ControlSettings, tools: EvaluationContext, folder: Path, bar: Bar = silent) -> dict[str, Any]:
    """Run the benchmark; an interrupted run continues from the pictures that are there.

    Args:
        settings: what to run.
        tools: model, renderer, readers, judges.
        folder: where pictures are kept, each combination of settings and models in a folder of its own.
        bar: makes progress bars.

    Returns:
        The report, as JSON.
    """
    stage = set_up(settings, tools, folder, bar)
    done = run_model(stage, settings, tools, bar)
    report = {
        "benchmark": "control",
        "settings": settings.as_json(),
        "conditions": list(active(settings, tools.kinds)),
        "made_with": done.made_with,
        "judges": dict(tools.judges),
        "readers": list(tools.readers),
        "pairs": len(stage.pairs),
        "unread_targets": sum(not look.read for look in stage.wanted),
        "unread_identities": sum(not look.read for look in stage.people),
        "faces": {name: _found(done.outputs, stage.exact, name, stage.weights) for name in tools.readers},
        "control": {
            one.name: summarise(rows, stage.weights, one.squared)
            for one, rows in control_rows(stage, done.outputs, tools)
        },
        "identity": _identity(settings, tools, stage, done.outputs, bar),
        "meanings": {one.name: one.meaning for one in measures(list(tools.readers), stage.goals)},
    }
    if settings.cross_talk_people:
        report["cross_talk"] = cross_talk(settings, tools, done.drawn, bar)
    return report


def control_rows(stage: Benchmark, outputs: Readings, tools: EvaluationContext) -> list[tuple[Measure, Distances]]:
    """Every measure of expression, pose and emotion with its rows; without renders the driven values are not known."""
    driven = driven_values(stage.targets, tools.judge_face.seen)
    return [
        (one, distances(one, outputs, stage.exact, (driven if one.driven else stage.goals)[one.part], stage.pairs))
        for one in measures(list(tools.readers), stage.goals)
        if stage.targets or not one.driven
    ]


def renders(tools: EvaluationContext, subjects: Sequence[Subject], bar: Bar, label: str) -> list[Look]:
    """Rendered and read."""
    found = []
    with bar(len(subjects), label) as advance:
        for one in subjects:
            found.append(look_at(tools, tools.render(one)))
            advance(1)
    return found


def shown_pairs(pairs: Sequence[Pair], people: Sequence[Look], wanted: Sequence[Look]) -> list[Pair]:
    """Pairs that know which pictures of the person and of the target are shown for them."""
    return [pair.showing(people[pair.person].image, wanted[pair.target].image) for pair in pairs]


def made_with_what(settings: ControlSettings, tools: EvaluationContext, inputs: str = "") -> dict[str, Any]:
    """Everything that the pictures depend on, besides what each one's file name holds.

    Args:
        settings: how they are drawn.
        tools: by what.
        inputs: digest of whatever else they depend on.
    """
    from mien import __version__
    from mien.provenance.fingerprint import environment

    around = environment(str(getattr(tools.pipeline, "device", "cpu")))
    conditions = active(settings, tools.kinds)
    asked, own = settings.of_pictures(), getattr(tools.pipeline, "config", {})  # own: where nothing is asked
    return {
        "mien": __version__,
        "settings": asked | {name: {**own.get(name, {}), **asked[name]} for name in ("guidance", "scales")},
        "conditions": list(conditions),
        "models": tools.models_for(conditions, settings.speed, settings.identity_mode),
        "kit": tools.kit,
        "inputs": inputs,
        **({} if tools.plain_prompt is None else {"prompt": tools.plain_prompt}),
        # threads change the last bits only, and a run may continue with more of them
        "environment": {name: value for name, value in around.items() if name != "threads"},
    }


def _answers(
    tools: EvaluationContext,
    identities: Sequence[Subject],
    targets: Sequence[Subject],
    pairs: Sequence[Pair],
    folder: Path,
    advance: Advance,
) -> list[Path]:
    """The exact renders' files, drawn where they are not there."""
    files = []
    for pair in pairs:
        answer = oracle(identities[pair.person], targets[pair.target])
        path = folder / pair.file
        kept(path, lambda one=answer: tools.render(one).image)
        files.append(path)
        advance(1)
    return files


def _found(outputs: Readings, best: Readings, reader: str, weights: Weights) -> dict[str, Any]:
    """In what share of outputs and exact renders a reader finds a face."""
    shares = {
        name: weights @ readings.found(reader).astype(np.float64) / np.maximum(weights.sum(1), 1.0)
        for name, readings in (("model", outputs), ("oracle", best))
    }
    found = outputs.found(reader)
    found_in = {name: estimate(values) for name, values in shares.items()}
    return found_in | {"n": len(found), "n_failed": int((~found).sum())}


def _identity(
    settings: ControlSettings, tools: EvaluationContext, stage: Benchmark, outputs: Readings, bar: Bar
) -> dict[str, Any]:
    """Identity against four galleries: the pictures shown, other pictures, look-alikes, donors."""
    seen, true, weights = outputs["identity"], stage.exact["identity"], stage.weights
    owners = [pair.person for pair in stage.pairs]
    shown = gallery(tools, stage.people)
    others = gallery(tools, renders(tools, identity_subjects(settings, 1), bar, "other pictures"))
    donors = gallery(tools, stage.donors)
    found = {
        "look": likeness(seen, true, shown, owners, weights),
        "face": likeness(seen, true, others, owners, weights),
        "donor": donor_leak(seen, true, donors, shown, stage.pairs, weights),
    }
    if settings.look_alikes:
        decoys = [one for subject in stage.identities for one in look_alikes(subject, settings.look_alikes)]
        rows = gallery(tools, renders(tools, decoys, bar, "look-alikes"))
        by_person = rows.reshape(len(stage.identities), settings.look_alikes, -1)
        found["look_alikes"] = look_alike_top1(seen, true, shown, by_person, owners, weights)
    return found


def gallery(tools: EvaluationContext, looks: Sequence[Look]) -> Floats:
    """Identity judge's embeddings [N, D] of renders."""
    parts = [
        judge(tools, [look.image for look in part], np.stack([look.landmarks for look in part]))["identity"]
        for part in (looks[start : start + 32] for start in range(0, len(looks), 32))
    ]
    return np.concatenate(parts)
