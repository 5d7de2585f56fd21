"""Which face reader: by name, or the best one that is installed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mien.errors import MissingAsset, MissingDependency

if TYPE_CHECKING:
    from mien.faces.types import FaceReader

log = logging.getLogger(__name__)


def open_reader(name: str, studio: Any = None) -> Any:
    """A face reader.

    Args:
        name: ``READER[+NAME...]``, see `mien.faces.names`; ``auto`` is MediaPipe where it is installed, else the
            studio's own.
        studio: a `mien.faces.StudioReader` that is already loaded.

    Raises:
        BadInput: for another name.
        MissingDependency, MissingAsset: if that reader is not installed.
    """
    from mien.faces.joined import JoinedReader
    from mien.faces.names import NETWORKS, reader_names

    first, *others = reader_names(name)
    reader = _one_reader(first, studio)
    if not others:
        return reader
    from mien.faces.published.addition import NetworkAddition

    added = [NetworkAddition(other) if other in NETWORKS else _one_reader(other, studio) for other in others]
    return JoinedReader(reader, added)


def _one_reader(name: str, studio: Any) -> Any:
    from mien.faces.mediapipe import MediaPipeReader
    from mien.faces.studio import StudioReader

    if name == "uniface":
        from mien.faces.uniface import UnifaceReader

        return UnifaceReader()
    if name == "antelopev2":
        from mien.faces.scrfd import ScrfdReader

        return ScrfdReader()
    if name != "studio":
        try:
            return MediaPipeReader()
        except (MissingAsset, MissingDependency) as error:
            if name == "mediapipe":
                raise
            log.info("reading faces with the studio's own network: %s", error)
    return studio or StudioReader.from_pretrained()


def default_reader() -> FaceReader:
    """MediaPipe when its package and model file are there, else the studio's own reader."""
    from mien.faces.mediapipe import MediaPipeReader

    try:
        return MediaPipeReader()
    except (MissingAsset, MissingDependency) as error:
        log.info("reading faces with the studio's own network: %s", error)
    from mien.faces.studio import StudioReader

    return StudioReader.from_pretrained()
