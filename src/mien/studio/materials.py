"""Colours and material settings of a person in a picture, as the shaders take them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.faces import palette
from mien.faces.linear.vectors import smoothstep
from mien.faces.palette import Rgb, blend, linear, scaled
from mien.studio.headwear import Headwear
from mien.studio.person import Person
from mien.studio.scene import Scene


def hair_color(person: Person, picture: Scene) -> Rgb:
    """Linear RGB of the hair in this picture: partly greyed people have lighter, duller hair."""
    named = scaled(linear(palette.HAIR[picture.hair_color]), picture.hair_brightness)
    if picture.hair_color in ("grey", "white", "pink", "teal"):
        return named
    return blend(named, linear((150, 147, 144)), 0.3 * person.grey)


def beard_color(person: Person, picture: Scene) -> Rgb:
    """Linear RGB of the beard: the hair's, never dyed, a little redder, greying first."""
    name = picture.hair_color if picture.hair_color not in ("pink", "teal") else person.natural_hair_color
    base = scaled(linear(palette.HAIR[name]), 0.85, 0.76, 0.72)
    return blend(base, linear((170, 167, 164)), 0.35 * person.grey)


def skin_uniforms(person: Person, picture: Scene) -> dict[str, Any]:
    """Uniforms of the skin's part of the surface shader."""
    makeup, expression = picture.makeup, picture.expression
    lips = person.lips
    if makeup.lipstick != "none":
        lips = blend(lips, linear(palette.LIPSTICKS[makeup.lipstick]), makeup.lipstick_amount)
    gloss = person.lip_gloss * (1.35 if makeup.lipstick != "none" else 1.0)
    shadow = linear(palette.EYESHADOWS[makeup.eyeshadow]) if makeup.eyeshadow != "none" else (1.0, 1.0, 1.0)
    # A tint that keeps the skin's lightness halfway: strong on pale, visible on dark.
    tint = np.asarray(shadow) / max(shadow) * 0.8
    shaved = picture.beard == "none"
    stubble = min(person.stubble, 0.12) if shaved else person.stubble
    bald = person.hair_style == "bald"
    age = float(smoothstep(25.0, 78.0, person.age))
    return {
        "skin": person.skin,
        "lipc": lips,
        "hairc": beard_color(person, picture),
        "eyesh": tint,
        "look": (person.redness, stubble, person.freckles, 0.0 if bald else 0.92),
        "look2": (gloss, makeup.eyeshadow_amount, person.roughness, max(0.0, -person.gender)),
        "look3": (expression.flush, age, person.skin_tone),
        "hairline": (person.hair_shape.hairline, person.hair_shape.recession),
    }


def cloth_uniforms(picture: Scene) -> dict[str, Any]:
    """Uniforms of the clothes: colours, pattern and collar."""
    clothing = picture.clothing
    first = linear(palette.CLOTHES[clothing.color])
    second = scaled(first, 2.4) if clothing.light_pattern else scaled(first, 0.4)
    second = blend(second, (0.5, 0.5, 0.5) if clothing.light_pattern else (0.02, 0.02, 0.02), 0.12)
    cut = clothing.cut
    collar = {
        "crew neck": (-10.2, 2.0 + 1.2 * cut, 0.0, 1.0),
        "turtleneck": (-8.1, 0.6, 0.0, 1.0),
        "v-neck": (-10.2, 2.2, 2.5 + 2.5 * cut, 2.5 + 1.5 * cut),
        "scoop neck": (-11.3, 3.2 + 0.8 * cut, 0.0, 1.0),
        "hoodie": (-9.2, 1.6 + 0.6 * cut, 0.9, 2.4),
    }[clothing.kind]
    return {
        "cloth": first,
        "cloth2": second,
        "pattern": ("plain", "striped", "checked").index(clothing.pattern),
        "trim": float(clothing.trim),
        "colr": collar,
    }


def headwear_uniforms(headwear: Headwear) -> dict[str, Any]:
    """Uniforms of what is worn on the head: colours, weave and pattern."""
    first = linear(palette.CLOTHES[headwear.color])
    second = scaled(first, 2.6) if headwear.light_pattern else scaled(first, 0.35)
    second = blend(second, (0.55, 0.55, 0.55) if headwear.light_pattern else (0.02, 0.02, 0.02), 0.2)
    return {
        "cloth": first,
        "cloth2": second,
        "weave": {"beanie": 1, "cap": 2, "hat": 2}.get(headwear.kind, 0),
        "pattern": ("plain", "striped", "dotted").index(headwear.pattern),
    }


def eye_uniforms(person: Person) -> dict[str, Any]:
    """Uniforms of the eyeballs that do not depend on gaze."""
    outer, inner = palette.EYES[person.eye_color]
    return {
        "iris": scaled(linear(outer), 1.25),
        "iris2": scaled(linear(inner), 1.25),
        "ir": person.iris_radius,
        "pr": person.pupil_radius,
    }


def backdrop_uniforms(picture: Scene) -> dict[str, Any]:
    """Uniforms of the background's gradient."""
    inner, outer = palette.BACKGROUNDS[picture.background]
    return {"inner": linear(inner), "outer": linear(outer), "middle": picture.background_center}
