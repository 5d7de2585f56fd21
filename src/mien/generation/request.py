"""What ``mien generate`` is asked for: a checked, JSON-able request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from PIL import Image
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from mien.conditions import MAX_POSE, Emotion, Pose
from mien.core.io import sha256_of
from mien.core.strict import StrictModel
from mien.diffusion.caching import STEPS, Speed
from mien.errors import BadInput, did_you_mean
from mien.faces.names import reader_names
from mien.media.pictures import ENDINGS, as_picture, pixel_hash
from mien.pipelines.base_names import check_base
from mien.pipelines.load_options import Loading
from mien.provenance.png import FORMATS, picture_format

P = TypeVar("P")
Role = str
FACE_PARTS = ("mouth", "eyes", "brows")
"""Parts of a face that may come from a picture of their own."""
ROLES = ("identity", "expression", *FACE_PARTS, "pose", "edit")
"""What an input picture can be given for; a second picture of the person is ``identity-2``, and so on, and a second
one of an expression ``expression-2``."""
SEVERAL = {"identities": "identity", "expressions": "expression"}
"""Field that holds further pictures -> the role of the first."""
MOST_STRENGTH = 2.0
"""Of an expression."""

Branch = Literal["landmarks", "expression", "emotion", "identity"]
"""Branches with a scale."""
Dial = Literal["text", "identity", "landmarks", "expression", "emotion"]
"""Names of guidance differences (FaceCrafter Eq. 6, generalised)."""
Scheduler = Literal["dpm++", "ddpm", "ddim", "euler", "lcm"]
"""Samplers by name; the first is the studio's own, DDPM the papers', LCM for few steps with a LoRA made for it."""
FileFormat = Literal["png", "jpeg", "webp"]
"""Of the files that are written."""
_NOT_RECORDED = (*ROLES, "identities", "expressions", "output", "format", "provenance", "loading")
"""Fields that name files, or say nothing of what is drawn; `Loading` has settings of its own."""
LOCAL = "folder"
"""What a record says of a base that was a folder of the user's."""


ExpressionBy = Literal["landmarks", "picture", "both"]
"""Branches that an expression picture steers through: landmarks (FaceCrafter), the picture (EmojiDiff), or both."""
EXPRESSION_SCALES: dict[ExpressionBy, dict[Branch, float]] = {
    "landmarks": {"expression": 0.0},
    "picture": {"expression": 1.0, "landmarks": 0.0},
    "both": {"expression": 1.0},
}
"""What each sets, where the base has a scale of its own."""
Retarget = Literal["coefficients", "difference", "none"]
"""How a person gets the expression of another face: see `mien.generation.conditioning`."""

STRENGTH = 0.8
"""Share of the steps that an edit runs. In the studio more hardly brings the expression nearer, and less keeps more of
the old one (*ours*)."""


def _path_or_image(value: Any) -> Any:
    """Paths stay paths, so that messages can name them; arrays and tensors become RGB pictures."""
    return value if value is None or isinstance(value, str | Path) else as_picture(value)


def _retarget_by_name(value: Any) -> Any:
    """Up to 0.1.0 it was on, which is now ``difference``, or off; records say so."""
    return {True: "difference", False: "none"}[value] if isinstance(value, bool) else value


InputPicture = Annotated[Path | Image.Image, BeforeValidator(_path_or_image)]
"""A picture file, or a picture in memory: see `mien.media.pictures.as_picture` for what is taken."""


def _is_recorded(emotion: object) -> bool:
    """Whether it is an emotion as a record has it."""
    return isinstance(emotion, Mapping) and "probabilities" in emotion


