"""A studio picture: what is redrawn for each picture of a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mien.faces import palette
from mien.faces.linear.state import ExpressionState
from mien.faces.linear.view import Camera
from mien.studio.expression_sampling import sample_expression
from mien.studio.headwear import Headwear, sample_headwear, visible_hair
from mien.studio.person import Person

GLASSES: Final[dict[str, tuple[float, float, float]]] = {
    "round": (2.45, 2.25, 2.0),
    "oval": (2.7, 1.75, 2.2),
    "square": (2.6, 2.05, 4.5),
    "rectangular": (2.8, 1.6, 4.5),
    "aviator": (2.75, 2.3, 2.5),
}
"""Half width and half height of a lens, and the exponent of its super-ellipse."""

GARMENTS: Final = ("crew neck", "turtleneck", "v-neck", "scoop neck", "hoodie")
PATTERNS: Final = ("plain", "striped", "checked")
LIGHT_SIDES: Final = ("left", "right", "front", "above")
LIGHT_COLORS: Final = ("warm", "neutral", "cool")
_DYES = ("pink", "teal")
_LIGHTER = {"black": "dark brown", "dark brown": "brown", "brown": "dark blonde", "dark blonde": "blonde"}
_DARKER = {"brown": "dark brown", "dark blonde": "brown", "blonde": "dark blonde", "ginger": "auburn"}


@dataclass(frozen=True)
class Glasses:
    """Spectacles: ``style`` is a key of ``GLASSES``; ``size`` a factor; ``wire`` the frame's radius in units."""

    style: str
    color: str
    size: float
    wire: float

    @property
    def name(self) -> str:
        """Such as ``"round black"``."""
        return f"{self.style} {self.color}"


@dataclass(frozen=True)
class Clothing:
    """Clothes: ``kind`` of ``GARMENTS``, ``color`` of ``palette.CLOTHES``, ``pattern`` of ``PATTERNS``.

    ``light_pattern``: whether the second colour is lighter; ``cut``: how low the collar is, 0..1; ``trim``: a hem.
    """

    kind: str
    color: str
    pattern: str
    light_pattern: bool
    cut: float
    trim: bool

    @property
    def name(self) -> str:
        """Such as ``"striped red crew neck"``."""
        return f"{self.color} {self.kind}" if self.pattern == "plain" else f"{self.pattern} {self.color} {self.kind}"


@dataclass(frozen=True)
class Light:
    """The key light: ``side`` of ``LIGHT_SIDES`` as seen in the picture, ``tint`` of ``LIGHT_COLORS``.

    ``azimuth`` (positive from the right of the picture) and ``elevation`` in degrees; ``key``, ``fill``, ``rim`` and
    ``ambient`` are intensities; ``warmth`` is -0.15 (cool) .. 0.15 (warm).
    """

    side: str
    tint: str
    azimuth: float
    elevation: float
    warmth: float
    key: float
    fill: float
    rim: float
    ambient: float

    @property
    def name(self) -> str:
        """Such as ``"warm light from the left"``."""
        where = self.side if self.side == "above" else f"the {self.side}"
        return f"light from {where}" if self.tint == "neutral" else f"{self.tint} light from {where}"


@dataclass(frozen=True)
class Makeup:
    """Make-up: ``lipstick`` of ``palette.LIPSTICKS`` and ``eyeshadow`` of ``palette.EYESHADOWS``, or "none"."""

    lipstick: str = "none"
    lipstick_amount: float = 0.0
    eyeshadow: str = "none"
    eyeshadow_amount: float = 0.0


