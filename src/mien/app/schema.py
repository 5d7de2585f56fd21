"""The bodies of the API, from the fields of `GenerateRequest`; an unknown key is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from mien.generation.request import ROLES, SEVERAL, GenerateRequest

Picture = Annotated[
    str,
    Field(
        description="base64 of a picture file (a data URL is taken too), or studio:NAME for one of GET /api/options.",
        min_length=1,
        examples=["studio:Ada"],
    ),
]

SETTINGS = {
    "weights": "Of identity and each of identities; all alike if empty.",
    "expression_weights": "Of expression and each of expressions; all alike if empty.",
    "expression_strength": "0 is a face at rest, 1 the expression as read, up to 2 exaggerates it.",
    "strength": "With edit: how much of the face is given up.",
    "yaw": "Degrees, + to the subject's left.",
    "pitch": "Degrees, + up.",
    "roll": "Degrees, + tilts to the subject's left shoulder.",
    "blendshapes": "ARKit name -> 0..1, over the expression's own.",
    "emotion": "NAME, NAME:STRENGTH, several with commas, or at:VALENCE/AROUSAL.",
    "prompt": "What the words say; without it the identity picture is described.",
    "describe": "Of the person, over what is read in the picture.",
    "count": "Number of pictures; picture i has seed + i.",
    "seed": "Of the first picture.",
    "steps": "Denoising steps; 25, except with the speed few.",
    "scales": "Branch -> strength; 0 is off.",
    "guidance": "Dial -> guidance weight.",
    "expression_by": "Which branches the expression picture steers: landmarks, picture or both.",
    "retarget": "How the identity gets the expression: difference, coefficients or none.",
    "scheduler": "The base's own if left out.",
    "speed": "exact, fast or few.",
    "guidance_rescale": "Against over-saturation at high guidance.",
}
"""The settings that a request may have besides its pictures, with their descriptions."""


def _setting(name: str, description: str) -> tuple[Any, Any]:
    own = GenerateRequest.model_fields[name]
    annotation = Annotated[str | None, Field(max_length=200)] if name == "emotion" else own.rebuild_annotation()
    if name in ("prompt", "describe"):
        annotation = Annotated[str | None, Field(max_length=2000)]
    if name == "speed":
        return annotation, Field(default="fast", description=description)
    if own.default_factory is not None:
        return annotation, Field(default_factory=own.default_factory, description=description)  # type: ignore[arg-type]
    return annotation, Field(default=own.default, description=description)


if TYPE_CHECKING:

    class Settings(BaseModel):
        """`GenerateRequest` without pictures, base and files."""

else:
    Settings = create_model(
        "Settings",
        __doc__="`GenerateRequest` without pictures, base and files.",
        __config__=ConfigDict(extra="forbid", allow_inf_nan=False),
        **{name: _setting(name, words) for name, words in SETTINGS.items()},
    )


class GenerateBody(Settings):
    """What to draw: `mien generate` as JSON."""

    model_config = ConfigDict(title="Generate", json_schema_extra={"example": {"identity": "studio:Ada", "yaw": 20}})

    identity: Picture | None = None
    identities: list[Picture] = Field(default_factory=list, max_length=16)
    expression: Picture | None = None
    expressions: list[Picture] = Field(default_factory=list, max_length=16)
    mouth: Picture | None = None
    eyes: Picture | None = None
    brows: Picture | None = None
    pose: Picture | None = None
    edit: Picture | None = None
    rows: list[Settings] = Field(
        default_factory=list,
        max_length=60,
        description="Several requests in one, each with other settings: a row of pictures.",
    )
    previews: Annotated[int, Field(ge=0, le=100, description="Steps between intermediate pictures; 0 for none.")] = 0

    def settings(self) -> dict[str, Any]:
        """The values of `Settings`, as given."""
        return self.model_dump(exclude_unset=True, include=set(SETTINGS))

    def settings_of_rows(self) -> list[dict[str, Any]]:
        """The settings of each row, over those of the whole; blendshapes are merged by name."""
        whole, found = self.settings(), []
        for row in self.rows or [Settings()]:
            own = row.model_dump(exclude_unset=True)
            shapes = whole.get("blendshapes", {}) | own.get("blendshapes", {})
            found.append(whole | own | ({"blendshapes": shapes} if shapes else {}))
        return found

    def pictures(self) -> dict[str, str]:
        """Field -> picture; those of ``identities`` as ``identities.0`` and so on, of ``expressions`` likewise."""
        single = {role: text for role in ROLES if (text := getattr(self, role)) is not None}
        further = {f"{field}.{number}": text for field in SEVERAL for number, text in enumerate(getattr(self, field))}
        return single | further


Point = Annotated[list[Annotated[float, Field(ge=-20_000, le=20_000)]], Field(min_length=3, max_length=3)]
Landmarks = Annotated[list[Point], Field(min_length=478, max_length=478)]
Role = Literal["identity", "identities", "expression", "expressions", "mouth", "eyes", "brows", "pose"]


class PreviewBody(Settings):
    """Which landmarks a request would be drawn with: settings, and the faces that `read` found."""

    model_config = ConfigDict(title="Preview")

    faces: dict[Role, list[Landmarks]] = Field(
        default={}, description="Field -> landmarks of its pictures, as POST /api/read answers them."
    )

    def settings(self) -> dict[str, Any]:
        """The values of `Settings`, as given."""
        return self.model_dump(exclude_unset=True, include=set(SETTINGS))


class ReadBody(BaseModel):
    """A picture to read."""

    model_config = ConfigDict(title="Read", extra="forbid")

    picture: Picture


class ScoreBody(BaseModel):
    """Pictures to compare, in pairs."""

    model_config = ConfigDict(title="Score", extra="forbid")

    reference: Annotated[list[Picture], Field(min_length=1, max_length=64)]
    generated: Annotated[list[Picture], Field(min_length=1, max_length=64)]


class VideoBody(BaseModel):
    """Pictures that were drawn here, as one film."""

    model_config = ConfigDict(title="Video", extra="forbid")

    frames: Annotated[
        list[Picture], Field(min_length=2, max_length=60, description="PNG files as POST /api/generate answers them.")
    ]
    rate: Annotated[float, Field(ge=1, le=60, description="Frames a second.")] = 6.0


MediaType = Literal["image/png", "image/jpeg", "image/webp"]
"""Of the pictures that carry a record."""


class SaveBody(BaseModel):
    """A picture that was drawn here, as a file of another format."""

    model_config = ConfigDict(title="Save", extra="forbid")

    picture: Annotated[Picture, Field(description="A PNG file as POST /api/generate answers it, as base64.")]
    format: MediaType


class Problem(BaseModel):
    """One thing that is wrong.

    Attributes:
        field: the body's field; empty where it is the whole.
        message: one sentence.
    """

    field: str
    message: str


class Problems(BaseModel):
    """The answer to what is refused."""

    errors: list[Problem]
