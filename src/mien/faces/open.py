"""Which face reader: by name, or the best one that is installed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mien.errors import MissingAsset, MissingDependency

if TYPE_CHECKING:
    from mien.faces.studio import StudioReader
    from mien.faces.types import FaceReader

log = logging.getLogger(__name__)


def open_reader(name: str, studio: StudioReader | None = None) -> FaceReader:
    """A face reader.

    Args:
        name: ``READER[+NAME...]``, see `mien.faces.names`; ``auto`` is MediaPipe's landmarker where its model file is
            here or can be fetched, else the studio's own.
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


def _one_reader(name: str, studio: StudioReader | None) -> FaceReader:
    if name == "uniface":
        from mien.faces.uniface import UnifaceReader

        return UnifaceReader()
    if name == "antelopev2":
        from mien.faces.scrfd import ScrfdReader

        return ScrfdReader()
    if name == "mediapipe":
        from mien.faces.mediapipe import MediaPipeReader

        return MediaPipeReader()
    if name == "mediapipe-torch":
        from mien.faces.landmarker import LandmarkerReader

        return LandmarkerReader()
    if name == "studio":
        from mien.faces.studio import StudioReader

        return studio or StudioReader.from_pretrained()
    return default_reader(studio)


def default_reader(studio: StudioReader | None = None) -> FaceReader:
    """MediaPipe's landmarker when its model file is there or can be fetched, else the studio's own reader.

    Args:
        studio: the studio's reader, if it is already loaded.

    Example:
        >>> from mien.faces import FaceReader, default_reader
        >>> isinstance(default_reader(), FaceReader)
        True
    """
    from mien.faces.landmarker import LandmarkerReader

    try:
        return LandmarkerReader()
    except (MissingAsset, MissingDependency) as error:
        log.info("reading faces with the studio's own network: %s", error)
    from mien.faces.studio import StudioReader

    return studio or StudioReader.from_pretrained()
