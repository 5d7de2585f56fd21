"""A report in a few lines, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Each side's seconds, each ratio with its extremes, and how busy the machine was."""
    parts = report.get("parts", {}).values()
    sides = {name: side for part in parts for name, side in part["sides"].items()} | report.get("sides", {})
    for name, side in sides.items():
        yield f"{name:<34}{_seconds(side['seconds'])}"
    for one in (*parts, *report.get("pairs", ())):
        found = one["ratio"]
        extremes = f"({found['minimum']:.2f} to {found['maximum']:.2f}, {found['rounds']} rounds)"
        yield f"{one['of'] + ' / ' + one['to']:<34}{found['median']:.2f} {extremes}"
    for name, side in report.get("memory", {}).items():
        yield f"{'memory of ' + name:<34}{side['megabytes']:.0f} MB, {side['before']:.0f} MB of it before drawing"
    for speed, one in report.get("portrait", {}).get("speeds", {}).items():
        share = f"{one['outside']['median']:.0%} of it outside UNet and decoder"
        yield f"{'portrait, ' + speed:<34}{_seconds(one['all'])}, {share}"
    machine = report["machine"]
    load = "" if machine["load"] is None else f", load {machine['load']:g} before"
    yield f"on {machine['processor']}, {machine['threads']} of {machine['cores']} cores{load}"


def _seconds(spread: dict[str, float]) -> str:
    return f"{spread['median']:.3g} s ({spread['minimum']:.3g} to {spread['maximum']:.3g})"
