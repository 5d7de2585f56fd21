"""What each stage of training needs to know of a picture: a photograph has less than a render."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from mien.errors import BadInput

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "landmarks": ("landmarks", "landmarks_mediapipe"),
    "pose": ("pose", "pose_mediapipe"),
    "expression": ("coefficients", "blendshapes_mediapipe"),
    "emotion": ("emotion",),
    "blendshapes": ("blendshapes_mediapipe",),
    "coefficients": ("coefficients",),
    "gaze": ("gaze",),
    "attributes": ("age",),
}
"""What may be needed -> columns of `Corpus`, of which one must be there."""
_PARTLY: Final = frozenset({"blendshapes"})
"""What some pictures may lack: MediaPipe finds no face now and then, and the objectives leave out what is not there."""
_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "landmarks": ("landmarks of the face", "mien data import"),
    "pose": ("the pose of the head", "mien data import --reader mediapipe-torch"),
    "expression": ("blendshapes or coefficients of the expression", "mien data import --reader mediapipe-torch"),
    "emotion": ("valence, arousal and classes of the emotion", "mien data import --reader auto+emonet"),
    "blendshapes": ("MediaPipe's blendshapes", "mien data import --reader mediapipe-torch"),
    "coefficients": ("the renderer's coefficients", "mien studio render"),
    "gaze": ("the renderer's gaze", "mien studio render"),
    "attributes": ("attributes such as hair and glasses", "mien studio render"),
}
"""What may be needed -> its name in a sentence, and the command whose data have it."""

_PAIRED = ("landmarks", "pose", "expression")
"""Of stages on a frozen base, which pair pictures of a person by pose and expression (`mien.data.pairs`)."""
_RENDERED = ("landmarks", "pose", "coefficients", "gaze", "emotion", "attributes")
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "AutoencoderObjective": ("landmarks",),
    "BaseObjective": _RENDERED,
    "TextObjective": (),
    "DistillationObjective": ("landmarks", "pose", "coefficients", "gaze"),
    "ExpressionObjective": (*_RENDERED, "blendshapes"),
    "ReaderObjective": (*_RENDERED, "blendshapes"),
    "DetectorObjective": ("landmarks",),
    "IdentityObjective": ("landmarks",),
    "JudgeIdentityObjective": ("landmarks",),
    "JudgeFaceObjective": _RENDERED,
    "JudgeGazeObjective": _RENDERED,
    "JudgeAttributesObjective": _RENDERED,
    "FineTuneObjective": _PAIRED,
    "BranchObjective": _PAIRED,
    "ControlNetObjective": _PAIRED,
    "AlignmentObjective": _PAIRED,
    "JointObjective": (*_PAIRED, "emotion"),
    "FewStepObjective": _PAIRED,
}
"""Class of an objective -> what it needs whatever its options."""


def needs_of(objective: str, conditions: Collection[str] = ()) -> tuple[str, ...]:
    """What a stage needs.

    Args:
        objective: name of its class.
        conditions: kinds of the branches that are trained or stand beside.
    """
    needs = NEEDS[objective]
    return (*needs, "emotion") if "emotion" in conditions and "emotion" not in needs else needs


def lacking(corpus: Corpus, needs: Iterable[str]) -> dict[str, int]:
    """What a stage needs and too many pictures lack -> how many; of MediaPipe's blendshapes, half may be lacking.

    Args:
        corpus: the dataset.
        needs: keys of `COLUMNS`.
    """
    missing = {need: int(corpus.missing(need).sum()) for need in needs}
    return {
        need: count for need, count in missing.items() if count and not (need in _PARTLY and count < len(corpus) / 2)
    }


def check_needs(corpus: Corpus, needs: Iterable[str], stage: str) -> None:
    """Refuse a dataset of which too many pictures lack what a stage needs.

    Args:
        corpus: see `lacking`.
        needs: see `lacking`.
        stage: its name.

    Raises:
        BadInput: saying what is lacking, of how many pictures, and which data have it.
    """
    for need, count in lacking(corpus, needs).items():
        what, command = _SENTENCES[need]
        raise BadInput(
            f"{stage} needs {what}, which {count} of {len(corpus)} pictures in {corpus.folder} do not have: take "
            f"data of  {command}."
        )