class GenerateRequest(StrictModel):
    """One call of ``mien generate``, or one row of `mien.generate`.

    Pictures are files or pictures in memory.

    Attributes:
        identity: picture of the person to draw.
        identities: more pictures of the same person, or of others to mix in: embeddings and face shapes are averaged.
        weights: of `identity` and each of `identities` in that mean; all alike if empty.
        expression: picture whose expression (and, without `pose` and angles, head pose) is wanted.
        expressions: more pictures of an expression, blended with `expression`: the mean of their coefficients. The
            head's pose is that of the first.
        expression_weights: of `expression` and each of `expressions` in that mean; all alike if empty.
        expression_strength: factor on the coefficients of the expression, 0 to 2: 0 is a face at rest, 1 the expression
            as it was read, more exaggerates it, as far as the linear face goes.
        mouth: picture from which mouth, jaw, cheeks and nose are taken instead.
        eyes: picture from which lids and gaze are taken instead.
        brows: picture from which the brows are taken instead.
        pose: picture whose head pose is wanted; a `mien.Pose` sets yaw, pitch and roll, where they are not given.
        edit: a portrait whose face is to be changed, instead of a new picture; who it is and which way it looks come
            from it, and what the face does where neither `expression` nor `emotion` says so.
        strength: how much of the portrait's face is given up, above 0 and up to 1; for `edit` alone.
        yaw: degrees, + to the subject's left; an angle not given comes from `pose`, else `expression`, else 0.
        pitch: degrees, + up.
        roll: degrees, + tilts to the subject's left shoulder.
        blendshapes: name -> [0, 1], over the expression's own (ARKit, MediaPipe or kit spelling).
        emotion: as `mien.conditions.Emotion.parse` reads it, e.g. ``happy:0.8``; or an `Emotion`.
        prompt: text prompt; without one the identity picture is described.
        describe: phrases about the person, such as ``short grey hair, no glasses``, in the place of what was read of
            the same parts; for the description of an identity picture alone, so not with `prompt`.
        count: number of pictures; picture i has seed ``seed + i``.
        seed: seed of the first picture.
        steps: denoising steps; 25 when None, or as many as the speed ``few`` was distilled for.
        scales: branch -> factor of its attention output (s_b of DESIGN section 1); 0 switches it off.
        guidance: dial -> weight of its guidance difference (FaceCrafter Eq. 6).
        base: ``studio``, ``sd15``, ``sdxl``, ``arc2face``, a folder, a ``.safetensors`` file or a name on the hub.
        loading: adapters and LoRA files that are added to it, its precision, and where it runs.
        reader: who reads faces, see `mien.faces.names`; ``auto`` is MediaPipe where it is installed, else the studio's
            own.
        expression_by: through which branches the expression picture steers: ``landmarks``, ``picture`` (the expression
            branch, which sees the picture itself and no landmarks) or ``both``; None is as the base has it.
        retarget: how the identity gets the expression (*ours*): ``difference``, the other's landmarks with the
            difference of the two face shapes added; ``coefficients``, its own face shape under the coefficients of the
            expression; ``none``, the other's landmarks as they were read, the paper's way. By coefficients always where
            a pose, an angle, a blendshape, a part, a strength or several expressions are given, since then there is no
            one donor to copy.
        scheduler: one of `Scheduler`; None is the base's own.
        speed: ``exact``; ``fast``: most steps reuse what changes slowly; ``few``: a few steps of a distilled base
            (docs/speed.md).
        guidance_rescale: 0 to 1, against over-saturation at high guidance (Lin et al. 2024, Eq. 15-16).
        provenance: write the record, the XMP packet and the invisible mark.
        output: folder for the pictures, ``portrait-SEED.png`` and so on; or the name of a picture file.
        format: ``png``, ``jpeg`` or ``webp``; None is what the name of the file says, else PNG.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    identity: InputPicture | None = None
    identities: tuple[InputPicture, ...] = ()
    weights: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = ()
    expression: InputPicture | None = None
    expressions: tuple[InputPicture, ...] = ()
    expression_weights: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = ()
    expression_strength: Annotated[float, Field(ge=0, le=MOST_STRENGTH)] = 1.0
    mouth: InputPicture | None = None
    eyes: InputPicture | None = None
    brows: InputPicture | None = None
    pose: InputPicture | None = None
    edit: InputPicture | None = None
    strength: Annotated[float, Field(gt=0, le=1)] = STRENGTH
    yaw: Annotated[float, Field(ge=-MAX_POSE[0], le=MAX_POSE[0])] | None = None
    pitch: Annotated[float, Field(ge=-MAX_POSE[1], le=MAX_POSE[1])] | None = None
    roll: Annotated[float, Field(ge=-MAX_POSE[2], le=MAX_POSE[2])] | None = None
    blendshapes: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    emotion: str | Emotion | None = None
    prompt: str | None = None
    describe: str | None = None
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**63 - 1000)] = 0
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    scales: dict[Branch, Annotated[float, Field(ge=0, le=10)]] = Field(default_factory=dict[Branch, float])
    guidance: dict[Dial, Annotated[float, Field(ge=0, le=50)]] = Field(default_factory=dict[Dial, float])
    base: str = "studio"
    loading: Loading = Loading()
    reader: str = "auto"
    expression_by: ExpressionBy | None = None
    retarget: Annotated[Retarget, BeforeValidator(_retarget_by_name)] = "difference"
    scheduler: Scheduler | None = None
    speed: Speed = "exact"
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] = 0.0
    provenance: bool = True
    output: Path = Path()
    format: FileFormat | None = None

    @field_validator("emotion", mode="before")
    @classmethod
    def _emotion_is_words(cls, value: Any) -> Any:
        if value is not None and not _is_recorded(value) and not isinstance(value, str | Emotion):
            raise BadInput(f"An emotion is words, such as 'happy:0.5,surprise:0.5', or a mien.Emotion, not {value!r}.")
        return value

    @field_validator("emotion")
    @classmethod
    def _emotion_is_known(cls, value: str | Emotion | None) -> str | Emotion | None:
        if isinstance(value, str):
            Emotion.parse(value)
        return value

    @field_validator("blendshapes")
    @classmethod
    def _blendshapes_are_known(cls, value: dict[str, float]) -> dict[str, float]:
        from mien.faces.linear.arkit import BLENDSHAPE_NAMES, kit_indices

        for name in value:
            if not kit_indices(name):
                near = did_you_mean(name, BLENDSHAPE_NAMES)
                raise BadInput(
                    f"There is no blendshape called {name!r}{near}; use ARKit's names, such as jawOpen or "
                    "mouthSmileLeft."
                )
        return value

    @field_validator("base")
    @classmethod
    def _base_may_be_there(cls, value: str) -> str:
        check_base(value)
        return value

    @field_validator("reader")
    @classmethod
    def _readers_are_known(cls, value: str) -> str:
        reader_names(value)
        return value

    @model_validator(mode="before")
    @classmethod
    def _a_pose_is_three_angles(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        asked = cast("dict[str, Any]", values)
        pose = asked.get("pose")
        if isinstance(pose, int | float):
            raise BadInput("A pose in degrees is mien.Pose(yaw, pitch, roll); a number alone is yaw, pitch or roll.")
        if not isinstance(pose, Pose):
            return asked
        angles = dict(zip(("yaw", "pitch", "roll"), pose.angles, strict=True))
        given = {name: asked[name] for name in angles if asked.get(name) is not None}
        return {**asked, "pose": None, **angles, **given}

    @model_validator(mode="before")
    @classmethod
    def _the_usual_steps(cls, values: Any) -> Any:
        """A record says how many there were, except where that stands beside the base's weights."""
        if not isinstance(values, dict):
            return values
        asked = cast("dict[str, Any]", values)
        is_usual = asked.get("steps") is None and asked.get("speed") != "few"
        return {**asked, "steps": STEPS} if is_usual else asked

    @model_validator(mode="after")
    def _few_steps_have_their_own_scheduler(self) -> GenerateRequest:
        if self.speed == "few" and self.scheduler is not None:
            raise BadInput("The few-step mode has a scheduler of its own: leave the scheduler out.")
        return self

    @model_validator(mode="after")
    def _something_is_asked(self) -> GenerateRequest:
        if not (self.inputs or self.prompt or self.emotion or self.builds_landmarks):
            raise BadInput("Nothing to draw: give an identity picture, a prompt, or another condition.")
        return self

    @model_validator(mode="after")
    def _an_edit_changes_something(self) -> GenerateRequest:
        others = [role for role in self.inputs if role != "edit"]
        if self.edit is not None and not (others or self.prompt or self.emotion or self.builds_landmarks):
            raise BadInput(
                "Nothing to change: give an expression picture, an emotion, a blendshape, or another condition."
            )
        if self.edit is None and self.strength != STRENGTH:
            raise BadInput("The strength says how much of a given portrait changes: give the portrait as edit.")
        return self

    @model_validator(mode="after")
    def _the_file_has_one_format(self) -> GenerateRequest:
        if names_a_file(self.output):
            said = picture_format(self.output)
            if self.format is not None and self.format.upper() != said:
                raise BadInput(f"{self.output} is the name of a {said} file, and {self.format} is asked for: give one.")
        return self

    @model_validator(mode="after")
    def _a_description_has_a_person(self) -> GenerateRequest:
        if self.describe is not None and self.prompt is not None:
            raise BadInput("A prompt takes the place of the description: give one of them, not both.")
        if self.describe is not None and not (self.identity or self.edit):
            raise BadInput("A description is of the person in a picture: give an identity picture, or a prompt.")
        return self

    @model_validator(mode="after")
    def _each_identity_has_a_weight(self) -> GenerateRequest:
        people = len(self.people)
        if self.identities and self.identity is None:
            raise BadInput("Further pictures of a person need a first one: give it as identity.")
        if self.weights and len(self.weights) != people:
            raise BadInput(f"There are {people} identity pictures and {len(self.weights)} weights; give one for each.")
        return self

    @model_validator(mode="after")
    def _each_expression_has_a_weight(self) -> GenerateRequest:
        count = len(self.templates)
        if self.expressions and self.expression is None:
            raise BadInput("Further pictures of an expression need a first one: give it as expression.")
        if self.expression_weights and len(self.expression_weights) != count:
            raise BadInput(
                f"There are {count} expression pictures and {len(self.expression_weights)} weights; give one for each."
            )
        if self.expression_strength != 1 and self.expression is None and self.edit is None:
            raise BadInput("The expression strength is that of an expression picture: give one.")
        return self

    @model_validator(mode="after")
    def _an_expression_comes_by_branches_once(self) -> GenerateRequest:
        if self.expression_by is None:
            return self
        if self.expression is None:
            raise BadInput("By which branches an expression comes is asked of an expression picture: give one.")
        if twice := sorted(set(EXPRESSION_SCALES[self.expression_by]) & set(self.scales)):
            raise BadInput(
                f"expression-by {self.expression_by} sets the scale of {' and '.join(twice)} itself: leave one out."
            )
        if self.expression_by == "picture" and self.builds_landmarks:
            raise BadInput(
                "Angles, a pose, blendshapes, parts, strengths and blends act through landmarks: take expression-by "
                "landmarks or both."
            )
        return self

    @property
    def branch_scales(self) -> dict[Branch, float]:
        """The scales, with those that `expression_by` stands for."""
        by = {} if self.expression_by is None else EXPRESSION_SCALES[self.expression_by]
        return {**by, **self.scales}

    @property
    def templates(self) -> dict[Role, InputPicture]:
        """The expression pictures by role, in the order of `expression_weights`."""
        given = [picture for picture in (self.expression, *self.expressions) if picture is not None]
        return _by_role(given, "expression")

    @property
    def people(self) -> dict[Role, InputPicture]:
        """The identity pictures by role, in the order of `weights`."""
        return _by_role([picture for picture in (self.identity, *self.identities) if picture is not None], "identity")

    @property
    def inputs(self) -> dict[Role, InputPicture]:
        """The input pictures that were given, by role."""
        single = {role: picture for role in ROLES if (picture := getattr(self, role)) is not None}
        return single | self.people | self.templates

    @property
    def input_files(self) -> list[Path]:
        """Those of the input pictures that are files."""
        return [picture for picture in self.inputs.values() if isinstance(picture, Path)]

    def input_hashes(self) -> dict[Role, str]:
        """sha256 of each input picture by role: of a file's bytes, or of a picture's pixels (`pixel_hash`)."""
        return {
            role: sha256_of(picture) if isinstance(picture, Path) else pixel_hash(picture)
            for role, picture in self.inputs.items()
        }

    @property
    def emotion_wanted(self) -> Emotion | None:
        """The emotion that is asked for."""
        return Emotion.parse(self.emotion) if isinstance(self.emotion, str) else self.emotion

    @property
    def steps_run(self) -> int | None:
        """Denoising steps of one picture; None where only the base knows."""
        if self.steps is None or self.edit is None:
            return self.steps
        return max(1, round(self.steps * self.strength))

    @property
    def builds_landmarks(self) -> bool:
        """Whether the landmark picture has to be built, since no one picture shows the pose and expression wanted."""
        angles, parts = (self.yaw, self.pitch, self.roll), (self.mouth, self.eyes, self.brows)
        mixed = bool(self.expressions or self.blendshapes) or self.expression_strength != 1
        return mixed or any(one is not None for one in (self.pose, *angles, *parts))

    def files(self, indices: Sequence[int]) -> list[Path]:
        """Where pictures of the request go, counted from 0: named after their seeds, or as ``output`` names one."""
        if not names_a_file(self.output):
            return [self.output / f"portrait-{self.seed + index:04d}{self.ending}" for index in indices]
        if self.count == 1:
            return [self.output for _ in indices]
        return [self.output.with_stem(f"{self.output.stem}-{self.seed + index:04d}") for index in indices]

    @property
    def ending(self) -> str:
        """Of the pictures in a folder."""
        return next(ending for ending, name in FORMATS.items() if name == (self.format or "png").upper())

    def settings(self) -> dict[str, Any]:
        """What the record keeps: everything but the paths, which name files and so, often, people."""
        settings = self.model_dump(mode="json", exclude=set(_NOT_RECORDED))
        if self.edit is None:
            del settings["strength"]
        if self.describe is None:
            del settings["describe"]
        if not self.expression_weights:
            del settings["expression_weights"]
        if self.expression_strength == 1:
            del settings["expression_strength"]
        if self.expression_by is None:
            del settings["expression_by"]
        if loading := self.loading.settings():
            settings["loading"] = loading
        return settings | ({"base": LOCAL} if Path(self.base).exists() else {})


