"""Run a protocol: what ``mien evaluate`` does between reading its options and writing the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.core.progress import Bar, silent
from mien.errors import BadInput
from mien.evaluation.autoencoder import compare_autoencoders
from mien.evaluation.compare import compare
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.tools import EvaluationContext
from mien.evaluation.distribution import compare_distribution
from mien.evaluation.diversity import compare_diversity
from mien.evaluation.fairness import compare_fairness
from mien.evaluation.page import Cases, control_cases
from mien.evaluation.pairing import pictures_in
from mien.evaluation.protocol import preset_of
from mien.evaluation.text_only import compare_text

_ON_RENDERS = {
    "fairness": compare_fairness,
    "text": compare_text,
    "distribution": compare_distribution,
    "autoencoder": compare_autoencoders,
}


def check_folders(protocol: str, identities: Path | None, targets: Path | None) -> None:
    """Look at a user's own folders before anything is loaded.

    Args:
        protocol: name of one.
        identities: folder of pictures of people; None for studio people.
        targets: folder of pictures of targets.

    Raises:
        BadInput: if one is absent, or the protocol needs the other as well or has no use for it.
    """
    if preset_of(protocol).needs_renders:
        if identities is not None or targets is not None:
            raise BadInput(f"{protocol} is measured on studio people: leave --identities, --targets and --sweep out.")
    elif preset_of(protocol).identity_only:
        if targets is not None:
            raise BadInput(f"{protocol} gives models nothing but the identity: leave --targets and --sweep out.")
    elif (identities is None) != (targets is None):
        raise BadInput("Give both --identities and --targets, or neither for studio people.")
    for folder in (identities, targets):
        if folder is not None:
            pictures_in(folder)


def evaluate(
    protocol: str,
    settings: ControlSettings,
    models: Mapping[str, tuple[ControlSettings, EvaluationContext]],
    folder: Path,
    identities: Path | None = None,
    targets: Path | None = None,
    bar: Bar = silent,
    command: str = "",
) -> tuple[dict[str, Any], Mapping[str, Cases]]:
    """Hold models against each other.

    Args:
        protocol: name of one.
        settings: see `mien.evaluation.protocol.Preset.settings`.
        models: see `mien.evaluation.protocol.load_models`.
        folder: where pictures are kept and found again.
        identities: see `check_folders`.
        targets: see `check_folders`.
        bar: makes progress bars.
        command: what is noted in the claims as having made them.

    Returns:
        The report, and each model's pictures to show.
    """
    if preset_of(protocol).needs_renders:
        report, cases = _ON_RENDERS[protocol](settings, models, folder, bar)
    elif preset_of(protocol).identity_only:
        report, cases = compare_diversity(settings, models, folder, bar, identities, command)
    else:
        own = (identities, targets) if identities and targets else None
        report, done, stage = compare(settings, models, folder, bar, own, command)
        shown = f"{report['readers'][0]}.blendshapes"
        cases = {name: control_cases(one, stage, shown) for name, one in done.items()}
    return report | {"protocol": protocol}, cases
