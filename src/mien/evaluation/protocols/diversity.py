"""How much pictures of one identity differ when nothing but the identity is given (FaceCrafter Tables 2 and 3).

Compared with the studio's own renders of the same people: as diverse as those is right, more is not better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.core.progress import Bar
from mien.evaluation.claims.verdicts import claims_report
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.baselines import AUTOENCODER, EXACT, blank, mean_face
from mien.evaluation.control.folders import read_folder
from mien.evaluation.control.pictures import kept, open_folder
from mien.evaluation.control.run import Benchmark, ModelRun, gallery, renders, run_model
from mien.evaluation.control.scene import Subject, identity_subjects, lay_out, pixels_digest, varied_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.networks.load import in_batches
from mien.evaluation.pairing import picture_set
from mien.evaluation.png import Pixels, read_png
from mien.evaluation.protocols.base import EvaluationRun, Protocol, Report
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.readings.files import read_sets
from mien.evaluation.readings.read import read_images
from mien.evaluation.reconstruction import reconstructed
from mien.evaluation.report.assemble import assembled, baseline_report
from mien.evaluation.report.cases import Case, Cases
from mien.evaluation.statistics.bootstrap import resamples
from mien.evaluation.statistics.scores import (
    Comparable,
    finite,
    finite_mean,
    frechet_name,
    mean_score,
    set_scores,
    share_score,
)
from mien.metrics.distributions import Moments, frechet_distance, kernel_distances
from mien.metrics.diversity import per_identity_std, perceptual

Rows = NDArray[np.float64]


class DiversityProtocol(Protocol):
    """Several pictures of each person from the identity alone."""

    def run(self, run: EvaluationRun) -> Report:
        """Draw ``settings.targets`` pictures of each person from the identity alone, with several models.

        Args:
            run: ``settings`` has people, pictures a person (``targets``), steps and resamples; conditions other than
                the identity are not used, whatever a model's settings say. With ``identities``, a folder of a user's
                own pictures, one a person, there is no ceiling, and the set of pictures is compared with that of
                ``reference``, if one is given.
        """
        first, bar = run.first, run.bar
        settings = replace(run.settings, conditions=("identity",), pairs_per_person=None)
        people = (
            list(read_folder(first, run.identities, bar).values())
            if run.identities
            else renders(first, identity_subjects(settings), bar, "identities")
        )
        settings = replace(settings, people=len(people))
        pairs = [pair.showing(people[pair.person].image) for pair in lay_out(settings)]
        own = run.identities is not None
        varied = [] if own else varied_subjects(settings.first_person, settings.people, settings.targets)
        rendered = renders(first, varied, bar, "renders") if varied else []
        exact = read_images(first, [look.image for look in rendered]) if rendered else Readings({})
        ends = _renders_apart(settings, first, exact, bar) if rendered else {}
        against = _reference(first, run.reference, bar)
        stage = Benchmark(
            identities=[], targets=[], pairs=pairs, people=people, donors=[], exact=exact,
            wanted=[people[0]] * settings.targets, emotions=[None] * settings.targets,  # in place of targets: not read
            goals=Readings({}), weights=_weights(len(people), settings.draws), folder=run.folder,
        )  # fmt: skip
        shown = gallery(first, people)
        real = [look.image for look in rendered]
        done: dict[str, ModelRun] = {}
        scores: dict[str, dict[str, Comparable]] = {}
        for name, (asked, tools) in run.models.items():
            with run.part():
                only = replace(asked, conditions=("identity",), people=len(people), targets=settings.targets,
                               pairs_per_person=None)  # fmt: skip
                done[name] = run_model(stage, only, tools, bar)
                scores[name] = _scores(stage, done[name], first, shown, real, ends, against)
        run.check_whole()
        apart = f" As a set against {len(next(iter(against.values())))} real pictures." if against else ""
        title = (
            f"{len(people)} people x {settings.targets} pictures from the identity alone.{apart} In parentheses: 95 % "
            "interval, bootstrap over people."
        )
        made = {name: {"made_with": one.made_with} for name, one in done.items()}
        report = assembled(title, settings, len(pairs), first, made, scores)
        if rendered:
            report |= baseline_report(
                {
                    name: _scores(stage, one, first, shown, real, ends)
                    for name, one in _baselines(stage, first, varied, real).items()
                }
            )
        elif not against:
            names = [name for one in first.looks() for name in (f"kid.{one}", f"{frechet_name(one)}.{one}")]
            report["unmeasured"] = dict.fromkeys(names, "no reference set given")
        report |= claims_report(scores, run.command, run.training, report.get("refused", {}))
        report["protocol"] = self.name
        cases = {name: _cases(stage, one, settings.targets, first.first_reader) for name, one in done.items()}
        return Report(report, cases)


DIVERSITY = DiversityProtocol(
    "diversity", "several pictures of each person from the identity alone (Table 2)",
    100, 8, None, ("identity",), "identities",
)  # fmt: skip
ABLATION = replace(DIVERSITY, name="ablation", summary="the same, of models trained with and without a loss (Table 3)")


def _baselines(
    stage: Benchmark, context: EvaluationContext, subjects: Sequence[Subject], real: Sequence[Pixels]
) -> dict[str, ModelRun]:
    """The exact renders, the same through the autoencoder, and dummies; here nobody is shown a template to copy."""
    drawn = {
        EXACT: real,
        "blank": [blank(context.size)] * len(real),
        "mean-face": [mean_face(context, subjects[0])] * len(real),
        "copy-identity": [stage.people[pair.person].image for pair in stage.pairs],
    }
    if getattr(context.pipeline, "vae", None) is not None:
        drawn[AUTOENCODER] = reconstructed(context.pipeline.vae, real)
    found = {}
    for name, pictures in drawn.items():
        made_with = {"what": f"diversity {name}", "kit": context.kit, "models": dict(context.models)}
        place = open_folder(stage.folder, made_with)
        files = [place / f"{pixels_digest([picture])[:32]}.png" for picture in pictures]
        for file, picture in zip(files, pictures, strict=True):
            kept(file, lambda one=picture: one)
        found[name] = ModelRun(files, read_images(context, files, folder=place), made_with, place)
    return found


def _weights(people: int, draws: int) -> Rows:
    """Resamples of people, [1 + draws, people]; the first row is the data themselves."""
    return resamples([np.arange(people)], draws, np.random.default_rng(0x646976))


def _scores(
    stage: Benchmark,
    done: ModelRun,
    tools: EvaluationContext,
    shown: NDArray[Any],
    real: Sequence[Pixels],
    ends: Mapping[str, tuple[float | None, float | None]],
    against: Mapping[str, Rows] = MappingProxyType({}),
) -> dict[str, Comparable]:
    """Every metric of one model; rows are people."""
    count = len(stage.people)
    weights, exact = stage.weights, stage.exact.values
    each = np.repeat(weights, len(stage.pairs) // count, 1)
    found: dict[str, Comparable] = {}
    for name in tools.readers:
        best = float(stage.exact.found(name).mean()) if exact else None
        found[f"faces.{name}"] = share_score(done.outputs.found(name), each, None, best)
    parts = {f"diversity.expression.{tools.first_reader}": f"{tools.first_reader}.blendshapes",
             f"diversity.pose.{tools.first_reader}": f"{tools.first_reader}.pose",
             "diversity.expression.judge": "judge.coefficients", "diversity.pose.judge": "judge.pose"}  # fmt: skip
    for name, network in tools.networks.faces.items():
        # FLAME's, which the paper measures with
        columns = {what: f"{what}_parameters" for what in ("expression", "pose")}
        parts |= {f"diversity.{what}.{name}": f"{part}.{name}" for what, part in columns.items()
                  if part in network.layout.parts}  # fmt: skip
    for name, part in parts.items():
        rows = _std_norms(done.outputs[part], count)
        found[name] = mean_score(rows, _std_norms(exact[part], count) if exact else rows * np.nan, weights, "higher")
    similar = np.einsum("nkd,nd->nk", done.outputs["identity"].reshape(count, -1, shown.shape[1]), shown)
    found["identity.cosine"] = mean_score(_mean(similar), _same(exact, shown, count), weights, "higher")
    pictures = [read_png(file) for file in done.files] if tools.networks.pairs else []
    for name, network in tools.networks.pairs.items():
        rows, exact_rows = (_apart(images, count, network) for images in (pictures, real))
        found[name.replace("-", ".")] = mean_score(rows, exact_rows, weights, "higher")
    for name in tools.looks():
        seen, best = done.outputs[f"features.{name}"], exact.get(f"features.{name}", np.zeros((0, 0)))
        if name == "studio":
            rows, exact_rows = (_apart(of, count, _straight) for of in (seen, best))
            found["perceptual.studio"] = mean_score(rows, exact_rows, weights, "higher")
        owners = np.array([[pair.person] for pair in stage.pairs])
        if len(best):
            found |= set_scores(name, best, seen, each, owners, ends[name])
        elif name in against:
            found |= set_scores(name, against[name], seen, each, owners, own=False)
    return found


def _reference(tools: EvaluationContext, folder: Path | None, bar: Bar) -> dict[str, Rows]:
    """What every network sees in a folder of real pictures, [N, D]; nothing without one."""
    if folder is None:
        return {}
    files = picture_set(folder)
    with bar(len(files), "reference set") as advance:
        return read_sets(files, tools.looks(), advance)


def _renders_apart(
    settings: ControlSettings, tools: EvaluationContext, exact: Readings, bar: Bar
) -> dict[str, tuple[float | None, float | None]]:
    """What further renders of the same people, as many as the outputs, come to in every network's features."""
    further = varied_subjects(settings.first_person, settings.people, settings.targets, skipped=settings.targets)
    images = [look.image for look in renders(tools, further, bar, "further renders")] if tools.looks() else []
    owners = np.repeat(np.arange(settings.people), settings.targets)
    return {
        name: _ends(exact[f"features.{name}"], in_batches(look, images), owners) for name, look in tools.looks().items()
    }


