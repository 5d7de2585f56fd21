"""Putting people on a refusal list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mien.faces.observed import DetectedFace
from mien.generation.tools import FaceTools, identity_network
from mien.media.pictures import open_picture
from mien.provenance.refusals import RefusalList, unchecked


def add_people(path: Path, photos: Sequence[Path], bases: Sequence[str], reader: str) -> int:
    """Add the largest face of each photo to a list, once for the network of each base.

    Args:
        path: the list; made if it is not there, and written only when every photo was read.
        photos: pictures of people.
        bases: see `mien.pipelines.bases.open_base`.
        reader: see `mien.faces.names`.

    Returns:
        Embeddings on the list.

    Raises:
        NoFaceFound: if a photo has no face.
        BadInput: if the file is something else.
        MissingAsset: if the network of a base is not here.
    """
    people = RefusalList.load(path) if path.is_file() else RefusalList()
    with unchecked():  # somebody who is on the list already can be read once more
        for base in bases:
            tools = FaceTools.load(base, reader)
            for photo in photos:
                image = open_picture(photo)
                embedding, _ = tools.embed(DetectedFace(image, tools.read(image, str(photo)).face()))
                people = people.added(identity_network(base), embedding)
    people.save(path)
    return sum(len(rows) for rows in people.embeddings.values())