def names_a_file(output: Path) -> bool:
    """Whether an output is the name of a picture file, and not a folder."""
    return output.suffix.lower() in ENDINGS and not output.is_dir()


def check_folder(output: Path) -> None:
    """Refuse the name of a picture file where several files go into a folder.

    Raises:
        BadInput: if it is one.
    """
    if names_a_file(output):
        raise BadInput(f"{output} is the name of a file: give a folder, such as  -o {output.with_suffix('')}.")


def _by_role(pictures: Sequence[P], role: Role) -> dict[Role, P]:
    """Pictures that are given for one thing: ``identity``, then ``identity-2`` and so on."""
    return {f"{role}-{number}" if number > 1 else role: picture for number, picture in enumerate(pictures, 1)}


def input_fields(inputs: Mapping[Role, InputPicture | None]) -> dict[str, Any]:
    """Input pictures by role as the fields of a request: `GenerateRequest.inputs` the other way round."""

    def further(first: Role) -> tuple[InputPicture | None, ...]:
        return tuple(picture for role, picture in inputs.items() if role.startswith(f"{first}-"))

    single = {role: inputs.get(role) for role in ROLES}
    return single | {field: further(role) for field, role in SEVERAL.items()}


def weighted_pictures(words: Sequence[str], role: Role) -> tuple[dict[Role, Path], tuple[float, ...]]:
    """Input pictures by role, and their weights, of words such as ``me.jpg`` or ``me.jpg:0.7``; () if none has one.

    Args:
        words: of the option that is called as the role.
        role: ``identity`` or ``expression``.

    Raises:
        BadInput: if a weight is no positive number.
    """
    paths: list[Path] = []
    weights: list[float] = []
    for word in words:
        path, colon, number = word.rpartition(":")
        plain = not colon or not path or Path(word).is_file()
        try:
            weights.append(1.0 if plain else float(number))
        except ValueError:
            plain = True  # a colon in a file's name
            weights.append(1.0)
        paths.append(Path(word if plain else path))
        if not 0 < weights[-1] <= 1000:
            raise BadInput(f"The weight in --{role} {word} must be a number above 0.")
    return _by_role(paths, role), () if all(one == 1 for one in weights) else tuple(weights)
