"""mien: portraits with separate controls for identity, expression, head pose, emotion and text.

    import mien

    images = mien.generate(identity="me.jpg", expression="friend.jpg", yaw=20, n=4, seed=1)
    pipe = mien.load("studio")
    face = mien.read("me.jpg")
    report = mien.score(reference=["me.jpg"], generated=images[:1])

Importing this package is cheap; names are resolved when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.core.lazy import lazy_exports
from mien.core.openmp import wait_passively

__version__ = "0.1.0"

_EXPORTS = {
    "Emotion": "mien.conditions",
    "Face": "mien.faces.types",
    "FaceReading": "mien.faces.read",
    "Identity": "mien.conditions",
    "MienError": "mien.errors",
    "NoFace": "mien.faces.types",
    "NoFaceFound": "mien.errors",
    "OneFace": "mien.faces.types",
    "PortraitPipeline": "mien.pipelines.portrait",
    "PortraitPipelineOutput": "mien.pipelines.output",
    "PortraitXLPipeline": "mien.pipelines.portrait_xl",
    "Pose": "mien.conditions",
    "SeveralFaces": "mien.faces.types",
    "generate": "mien.generation.api",
    "load": "mien.generation.api",
    "read": "mien.faces.read",
    "save": "mien.generation.api",
    "score": "mien.evaluation.score_pictures",
}

__all__ = [
    "Emotion",
    "Face",
    "FaceReading",
    "Identity",
    "MienError",
    "NoFace",
    "NoFaceFound",
    "OneFace",
    "PortraitPipeline",
    "PortraitPipelineOutput",
    "PortraitXLPipeline",
    "Pose",
    "SeveralFaces",
    "__version__",
    "generate",
    "load",
    "read",
    "save",
    "score",
]

if TYPE_CHECKING:
    from mien.conditions import Emotion, Identity, Pose
    from mien.errors import MienError, NoFaceFound
    from mien.evaluation.score_pictures import score
    from mien.faces.read import FaceReading, read
    from mien.faces.types import Face, NoFace, OneFace, SeveralFaces
    from mien.generation.api import generate, load, save
    from mien.pipelines.output import PortraitPipelineOutput
    from mien.pipelines.portrait import PortraitPipeline
    from mien.pipelines.portrait_xl import PortraitXLPipeline


wait_passively()  # here, since whatever of mien is imported later imports torch

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
