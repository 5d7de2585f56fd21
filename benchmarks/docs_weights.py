"""The part of ``docs/results.md`` on whether the weights are worth shipping, from the JSON of ``weights.py``.

What has no JSON file yet is said to be unmeasured; no number is written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from docs_headline import SHIPPED, Headline, score
from docs_parts import only, short

from mien.core.io import read_json
from mien.evaluation.control.baselines import EXACT
from mien.evaluation.report.tables import comparison, number, table

Told = Mapping[str, Any]


class Bound(NamedTuple):
    """One thing that is asked of the weights.

    Attributes:
        what: in words.
        value: measured; None where it could not be.
        asked: the bound.
        least: the value is to be at least that, else at most.
        beside: levels that say what the value means.
        refused: a dummy model is better than the exact render on it, so nothing is asked of it.
    """

    what: str
    value: Told | None
    asked: float
    least: bool
    beside: str = ""
    refused: bool = False

    @property
    def holds(self) -> bool:
        """Whether the value itself is within the bound."""
        value = None if self.value is None else self.value["value"]
        if value is None or self.refused:
            return False
        return value >= self.asked if self.least else value <= self.asked

    def row(self) -> list[str]:
        """Of the table."""
        sign = "at least" if self.least else "at most"
        verdict = "refused" if self.refused else "holds" if self.holds else "does not hold"
        return [self.what, number(self.value), f"{sign} {self.asked:g}", verdict, self.beside]


NEARNESS = ("nearness.expression", "nearness.expression.judge", "nearness.gaze.judge", "nearness.pose")
"""Headline measures of which something is asked."""


def headline_bounds(found: Headline) -> Iterator[Bound]:
    """Nearness to the exact render of the wanted person."""
    for measure in NEARNESS:
        value = score(found, SHIPPED, measure)
        if value is None:
            continue
        others = (EXACT, "copy-template", "copy-identity")
        levels = [(name, score(found, name, measure)) for name in others]
        beside = [f"{name} {short(one['value'])}" for name, one in levels if one is not None]
        better = found["refused"].get(measure, ())
        beside += [f"{', '.join(better)} better than the exact render"] if better else []
        yield Bound(f"`{measure}`", value, 0.8, True, ", ".join(beside), bool(better))


def control_bounds(report: Told) -> Iterator[Bound]:
    """Face found, pose, emotion and identity."""
    reader, measured = report["readers"][0], report["control"]
    yield Bound(f"face found ({reader})", report["faces"][reader]["model"], 0.995, True,
                f"exact render {short(report['faces'][reader]['oracle']['value'])}")  # fmt: skip
    for name in ("judge.yaw", "judge.pitch"):
        yield Bound(f"`{name}`, degrees", measured[name]["model"], 4.0, False,
                    f"exact render {short(measured[name]['oracle']['value'])}")  # fmt: skip
    other = measured["judge.emotion_class"]
    right = {level: 1 - other[level]["value"] for level in ("model", "oracle", "shuffled")}
    ratio = _alone(right["model"], right["oracle"])
    yield Bound("emotion class right, of exact renders", ratio, 0.9, True,
                ", ".join(f"{name} {short(right[level])}" for level, name in
                          (("model", "right"), ("oracle", "exact render"), ("shuffled", "chance"))))  # fmt: skip
    for name, title in (("look", "whole gallery, shown picture"), ("face", "whole gallery, another picture")):
        first = report["identity"][name]["top1"]
        yield Bound(f"right person first, {title}, of exact renders", first["of_oracle"], 0.9, True, _shares(first))
    if "look_alikes" in report["identity"]:
        first = report["identity"]["look_alikes"]
        ratio = first.get("of_oracle") or _alone(first["model"]["value"], first["oracle"]["value"])
        yield Bound("right person before look-alikes, of exact renders", ratio, 0.9, True, _shares(first))


def autoencoder_bounds(report: Told) -> Iterator[Bound]:
    """What comes back."""
    metrics = _metrics(report)
    around = ", ".join(f"{name} {short(metrics[f'psnr.{name}']['value'])}" for name in ("eyes", "mouth"))
    yield Bound("autoencoder's PSNR, dB", metrics["psnr"], 33.0, True, around)


def text_bounds(report: Told) -> Iterator[Bound]:
    """What captions say."""
    metrics = _metrics(report)
    for name in ("hair_color", "glasses", "beard", "background"):
        one, ratio = metrics[name], metrics[f"of_oracle.{name}"]
        yield Bound(f"text alone: `{name}` right", one, 0.9, True,
                    f"exact render {short(one['ceiling'])}, chance {short(one['floor'])}, of exact renders "
                    f"{short(ratio['value'])}")  # fmt: skip


def fairness_bounds(report: Told) -> Iterator[Bound]:
    """The worst group of every kind."""
    for measure, groupings in next(iter(report["models"].values()))["fairness"].items():
        for by, one in groupings.items():
            chance = one["by_chance"]
            beside = f"worst: {one['worst']}" + (f"; by chance {short(chance['value'])}" if chance else "")
            yield Bound(f"`{measure}`, worst group by {by}: behind the mean", one["shortfall"], report["bound"], False,
                        beside)  # fmt: skip


BOUNDS: Mapping[str, Callable[[Told], Iterator[Bound]]] = {
    "headline": headline_bounds, "control": control_bounds, "fairness": fairness_bounds, "text_only": text_bounds,
    "autoencoder": autoencoder_bounds,
}  # fmt: skip
TITLES = {
    "fairness": ("Skin, age and gender", "mien evaluate fairness"),
    "text_only": ("Pictures from words alone", "mien evaluate text"),
    "distribution": ("Pictures as a set", "mien evaluate distribution"),
    "autoencoder": ("The autoencoder", "mien evaluate autoencoder"),
}
"""Name of a JSON file -> heading, command; the headline and the control report have sections of their own."""


def section(results: Path) -> list[str]:
    """Headings, paragraphs and tables."""
    files = {name: results / f"{name}.json" for name in ("headline", "control", *TITLES)}
    told = {name: read_json(file) for name, file in files.items() if file.exists()}
    rows = [bound.row() for name, bounds in BOUNDS.items() if name in told for bound in bounds(told[name])]
    parts = [
        "## What is asked of the weights",
        "`python benchmarks/weights.py`: held-out people, judges that trained nothing. A bound holds if the value is "
        "within it; the interval says how sure that is.",
        table(["", "measured", "asked", "", "beside it"], rows),
    ]
    missing = [name for name in files if name not in told]
    if missing:
        names = ", ".join(f"`{name}.json`" for name in missing)
        parts.append(f"Not measured yet (no {names} in `benchmarks/results/`).")
    for name, (title, command) in TITLES.items():
        if name in told:
            parts += [f"## {title}", f"`{command}` ([JSON](../benchmarks/results/{name}.json)).{_mode(told[name])}",
                      comparison(_without_groups(told[name])).strip()]  # fmt: skip
    return parts


def _mode(report: Told) -> str:
    """Says so where pictures were not drawn in the exact mode."""
    made_with = next(iter(report["models"].values())).get("made_with", {})
    speed = made_with.get("settings", {}).get("speed", "exact")
    return "" if speed == "exact" else f" Drawn with `--speed {speed}`."


def _without_groups(report: dict[str, Any]) -> dict[str, Any]:
    """Without the shortfalls among the metrics: tables of their own tell more of them."""
    metrics = tuple(name for name in _metrics(report) if ".shortfall." not in name)
    return only(report, metrics)


def _metrics(report: Told) -> Told:
    return next(iter(report["models"].values()))["metrics"]


def _alone(model: float, oracle: float) -> Told | None:
    """A ratio without an interval."""
    return {"value": model / oracle, "low": None, "high": None} if oracle else None


def _shares(first: Told) -> str:
    return (
        f"{short(first['model']['value'])}, exact render {short(first['oracle']['value'])}, chance "
        f"{short(first['chance'])}"
    )