@dataclass(frozen=True)
class Scene:
    """Everything about one picture that is not the person.

    Attributes:
        seed: the seed it was drawn from.
        expression: coefficients, gaze and flush.
        pose: (yaw, pitch, roll) of the head in degrees; yaw + to the subject's left, pitch + up, roll + to the
            subject's left shoulder.
        hair_color: a name of ``palette.HAIR``; ``hair_brightness`` a factor near 1.
        beard: the beard shown: the person's, or "none" or "stubble" after a shave.
        glasses: spectacles or None.
        makeup, clothing, light, camera: see there.
        background: a name of ``palette.BACKGROUNDS``; ``background_center`` where its gradient is brightest, in
            picture coordinates -1..1.
        headwear: what is worn on the head, or None.

    Example:
        >>> from mien.studio import sample_person, sample_scene
        >>> scene = sample_scene(3, sample_person(seed=7))
        >>> len(scene.pose), scene.seed
        (3, 3)
    """

    seed: int
    expression: ExpressionState
    pose: tuple[float, float, float]
    hair_color: str
    hair_brightness: float
    beard: str
    glasses: Glasses | None
    makeup: Makeup
    clothing: Clothing
    light: Light
    camera: Camera
    background: str
    background_center: tuple[float, float]
    headwear: Headwear | None = None

    def showing(self, other: Scene) -> Scene:
        """This picture with the expression and head pose of another: the exact answer to what models are asked for."""
        return replace(self, expression=other.expression, pose=other.pose)


def sample_scene(seed: int, person: Person) -> Scene:
    """Draw a picture of ``person``; the same seed and person give the same picture.

    Example:
        >>> from mien.studio import sample_person, sample_scene
        >>> person = sample_person(seed=7)
        >>> sample_scene(3, person) == sample_scene(3, person)
        True
    """
    rng = np.random.default_rng([seed, 0x70696374, person.seed])
    return Scene(
        seed=seed,
        hair_color=_sample_hair_color(rng, person),
        hair_brightness=float(rng.uniform(0.85, 1.15)),
        beard=_sample_beard(rng, person),
        glasses=_sample_glasses(rng),
        makeup=_sample_makeup(rng, person),
        clothing=_sample_clothing(rng, person),
        light=sample_light(rng),
        camera=Camera(
            fov=float(rng.uniform(20.0, 28.0)),
            zoom=float(rng.uniform(0.96, 1.05)),
            offset=(float(0.45 * rng.normal()), float(0.4 * rng.normal())),
        ),
        background=str(rng.choice(list(palette.BACKGROUNDS))),
        background_center=(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.2, 0.5))),
        pose=_sample_pose(rng),
        expression=sample_expression(rng),
        headwear=sample_headwear(seed, person.seed, person.headwear),
    )


def sample_wide_scene(seed: int, person: Person) -> Scene:
    """Draw a picture as `sample_scene` does, but with a head turned up to 60 degrees and any lens and framing.

    What a reader of faces must cope with beyond what a portrait shows.
    """
    rng = np.random.default_rng([seed, 0x77696465, person.seed])
    camera = Camera(
        fov=float(rng.uniform(16.0, 60.0)),
        zoom=float(rng.uniform(0.8, 1.15)),
        offset=(float(0.9 * rng.normal()), float(0.8 * rng.normal())),
    )
    pose = float(rng.uniform(-60.0, 60.0)), float(np.clip(12.0 * rng.normal(), -30.0, 30.0)), float(12.0 * rng.normal())
    return replace(sample_scene(seed, person), camera=camera, pose=(pose[0], pose[1], max(-30.0, min(30.0, pose[2]))))


def _sample_pose(rng: np.random.Generator) -> tuple[float, float, float]:
    """Mostly near the camera; one in five anywhere within 45 and 25 degrees."""
    far = rng.random() < 0.2
    yaw = rng.uniform(-45.0, 45.0) if far else np.clip(14.0 * rng.normal(), -40.0, 40.0)
    pitch = rng.uniform(-25.0, 25.0) if far else np.clip(8.0 * rng.normal(), -20.0, 20.0)
    return float(yaw), float(pitch), float(np.clip(5.0 * rng.normal(), -15.0, 15.0))


def attributes(person: Person, picture: Scene) -> dict[str, Any]:
    """The named attributes of a picture: plain strings and numbers, as captions and data files use them.

    What headwear covers of the hair is "hidden".
    """
    worn = picture.headwear
    style, length, color = visible_hair(worn, person.hair_style, person.hair_length, picture.hair_color)
    return {
        "skin_tone": round(person.skin_tone, 3),
        "skin_band": person.skin_band,
        "age": round(person.age, 1),
        "gender": round(person.gender, 3),
        "eye_color": person.eye_color,
        "freckles": person.freckles > 0.0,
        "hair_style": style,
        "hair_color": color,
        "hair_length": length,
        "beard": picture.beard,
        "glasses": picture.glasses.style if picture.glasses else "none",
        "glasses_color": picture.glasses.color if picture.glasses else "none",
        "lipstick": picture.makeup.lipstick,
        "eyeshadow": picture.makeup.eyeshadow,
        "background": picture.background,
        "clothing": picture.clothing.name,
        "light": picture.light.name,
        "headwear": worn.kind if worn else "none",
        "headwear_color": worn.color if worn else "none",
    }