def _ends(real: Rows, others: Rows, owners: NDArray[Any]) -> tuple[float | None, float | None]:
    """(KID, Frechet distance) between renders and as many others of the same people, whose rows are ``owners`` [N]."""
    kid = kernel_distances(real, others, np.ones((1, len(real))), units=(owners[:, None], owners[:, None]))
    return finite(float(kid[0])), finite(frechet_distance(Moments.of(real), Moments.of(others)))


def _straight(a: Rows, b: Rows) -> Rows:
    return np.linalg.norm(a - b, axis=-1)


def _apart(of: Rows | Sequence[Pixels], people: int, distance: Callable[..., ArrayLike]) -> Rows:
    """Mean distance between two pictures (or features) of a person, [people]; NaN where there are none."""
    from mien.core.pixels import pictures_to_tensor

    if not len(of):
        return np.full(people, np.nan)
    rows = of if isinstance(of, np.ndarray) else pictures_to_tensor(of)
    return perceptual(rows.reshape(people, -1, *rows.shape[1:]), distance)


def _std_norms(rows: NDArray[Any], people: int) -> Rows:
    """Norm of the standard deviation over each person's pictures, [people]; NaN where one shows no face."""
    return per_identity_std(rows.reshape(people, -1, rows.shape[1]))


def _same(exact: Mapping[str, NDArray[Any]], shown: NDArray[Any], count: int) -> Rows:
    """Mean cosine of the renders of each person to the shown picture, [people]; NaN without renders."""
    if not exact:
        return np.full(count, np.nan)
    return _mean(np.einsum("nkd,nd->nk", exact["identity"].reshape(count, -1, shown.shape[1]), shown))


def _mean(values: NDArray[Any]) -> Rows:
    """Mean of each row over what is there; NaN for an empty row."""
    return np.array([np.nan if (mean := finite_mean(row)) is None else mean for row in values])


def _cases(stage: Benchmark, done: ModelRun, samples: int, reader: str) -> Cases:
    """The people whose pictures differ most and least in expression."""
    rows = _std_norms(done.outputs[f"{reader}.blendshapes"], len(stage.people))
    there = np.flatnonzero(np.isfinite(rows))
    order = there[np.argsort(rows[there], kind="stable")]
    rows_of = {"most alike in expression: the person, then pictures": order[:4], "most diverse": order[::-1][:4]}
    return {
        heading: [
            Case(
                f"person-{row:04d}",
                [stage.people[row].image, *map(read_png, done.files[row * samples : (row + 1) * samples])],
                f"norm of the standard deviation {rows[row]:.3f}",
                drawn=samples,
            )
            for row in chosen
        ]
        for heading, chosen in rows_of.items()
    }
