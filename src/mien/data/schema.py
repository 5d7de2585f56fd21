"""The record of one portrait: what a shard's JSON holds, typed and checked."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, ConfigDict, Field

from mien.core.strict import StrictModel

Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Signed = Annotated[float, Field(ge=-1.0, le=1.0)]
Number = Annotated[float, Field(ge=-1e6, le=1e6)]
"""Pixels or degrees: what is larger is damaged, and would be infinite in half precision."""
Point = tuple[Number, Number, Number]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Landmarks = Annotated[list[Point], Field(min_length=478, max_length=478)]
Blendshapes = Annotated[list[Unit], Field(min_length=52, max_length=52)]
Coefficients = Annotated[list[Unit], Field(min_length=53, max_length=53)]
Embedding = Annotated[list[Signed], Field(min_length=512, max_length=512)]


class _Record(StrictModel):
    model_config = ConfigDict(allow_inf_nan=False)


class EmotionRecord(_Record):
    """Emotion label: 8 probabilities (order of `mien.conditions.EMOTIONS`), valence and arousal in [-1, 1]."""

    probabilities: Annotated[list[Unit], Field(min_length=8, max_length=8)]
    valence: Signed
    arousal: Signed


class Attributes(_Record):
    """What is to be seen of a person and a picture, as words and numbers.

    `skin_tone` 0 (palest) to 1; `skin_band` 0..3; `age` years; `gender` -1 (masculine) to 1 (feminine). `glasses` is a
    style or "none", `headwear` a kind or "none"; hair that it covers is "hidden". What follows `light` is known for
    studio pictures only.
    """

    skin_tone: Unit
    skin_band: Annotated[int, Field(ge=0, le=3)]
    age: Annotated[float, Field(ge=0.0, le=120.0)]
    gender: Signed
    hair_style: str
    hair_color: str
    hair_length: str
    beard: str
    glasses: str
    background: str
    clothing: str
    light: str
    glasses_color: str = "none"
    eye_color: str | None = None
    freckles: bool = False
    lipstick: str = "none"
    eyeshadow: str = "none"
    headwear: str = "none"
    headwear_color: str = "none"


class Template(_Record):
    """Where the expression template of a pair comes from (EmojiDiff: S, beside its target E).

    Attributes:
        source: how it was made, such as `oracle` or `redraw`.
        person: seed of the person it shows; None where that is nobody known.
        landmarks: [478, 3] px of the template.
    """

    source: str
    person: Seed | None = None
    landmarks: Landmarks


class Origin(_Record):
    """Where an imported picture comes from, and who read what of it.

    Attributes:
        file: path below the folder that was imported, with forward slashes.
        time: second of a video's frame; None for a picture.
        who: the person's name there: a folder, a number in an identity file, or ``VIDEO#N`` for a cluster of faces.
        read_by: field of the record -> the reader or network (or ``label``, the dataset's own) that gave it.
        labels: what the dataset itself says of the picture, such as ``emotion`` or ``split``.
    """

    file: str
    time: Annotated[float, Field(ge=0.0)] | None = None
    who: str
    read_by: dict[str, str] = Field(default_factory=dict, validation_alias=AliasChoices("read_by", "told_by"))
    labels: dict[str, str] = Field(default_factory=dict)


class Sample(_Record):
    """One portrait without its pixels; what is not known of a photograph is None.

    Attributes:
        person: seed of the person, or their number in an imported dataset. picture: number of the picture among theirs.
        caption: what is visible, in words; empty where nobody said.
        coefficients: [53] driven coefficients in the kit's order. gaze: (yaw, pitch) degrees. flush: 0..1.
        pose: (yaw, pitch, roll) degrees of the head.
        landmarks: [478, 3] px of the picture, projected from the geometry.
        landmarks_mediapipe, blendshapes_mediapipe [52], pose_mediapipe: what a reader of MediaPipe's landmarks saw;
            None where it was not asked or found no face.
        emotion, attributes: labels.
        template: of the picture that shows the same expression on another face, where there is one.
        identity: embedding [512] of the face, L2 norm 1, by the network that ``origin.read_by`` names.
        origin: of an imported picture.
    """

    person: Seed
    picture: Annotated[int, Field(ge=0, lt=2**31)]
    caption: str = ""
    coefficients: Coefficients | None = None
    gaze: tuple[Number, Number] | None = None
    flush: Unit | None = None
    pose: Point | None = None
    landmarks: Landmarks | None = None
    landmarks_mediapipe: Landmarks | None = None
    blendshapes_mediapipe: Blendshapes | None = None
    pose_mediapipe: Point | None = None
    emotion: EmotionRecord | None = None
    attributes: Attributes | None = None
    template: Template | None = None
    identity: Embedding | None = None
    origin: Origin | None = None

    @property
    def key(self) -> str:
        """Name of the sample in its shard: `0000042-003` is picture 3 of person 42."""
        return sample_key(self.person, self.picture)

    def to_json(self) -> str:
        """One line of JSON; renders have neither of the two last fields, and keep the bytes that they always had."""
        return self.model_dump_json(exclude={name for name in ("identity", "origin") if getattr(self, name) is None})


def sample_key(person: int, picture: int) -> str:
    """Name of a sample in its shard."""
    return f"{person:07d}-{picture:03d}"


def rounded(values: Any, digits: int) -> list[Any]:
    """Numbers of any shape for a record, as plain ones."""
    import numpy as np

    return np.round(np.asarray(values, np.float64), digits).tolist()
