"""People and targets from a user's own pictures: no exact render, so no ceiling and no transfer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.conditions import Emotion
from mien.core.io import read_json
from mien.core.progress import Bar, silent
from mien.errors import BadInput
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.run import Benchmark, shown_pairs
from mien.evaluation.control.scene import lay_out
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.steer import Look
from mien.evaluation.control.summary import pair_weights
from mien.evaluation.pairing import pictures_in
from mien.evaluation.readings.arrays import Readings
from mien.evaluation.readings.read import read_images
from mien.faces.observed import largest_face
from mien.generation.protocol_folder import MANIFEST

log = logging.getLogger(__name__)

SIDE = 256
"""Of the crops: twice the networks' own size, so that they can frame the face once more without losing detail."""


def read_folder(tools: EvaluationContext, folder: Path, bar: Bar = silent) -> dict[str, Look]:
    """The faces of a folder's pictures in the studio's framing, by the pictures' paths in it, in their order.

    Pictures without a face are left out with a warning.

    Raises:
        BadInput: if the folder is absent, or fewer than two of its pictures show a face.
    """
    from mien.faces.alignment import studio_crop
    from mien.media.pictures import open_picture

    files = pictures_in(folder)
    reader, found = tools.readers[tools.first_reader], {}
    with bar(len(files), folder.name) as advance:
        for file in files:
            image = open_picture(file)
            face = largest_face(reader, image)
            if face is None or face.landmarks is None:
                log.warning("no face in %s: left out", file)
            else:
                crop, points, _ = studio_crop(image, face.landmarks, SIDE)
                name = file.relative_to(folder).as_posix()
                found[name] = Look(np.asarray(crop), np.asarray(points, np.float32), True)
            advance(1)
    if len(found) < 2:
        raise BadInput(f"{folder} has {len(found)} pictures with a face; at least 2 are needed.")
    return found


def sized(settings: ControlSettings, identities: Sequence[Look], targets: Sequence[Look]) -> ControlSettings:
    """Settings for as many people and targets as there are pictures of."""
    each = settings.pairs_per_person
    return replace(
        settings, people=len(identities), targets=len(targets),
        pairs_per_person=None if each is None else min(each, len(targets)),
    )  # fmt: skip


def set_up_folders(
    settings: ControlSettings,
    tools: EvaluationContext,
    identities: Path,
    targets: Path,
    folder: Path,
    bar: Bar = silent,
) -> tuple[ControlSettings, Benchmark]:
    """As `mien.evaluation.control.run.set_up`, for two folders of pictures; also the settings as they were run.

    Emotions of the targets are those that their protocol states (``mien data protocol``), as its requests do; else
    those the studio's reader sees, where it is there.

    Raises:
        BadInput: see `read_folder`.
    """
    people = list(read_folder(tools, identities, bar).values())
    named, stated = read_folder(tools, targets, bar), emotions_stated(targets)
    wanted = list(named.values())
    settings = sized(settings, people, wanted)
    pairs = shown_pairs(lay_out(settings), people, wanted)
    with bar(len(wanted), "reading") as advance:
        goals = read_images(tools, [look.image for look in wanted], advance)
    exact = Readings({name: np.full((len(pairs), *rows.shape[1:]), np.nan) for name, rows in goals.values.items()})
    return settings, Benchmark(
        identities=[], targets=[], pairs=pairs, people=people, wanted=wanted, donors=wanted,
        emotions=[stated.get(name) or _emotion(tools, look) for name, look in named.items()], exact=exact, goals=goals,
        weights=pair_weights(pairs, settings.draws), folder=folder,
    )  # fmt: skip


def emotions_stated(targets: Path) -> dict[str, Emotion]:
    """Emotions of a protocol's targets, by their files' names; none where the folder is of no protocol."""
    manifest = targets.parent / MANIFEST
    pictures = read_json(manifest).get("pictures", {}).get(targets.name, []) if manifest.is_file() else []
    return {one["file"]: Emotion.of_vector(one["emotion"]) for one in pictures if "emotion" in one}


def _emotion(tools: EvaluationContext, look: Look) -> Emotion | None:
    """As the studio's reader sees it; neutral where it sees no face, None without that reader."""
    if "studio" not in tools.readers:
        return None
    face = largest_face(tools.readers["studio"], look.image)
    if face is None or face.emotion is None:
        return Emotion.of("neutral")
    valence, arousal, *probabilities = (float(value) for value in face.emotion)
    total = sum(probabilities)
    return Emotion(tuple(value / total for value in probabilities), valence, arousal)