def _sample_hair_color(rng: np.random.Generator, person: Person) -> str:
    """The natural colour, one shade off, greyed with age, or (under 4 %) dyed."""
    dyed = rng.random() < 0.03 and person.age < 50.0
    shade, grey = rng.random(), rng.random()
    if dyed:
        return str(rng.choice(_DYES))
    if grey < person.grey:
        return "white" if person.grey > 0.75 and rng.random() < 0.6 else "grey"
    natural = person.natural_hair_color
    if shade < 0.22:
        return _DARKER.get(natural, natural)
    if shade < (0.42 if person.skin_band < 2 else 0.32):
        return _LIGHTER.get(natural, natural)
    return natural


def _sample_beard(rng: np.random.Generator, person: Person) -> str:
    shaved = str(rng.choice(("none", "stubble")))
    return shaved if person.beard != "none" and rng.random() < 0.15 else person.beard


def _sample_glasses(rng: np.random.Generator) -> Glasses | None:
    worn = rng.random() < 0.28
    style, color = str(rng.choice(list(GLASSES))), str(rng.choice(list(palette.FRAMES)))
    thin = style == "aviator" or color in ("gold", "silver")
    size, wire = float(rng.uniform(0.93, 1.05)), float(rng.uniform(0.09, 0.12) if thin else rng.uniform(0.11, 0.2))
    return Glasses(style, color, size, wire) if worn else None


def _sample_makeup(rng: np.random.Generator, person: Person) -> Makeup:
    likely = 0.55 if person.gender > 0.25 else 0.01
    painted, shaded = rng.random() < likely, rng.random() < 0.75 * likely
    lipstick, shadow = str(rng.choice(list(palette.LIPSTICKS))), str(rng.choice(list(palette.EYESHADOWS)))
    amounts = float(rng.uniform(0.45, 0.9)), float(rng.uniform(0.3, 0.85))
    return Makeup(
        lipstick=lipstick if painted else "none",
        lipstick_amount=amounts[0] if painted else 0.0,
        eyeshadow=shadow if shaded else "none",
        eyeshadow_amount=amounts[1] if shaded else 0.0,
    )


def _sample_clothing(rng: np.random.Generator, person: Person) -> Clothing:
    probabilities = (0.4, 0.15, 0.2, 0.15 if person.feminine else 0.0, 0.1 if person.feminine else 0.25)
    return Clothing(
        kind=str(rng.choice(GARMENTS, p=probabilities)),
        color=str(rng.choice(list(palette.CLOTHES))),
        pattern=str(rng.choice(PATTERNS, p=(0.6, 0.22, 0.18))),
        light_pattern=bool(rng.random() < 0.5),
        cut=float(rng.random()),
        trim=bool(rng.random() < 0.4),
    )


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a key light with its name."""
    side = str(rng.choice(LIGHT_SIDES, p=(0.36, 0.36, 0.18, 0.1)))
    tint = str(rng.choice(LIGHT_COLORS, p=(0.3, 0.45, 0.25)))
    sideways = {"left": (-58.0, -26.0), "right": (26.0, 58.0), "front": (-10.0, 10.0), "above": (-14.0, 14.0)}
    upwards = {"left": (15.0, 44.0), "right": (15.0, 44.0), "front": (8.0, 28.0), "above": (50.0, 62.0)}
    warmth = {"warm": (0.06, 0.14), "neutral": (-0.02, 0.02), "cool": (-0.12, -0.05)}
    return Light(
        side=side,
        tint=tint,
        azimuth=float(rng.uniform(*sideways[side])),
        elevation=float(rng.uniform(*upwards[side])),
        warmth=float(rng.uniform(*warmth[tint])),
        key=float(rng.uniform(1.0, 1.3)),
        fill=float(rng.uniform(0.16, 0.34)),
        rim=float(rng.uniform(0.2, 0.75)),
        ambient=float(rng.uniform(0.24, 0.36)),
    )
