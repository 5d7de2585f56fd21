"""Models of a run, loaded from their specs, and variants of them over a branch's scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mien.errors import BadInput
from mien.evaluation.context import EvaluationContext, load_tools, with_model
from mien.evaluation.control.pictures import Drawing
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.outside import OutsideNetworks
from mien.pipelines.spec import ModelSpec


class Sweep(NamedTuple):
    """Scales of one branch."""

    branch: str
    scales: tuple[float, ...]


def sweep_of(text: str) -> Sweep:
    """``landmarks=0.5,1,1.5`` as a sweep.

    Raises:
        BadInput: for anything else.
    """
    branch, _, numbers = text.partition("=")
    try:
        scales = tuple(float(number) for number in numbers.split(","))
    except ValueError as error:
        raise BadInput(f"Write --sweep BRANCH=NUMBER,NUMBER, not {text!r}.") from error
    return Sweep(branch, scales)


def variant(name: str, branch: str, scale: float) -> str:
    """Name of a model at another scale."""
    return f"{name}@{branch}={scale:g}"


def load_models(
    specs: Mapping[str, ModelSpec],
    settings: ControlSettings,
    kit: Path | None,
    sweep: Sweep | None = None,
    rendered: bool = True,
    networks: Iterable[str] = (),
    outside: OutsideNetworks | None = None,
    drawing: Drawing | None = None,
    reader: str = "auto",
) -> dict[str, tuple[ControlSettings, EvaluationContext]]:
    """Settings and tools of every model and of its variants; readers, judges and renderer are loaded once.

    Args:
        specs: name -> spec.
        settings: the protocol's.
        kit: the face kit's file; None takes ``MIEN_FACEKIT``.
        sweep: scales at which each model is run as well.
        rendered: people and targets are renders, for which the kit is needed.
        networks: names of networks of other groups, see `mien.evaluation.networks`.
        outside: see `EvaluationContext`.
        drawing: who draws; this process alone if None.
        reader: see `mien.evaluation.context.load_tools`.

    Raises:
        MienError: if weights, judges, the kit or every reader is missing.
    """
    for spec in specs.values():
        spec.check()
    shared = replace(load_tools("studio", kit, rendered, networks, reader), drawing=drawing or Drawing())
    if outside is not None:
        judges = {**shared.judges, **outside.files}
        shared = replace(shared, outside=outside, judges=judges, reopen_readers=None)  # they are this process's alone
    found: dict[str, tuple[ControlSettings, EvaluationContext]] = {}
    for name, spec in specs.items():
        tools, own = with_model(shared, spec.load(), spec), settings.for_model(spec)
        found[name] = own, tools
        if sweep is not None:
            for scale in sweep.scales:
                scaled = replace(own, scales={**own.scales, sweep.branch: scale})
                found[variant(name, sweep.branch, scale)] = scaled, tools
    return found


def add_sweeps(report: dict[str, Any], specs: Mapping[str, ModelSpec], sweep: Sweep) -> None:
    """Gather the variants of each model in ``report["sweeps"]``: identity against transfer."""
    reader = report["readers"][0]
    report["sweeps"] = {}
    for name in specs:
        points = []
        for scale in sweep.scales:
            metrics = report["models"][variant(name, sweep.branch, scale)]["metrics"]
            points.append(
                {"scale": scale, "transfer": metrics[f"transfer.{reader}.exp"], "identity": metrics["identity.cosine"]}
            )
        report["sweeps"][name] = {"branch": sweep.branch, "points": points}
