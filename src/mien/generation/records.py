"""The record that a picture carries: what was asked for, and sha256 of what it was made from and with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.core.io import sha256_of
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from mien.provenance.record import Record

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline


def hashes(pipeline: PortraitPipeline, tools: FaceTools) -> dict[str, str]:
    """sha256 of the weights that a picture depends on, by file, and of their configurations, by folder."""
    from mien.provenance.fingerprint import JUDGES, model_hashes

    return model_hashes(pipeline.folder, {**pipeline.parts, **tools.files}, without=JUDGES)


def record_maker(
    request: GenerateRequest,
    pipeline: PortraitPipeline,
    tools: FaceTools,
    further: Mapping[str, Path] | None = None,
    extra_settings: Mapping[str, Any] | None = None,
) -> Callable[[int], Record]:
    """A function that gives the record of picture i; hashing is done once.

    Args:
        request: what is drawn.
        pipeline: by what.
        tools: its readers.
        further: input files by role besides the request's.
        extra_settings: settings besides the request's.
    """
    from mien.provenance.fingerprint import environment

    inputs = request.input_hashes() | {role: sha256_of(path) for role, path in (further or {}).items()}
    models = hashes(pipeline, tools)
    # "auto" is resolved, so that a repeat elsewhere does not read the face with another reader
    settings = request.settings() | {"reader": tools.reader_name} | dict(extra_settings or {})
    around = environment(str(pipeline.device))

    def record(index: int) -> Record:
        return Record(
            mien=__version__, settings=settings, index=index, inputs=inputs, models=models, environment=around
        )

    return record
