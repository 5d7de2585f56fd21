"""A studio person: what stays the same in all pictures of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mien.faces import palette
from mien.faces.linear.vectors import smoothstep
from mien.faces.palette import Rgb
from mien.studio.gender_axis import FEMININE
from mien.studio.headwear import sample_habit
from mien.studio.rope_styles import rope_style

SHAPE_SIZE: Final = 100
AGE_GROUP_EDGES: Final = (30, 45, 60)
"""Where one group of age ends and the next begins, for who is drawn and for who is compared (*ours*)."""

HAIR_LENGTHS: Final[dict[str, str]] = {
    "bald": "bald",
    "buzz cut": "very short",
    "short": "short",
    "crop": "short",
    "side part": "short",
    "quiff": "short",
    "slicked back": "short",
    "bob": "medium",
    "long straight": "long",
    "long wavy": "long",
    "bangs": "long",
    "afro": "medium",
    "curly": "medium",
    "bun": "long",
    "locs": "long",
    "box braids": "long",
    "plaits": "long",
}
"""Hair styles and how long each is."""

BEARDS: Final = ("none", "stubble", "full beard", "short beard", "goatee", "moustache")

_MASCULINE_STYLES = (1.0, 1.2, 2.2, 1.6, 1.7, 1.4, 1.2, 0.15, 0.3, 0.35, 0.05, 0.8, 1.1, 0.25)
_FEMININE_STYLES = (0.06, 0.2, 0.5, 0.25, 0.7, 0.25, 0.4, 2.1, 2.2, 2.3, 1.6, 0.7, 1.3, 1.7)
_DARK_STYLES = ("afro", "curly", "buzz cut", "bun")
# Odds of natural hair colours by skin band 0..3: black, dark brown, brown, auburn, ginger, dark blonde, blonde.
_NATURAL = ("black", "dark brown", "brown", "auburn", "ginger", "dark blonde", "blonde")
_NATURAL_ODDS = (
    (0.06, 0.20, 0.26, 0.09, 0.12, 0.13, 0.14),
    (0.24, 0.34, 0.26, 0.06, 0.02, 0.05, 0.03),
    (0.62, 0.29, 0.08, 0.01, 0.0, 0.0, 0.0),
    (0.84, 0.15, 0.01, 0.0, 0.0, 0.0, 0.0),
)
_EYES = ("dark brown", "brown", "hazel", "green", "blue", "grey")
_EYE_ODDS = (
    (0.04, 0.22, 0.16, 0.14, 0.32, 0.12),
    (0.26, 0.44, 0.15, 0.08, 0.05, 0.02),
    (0.58, 0.36, 0.05, 0.01, 0.0, 0.0),
    (0.76, 0.22, 0.02, 0.0, 0.0, 0.0),
)


@dataclass(frozen=True)
class Brows:
    """Eyebrows; lengths in texture units (the face is about 0.5 wide).

    Attributes:
        thickness: half height.
        extent: length relative to the brow landmarks.
        arch: how much the middle is raised, about -1.5..1.5.
        rise: shift up.
        tilt: raises the inner end, about -1.5..1.5.
        hairs: number of hairs a side.
        color: linear RGB.
    """

    thickness: float
    extent: float
    arch: float
    rise: float
    tilt: float
    hairs: int
    color: Rgb


@dataclass(frozen=True)
class HairShape:
    """How this person's hair grows and falls, whatever the style.

    Attributes:
        length: factor on the style's length.
        hairline: height of the hairline, in units (positive is higher).
        recession: how far the corners of the hairline have receded, 0..2.
        parting: x of the parting.
        volume: 0.3..0.9.
        wave, wave_frequency: amplitude in units and factor.
        clump: how much hairs stick together, 0..1.
        forward: direction of short hair on top (1 forward, negative back).
        lean: -1 or 1, the side to which a fringe leans.
        fringe: factor on the length of bangs.
        openness: how far long hair stays off the face.
        bun_height, bun_radius: factor and units.
    """

    length: float
    hairline: float
    recession: float
    parting: float
    volume: float
    wave: float
    wave_frequency: float
    clump: float
    forward: float
    lean: float
    fringe: float
    openness: float
    bun_height: float
    bun_radius: float


@dataclass(frozen=True)
class Person:
    """Everything about a person that does not change between pictures.

    Attributes:
        seed: the seed they were drawn from.
        shape: [100] identity coefficients in standard deviations.
        gender: -1 (masculine) .. 1 (feminine) as it shows.
        age: years.
        skin_tone: 0 (palest) .. 1 (darkest); ``skin_band``: the same in four bands 0..3.
        skin: linear RGB.
        redness, freckles, roughness: 0..1.
        eye_color: a name of ``palette.EYES``; ``iris_radius``, ``pupil_radius`` in radians on the eyeball.
        brows: eyebrows.
        lips: linear RGB without lipstick; ``lip_gloss`` 0..1.
        lashes: darkness 0..1.
        hair_style: a key of ``HAIR_LENGTHS``; ``hair_shape``: how it falls.
        natural_hair_color: a name of ``palette.HAIR`` without dye; ``grey`` 0..1, how far it has greyed.
        beard: one of ``BEARDS``; ``beard_length`` 0..1; ``stubble``: shadow of the shaved beard, 0..1.
        shoulders: width factor.
        headwear: what they are used to wearing on the head, one of ``headwear.HABITS``.

    Example:
        >>> from mien.studio import sample_person
        >>> person = sample_person(seed=7)
        >>> len(person.shape), 0 <= person.skin_band <= 3
        (100, True)
    """

    seed: int
    shape: tuple[float, ...]
    gender: float
    age: float
    skin_tone: float
    skin: Rgb
    redness: float
    freckles: float
    roughness: float
    eye_color: str
    iris_radius: float
    pupil_radius: float
    brows: Brows
    lips: Rgb
    lip_gloss: float
    lashes: float
    hair_style: str
    hair_shape: HairShape
    natural_hair_color: str
    grey: float
    beard: str
    beard_length: float
    stubble: float
    shoulders: float
    headwear: str = "none"

    @property
    def skin_band(self) -> int:
        """Skin tone in four equal bands, 0 palest .. 3 darkest."""
        return skin_band(self.skin_tone)

    @property
    def hair_length(self) -> str:
        """Length of the hair in words."""
        return HAIR_LENGTHS[self.hair_style]

    @property
    def feminine(self) -> bool:
        """Whether ``gender`` is above 0."""
        return self.gender > 0.0


def sample_person(seed: int) -> Person:
    """Draw a person; the same seed gives the same person.

    Example:
        >>> from mien.studio import sample_person
        >>> sample_person(seed=7) == sample_person(seed=7)
        True
    """
    rng = np.random.default_rng([seed, 0x6D69656E])
    # Two overlapping humps with few people in between, as faces read.
    gender = float(np.clip(rng.choice((-0.72, 0.72)) + 0.2 * rng.normal(), -1.0, 1.0))
    age = float(np.clip(18.0 + 62.0 * rng.beta(1.2, 2.0), 18.0, 80.0))
    tone = float(rng.random())
    band = skin_band(tone)
    skin = palette.scaled(
        palette.skin_color(tone), 1.0, 1.0 + 0.025 * float(rng.normal()), 1.0 + 0.05 * float(rng.normal())
    )
    eye = str(rng.choice(_EYES, p=_EYE_ODDS[band]))
    natural = str(rng.choice(_NATURAL, p=_NATURAL_ODDS[band]))
    greying = (age - 55.0) / 17.0 + 0.45 * float(rng.normal())
    grey = float(np.clip(greying, 0.0, 1.0)) if age > 44.0 else 0.0
    style = _sample_style(rng, gender, age, band)
    beard = _sample_beard(rng, gender, age)
    redness = float(rng.uniform(0.3, 1.0)) * (1.0 - 0.45 * tone)
    freckled = rng.random() < (0.34, 0.14, 0.06, 0.02)[band] + (0.3 if natural == "ginger" else 0.0)
    shaved = float(rng.uniform(0.0, 0.22)) if gender < 0.0 else 0.0
    lip_mix = float(rng.uniform(0.25, 0.75)) * (0.85 if gender < 0.0 else 1.0)
    lips = palette.blend(palette.scaled(skin, 0.9, 0.66, 0.64), palette.scaled(skin, 0.86, 0.42, 0.43), lip_mix)
    return Person(
        seed=seed,
        shape=_sample_shape(rng, gender),
        gender=gender,
        age=age,
        skin_tone=tone,
        skin=skin,
        redness=redness,
        freckles=float(rng.uniform(0.35, 0.9)) if freckled else 0.0,
        roughness=float(np.clip(0.25 + 0.006 * (age - 20.0) - 0.12 * gender + 0.12 * rng.normal(), 0.0, 1.0)),
        eye_color=eye,
        iris_radius=float(rng.uniform(0.405, 0.45)),
        pupil_radius=float(rng.uniform(0.13, 0.2)),
        brows=_aged_brows(_sample_brows(rng, gender, natural, grey, skin), age, grey),
        lips=lips,
        lip_gloss=float(rng.uniform(0.35, 0.8)),
        lashes=float(rng.uniform(0.7, 0.9)) if gender > 0.0 else float(rng.uniform(0.35, 0.58)),
        hair_style=rope_style(seed, style, band),
        hair_shape=_sample_hair_shape(rng, gender, age),
        natural_hair_color=natural,
        grey=grey,
        beard=beard,
        beard_length=float(rng.random()),
        stubble=float(rng.uniform(0.45, 0.75)) if beard != "none" else shaved,
        shoulders=float(rng.uniform(0.95, 1.1)) if gender < 0.0 else float(rng.uniform(0.82, 0.94)),
        headwear=sample_habit(seed, gender > 0.0),
    )


def skin_band(tone: float) -> int:
    """A skin tone 0 (palest) .. 1 (darkest) in four equal bands, 0 palest .. 3 darkest."""
    return min(int(tone * 4.0), 3)


def _sample_shape(rng: np.random.Generator, gender: float) -> tuple[float, ...]:
    shape = np.clip(rng.normal(size=SHAPE_SIZE) * 0.95, -2.3, 2.3)
    axis = np.zeros(SHAPE_SIZE)
    axis[: len(FEMININE)] = FEMININE
    # Keep half of the chance variation along the axis, then move to the side that the person shows.
    shape += axis * (1.45 * gender - 0.5 * float(shape @ axis))
    return tuple(round(float(value), 4) for value in shape)


def _sample_style(rng: np.random.Generator, gender: float, age: float, band: int) -> str:
    weights = np.array(_FEMININE_STYLES if gender > 0.0 else _MASCULINE_STYLES)
    if gender < 0.0:
        weights[0] *= 0.4 + 2.2 * max(0.0, (age - 30.0) / 50.0)
    style = str(rng.choice(list(HAIR_LENGTHS)[: len(weights)], p=weights / weights.sum()))
    if band >= 2 and rng.random() < (0.25, 0.6)[band - 2]:
        style = str(rng.choice(_DARK_STYLES, p=(0.3, 0.3, 0.3, 0.1) if gender < 0.0 else (0.35, 0.35, 0.08, 0.22)))
    return style


def _sample_beard(rng: np.random.Generator, gender: float, age: float) -> str:
    kind = str(rng.choice(BEARDS, p=(0.36, 0.2, 0.14, 0.15, 0.08, 0.07)))
    if gender > -0.25 or (age < 22.0 and kind not in ("none", "stubble")):
        return "none"
    return kind


def _sample_brows(rng: np.random.Generator, gender: float, natural: str, grey: float, skin: Rgb) -> Brows:
    masculine = 0.5 - 0.5 * gender
    hair = palette.linear(palette.HAIR[natural])
    tint = palette.scaled(hair, 0.5 if natural in ("dark blonde", "blonde", "ginger") else 0.75)
    tint = palette.blend(tint, palette.linear((110, 104, 100)), 0.6 * grey)
    return Brows(
        thickness=float(rng.uniform(0.0068, 0.0098) + 0.0042 * masculine * rng.uniform(0.5, 1.2)),
        extent=float(rng.uniform(0.94, 1.12)),
        arch=float(np.clip(0.4 * gender + 0.5 * rng.normal(), -1.5, 1.5)),
        rise=float(0.002 * gender - 0.002 + 0.0035 * rng.normal()),
        tilt=float(np.clip(0.2 + 0.45 * rng.normal(), -1.2, 1.5)),
        hairs=int(rng.integers(200, 290) + 60 * masculine),
        color=palette.blend(tint, skin, 0.1),
    )


def _aged_brows(brows: Brows, age: float, grey: float) -> Brows:
    """Brows thin out from 50 years on and grey with the hair."""
    late = float(smoothstep(50.0, 76.0, age))
    if late == 0.0:
        return brows
    return replace(
        brows,
        thickness=brows.thickness * (1.0 - 0.22 * late),
        hairs=int(brows.hairs * (1.0 - 0.35 * late)),
        color=palette.blend(brows.color, palette.linear((168, 164, 160)), 0.45 * late * grey),
    )


def _sample_hair_shape(rng: np.random.Generator, gender: float, age: float) -> HairShape:
    feminine = gender > 0.0
    receding = 0.3 if feminine else 0.35 + 0.9 * max(0.0, (age - 25.0) / 45.0)
    return HairShape(
        length=float(rng.uniform(0.8, 1.2)),
        hairline=float(0.35 * np.clip(rng.normal(), -2.0, 2.0)) + (0.0 if feminine else 0.2),
        recession=float(min(abs(rng.normal()) * receding, 2.0)),
        parting=float(rng.choice((0.0, 2.2, -2.2, 3.0, -3.0))),
        volume=float(rng.uniform(0.3, 0.9)),
        wave=float(max(0.0, 0.25 * rng.normal())),
        wave_frequency=float(rng.uniform(0.7, 1.3)),
        clump=float(rng.uniform(0.3, 0.8)),
        forward=float(rng.choice((-0.6, 0.9))),
        lean=float(rng.choice((-1.0, 1.0))),
        fringe=float(rng.uniform(0.85, 1.1)),
        openness=float(rng.uniform(0.88, 1.06)),
        bun_height=float(rng.choice((1.0, 1.15, 0.45))),
        bun_radius=float(rng.uniform(2.4, 3.6)),
    )
