"""Named expressions: variants of the eight emotions, visemes, and what keeps a face plausible.

The emotion recipes follow the action units of EMFACS (Ekman & Friesen 1983) written in ARKit's names; amplitudes and
the flush are *inferred* from looking at renders. A name without a side means both sides.
"""

from collections.abc import Mapping

from mien.faces.linear.arkit import KIT_NAMES

FLUSH = "flush"
"""Key of the skin's redness in a recipe."""

EMOTION_RECIPES: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "neutral": ({},),
    "happy": (
        {"mouthSmile": 0.85, "cheekSquint": 0.55, "eyeSquint": 0.30, "mouthDimple": 0.15, FLUSH: 0.20},
        {"mouthSmile": 1.0, "cheekSquint": 0.75, "eyeSquint": 0.40, "jawOpen": 0.28, "mouthUpperUp": 0.25, FLUSH: 0.30},
        {"mouthSmile": 0.70, "mouthDimple": 0.35, "mouthPress": 0.20, "cheekSquint": 0.35, FLUSH: 0.15},
        {"mouthSmile": 0.80, "cheekSquint": 0.5, "jawOpen": 0.12, "mouthUpperUp": 0.35, "browOuterUp": 0.25,
         FLUSH: 0.20},
    ),
    "sad": (
        {"browInnerUp": 0.85, "mouthFrown": 0.75, "mouthShrugLower": 0.35, "eyeSquint": 0.20, "eyeBlink": 0.12},
        {"browInnerUp": 0.70, "mouthFrown": 0.60, "eyeBlink": 0.28, "mouthRollLower": 0.25, "browDown": 0.20},
        {"browInnerUp": 1.0, "mouthFrown": 0.8, "mouthStretch": 0.35, "cheekSquint": 0.40, "eyeSquint": 0.50,
         "mouthShrugLower": 0.4, "jawOpen": 0.12, FLUSH: 0.30},
    ),
    "surprise": (
        {"browInnerUp": 0.85, "browOuterUp": 0.85, "eyeWide": 0.75, "jawOpen": 0.50},
        {"browInnerUp": 0.95, "browOuterUp": 0.95, "eyeWide": 0.85, "jawOpen": 0.32, "mouthFunnel": 0.50},
        {"browInnerUp": 0.75, "browOuterUp": 0.80, "eyeWide": 0.55, "jawOpen": 0.16},
    ),
    "fear": (
        {"browInnerUp": 0.85, "browOuterUp": 0.25, "browDown": 0.30, "eyeWide": 1.0, "mouthStretch": 0.70,
         "jawOpen": 0.20, "mouthLowerDown": 0.25},
        {"browInnerUp": 0.75, "browDown": 0.30, "eyeWide": 0.90, "mouthStretch": 0.55, "mouthPress": 0.20},
        {"browInnerUp": 0.90, "browOuterUp": 0.35, "eyeWide": 1.0, "mouthStretch": 0.80, "jawOpen": 0.36,
         "mouthLowerDown": 0.45, "mouthFrown": 0.25},
    ),
    "disgust": (
        {"noseSneer": 0.90, "mouthUpperUp": 0.55, "browDown": 0.45, "eyeSquint": 0.45, "cheekSquint": 0.45},
        {"noseSneer": 0.80, "mouthShrugLower": 0.45, "mouthFrown": 0.40, "browDown": 0.40, "eyeSquint": 0.35,
         "mouthUpperUp": 0.25},
        {"noseSneer": 0.95, "mouthUpperUp": 0.75, "cheekSquint": 0.50, "eyeSquint": 0.60, "jawOpen": 0.12,
         "mouthLowerDown": 0.25, "browDown": 0.30},
    ),
    "anger": (
        {"browDown": 1.0, "noseSneer": 0.35, "mouthPress": 0.60, "eyeSquint": 0.30, "mouthFrown": 0.30, FLUSH: 0.65},
        {"browDown": 0.95, "noseSneer": 0.50, "jawOpen": 0.32, "mouthUpperUp": 0.30, "mouthLowerDown": 0.40,
         "mouthStretch": 0.30, "eyeWide": 0.30, FLUSH: 0.85},
        {"browDown": 0.85, "eyeSquint": 0.45, "mouthRollLower": 0.30, "mouthRollUpper": 0.30, "jawForward": 0.40,
         "noseSneer": 0.20, FLUSH: 0.55},
        {"browDown": 1.0, "eyeWide": 0.45, "mouthFrown": 0.45, "mouthShrugLower": 0.30, "cheekPuff": 0.25,
         FLUSH: 0.75},
    ),
    "contempt": (
        {"mouthSmile_L": 0.45, "mouthDimple_L": 0.70, "mouthUpperUp_L": 0.20, "eyeSquint": 0.20, "browOuterUp_R": 0.30,
         "cheekSquint_L": 0.20},
        {"mouthDimple_L": 0.85, "mouthPress_L": 0.45, "mouthLeft": 0.25, "mouthSmile_L": 0.25, "eyeBlink": 0.14,
         "browDown_R": 0.20},
        {"mouthSmile_L": 0.55, "mouthDimple_L": 0.45, "noseSneer_L": 0.30, "mouthUpperUp_L": 0.40,
         "browOuterUp_L": 0.40, "eyeSquint_R": 0.15},
    ),
}  # fmt: skip
"""Variants of each emotion at full strength; the first is the canonical one."""

VISEMES: Mapping[str, Mapping[str, float]] = {
    "aa": {"jawOpen": 0.50, "mouthLowerDown": 0.15, "mouthUpperUp": 0.10},
    "ee": {"jawOpen": 0.12, "mouthStretch": 0.40, "mouthSmile": 0.20, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},
    "ih": {"jawOpen": 0.20, "mouthStretch": 0.20, "mouthLowerDown": 0.15},
    "oh": {"jawOpen": 0.32, "mouthFunnel": 0.55, "mouthPucker": 0.15},
    "oo": {"jawOpen": 0.10, "mouthPucker": 0.75, "mouthFunnel": 0.20},
    "er": {"jawOpen": 0.18, "mouthFunnel": 0.35, "mouthShrugUpper": 0.15},
    "mbp": {"mouthRollLower": 0.30, "mouthRollUpper": 0.30, "mouthPress": 0.30},
    "fv": {"mouthRollLower": 0.50, "mouthUpperUp": 0.25, "jawOpen": 0.06},
    "l": {"jawOpen": 0.25, "mouthUpperUp": 0.15, "mouthLowerDown": 0.20},
    "sz": {"jawOpen": 0.05, "mouthStretch": 0.30, "mouthLowerDown": 0.35, "mouthUpperUp": 0.30},
    "sh": {"jawOpen": 0.08, "mouthFunnel": 0.60, "mouthPucker": 0.20},
    "w": {"mouthPucker": 0.90, "jawOpen": 0.05},
}
"""Mouth shapes of speech (about the Oculus visemes)."""

GESTURES: Mapping[str, Mapping[str, float]] = {
    "wink": {"eyeBlink_L": 0.95, "cheekSquint_L": 0.60, "eyeSquint_L": 0.30, "mouthSmile_L": 0.35, "browDown_L": 0.20},
    "kiss": {"mouthPucker": 0.95, "eyeSquint": 0.20},
    "puffed": {"cheekPuff": 0.90, "mouthPress": 0.25, "mouthPucker": 0.20},
    "shrug": {"mouthShrugLower": 0.60, "mouthShrugUpper": 0.40, "mouthFrown": 0.35, "browInnerUp": 0.40,
              "browOuterUp": 0.50},
    "sceptical": {"browOuterUp_L": 0.90, "browInnerUp_L": 0.40, "browDown_R": 0.70, "eyeSquint_R": 0.30,
                  "mouthLeft": 0.15},
    "thinking": {"mouthLeft": 0.50, "mouthPress": 0.30, "browDown": 0.30, "eyeSquint": 0.20},
    "pout": {"mouthShrugLower": 0.70, "mouthPucker": 0.35, "browDown": 0.30, "mouthFrown": 0.30},
    "grimace": {"mouthStretch": 0.80, "mouthLowerDown": 0.55, "mouthUpperUp": 0.35, "eyeSquint": 0.40},
    "yawn": {"jawOpen": 0.85, "eyeBlink": 0.75, "browInnerUp": 0.30, "noseSneer": 0.15},
    "embarrassed": {"mouthSmile": 0.45, "mouthPress": 0.40, "browInnerUp": 0.40, "mouthRollLower": 0.20, FLUSH: 0.90},
    "sleepy": {"eyeBlink": 0.45, "browInnerUp": 0.15},
    "jaw": {"jawLeft": 0.60, "jawOpen": 0.15},
}  # fmt: skip
"""Faces that are no emotion of the eight."""

EXTREMES: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "mouth": {
        "shout": {"jawOpen": 0.85, "mouthLowerDown": 0.45, "mouthUpperUp": 0.45, "mouthStretch": 0.25, FLUSH: 0.40},
        "roar": {"jawOpen": 0.75, "mouthUpperUp": 0.85, "mouthLowerDown": 0.75, "mouthStretch": 0.50, "noseSneer": 0.70,
                 FLUSH: 0.60},
        "scream": {"jawOpen": 1.0, "mouthStretch": 0.45, "mouthLowerDown": 0.30},
        "gape": {"jawOpen": 0.95, "mouthFunnel": 0.30},
        "bared teeth": {"mouthUpperUp": 0.85, "mouthLowerDown": 0.85, "mouthStretch": 0.55, "jawOpen": 0.06,
                        "noseSneer": 0.35},
        "grin": {"mouthSmile": 1.0, "mouthUpperUp": 0.60, "mouthLowerDown": 0.45, "jawOpen": 0.10, "cheekSquint": 0.70},
        "laugh": {"mouthSmile": 1.0, "jawOpen": 0.60, "mouthUpperUp": 0.40, "cheekSquint": 0.90, FLUSH: 0.30},
        "pucker": {"mouthPucker": 1.0, "mouthFunnel": 0.10},
        "one-sided smile": {"mouthSmile_L": 0.90, "mouthDimple_L": 0.40, "cheekSquint_L": 0.40, "mouthUpperUp_L": 0.20},
        "sneer": {"noseSneer_L": 1.0, "mouthUpperUp_L": 0.80, "cheekSquint_L": 0.40, "noseSneer_R": 0.30},
        "wrinkled nose": {"noseSneer": 1.0, "mouthUpperUp": 0.55, "cheekSquint": 0.40},
        "puffed": {"cheekPuff": 1.0, "mouthPress": 0.30, "mouthPucker": 0.25},
        "turned down": {"mouthFrown": 1.0, "mouthShrugLower": 0.60},
        "pressed": {"mouthRollLower": 0.70, "mouthRollUpper": 0.70, "mouthPress": 0.60},
        "aside": {"mouthLeft": 0.90, "mouthPucker": 0.30, "jawLeft": 0.40},
    },
    "eyes": {
        "squeezed": {"eyeBlink": 1.0, "eyeSquint": 1.0, "cheekSquint": 0.80, "browDown": 0.60, "noseSneer": 0.25},
        "closed": {"eyeBlink": 1.0},
        "narrowed": {"eyeSquint": 1.0, "eyeBlink": 0.25},
        "wide": {"eyeWide": 1.0},
        "wink": {"eyeBlink_L": 1.0, "cheekSquint_L": 0.70, "eyeSquint_L": 0.40, "browDown_L": 0.30},
    },
    "brows": {
        "raised": {"browInnerUp": 1.0, "browOuterUp": 1.0},
        "lowered": {"browDown": 1.0},
        "drawn together": {"browInnerUp": 1.0, "browDown": 0.25},
        "one raised": {"browOuterUp_L": 1.0, "browInnerUp_L": 0.50, "browDown_R": 0.80},
    },
}  # fmt: skip
"""Parts of faces at the limit of what people do, by region: what stock photographs of emotions show (*inferred*)."""

_SUM_LIMITS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("mouthSmile", "mouthFrown"), 1.0),
    (("mouthSmile", "mouthPucker"), 1.0),
    (("mouthPucker", "mouthFunnel"), 1.0),
    (("mouthSmile", "mouthStretch"), 1.2),
    (("mouthSmile", "mouthDimple"), 1.15),
    (("mouthPucker", "mouthStretch"), 0.9),
    (("mouthPress", "mouthLowerDown"), 0.7),
    (("mouthPress", "mouthUpperUp"), 0.9),
    (("mouthRollUpper", "mouthUpperUp"), 0.8),
    (("mouthRollLower", "mouthLowerDown"), 0.8),
    (("browDown", "browInnerUp"), 1.25),
    (("browDown", "browOuterUp"), 1.1),
    (("jawOpen", "mouthPress"), 0.8),
    (("jawOpen", "cheekPuff"), 0.9),
    (("jawOpen", "mouthShrugLower"), 0.9),
    (("mouthFrown", "mouthLowerDown"), 1.1),
)
_OPPOSED: tuple[tuple[str, str], ...] = (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"))


def both_sides(recipe: Mapping[str, float]) -> dict[str, float]:
    """A recipe with every name spelt out for its sides (`mouthSmile` -> `mouthSmile_L`, `mouthSmile_R`)."""
    out: dict[str, float] = {}
    for name, value in recipe.items():
        if name in KIT_NAMES or name == FLUSH:
            out[name] = value
        else:
            out[f"{name}_L"] = out[f"{name}_R"] = value
    return out


def mirrored(recipe: Mapping[str, float]) -> dict[str, float]:
    """The recipe with left and right exchanged."""
    swap = {"L": "R", "R": "L"}
    out: dict[str, float] = {}
    for name, value in recipe.items():
        stem, mark, side = name.partition("_")
        if mark:
            name = f"{stem}_{swap[side]}"
        elif name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            name = name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
        out[name] = value
    return out


def plausible(coefficients: Mapping[str, float]) -> dict[str, float]:
    """Coefficients [0, 1] without combinations that push the mesh through itself.

    Pairs that act on the same flesh are scaled down to a common limit, opposed ones cancel, `mouthClose` (which only
    closes lips over an open jaw) never exceeds `jawOpen`, and a shut eye is not wide.
    """
    c = {name: min(1.0, max(0.0, value)) for name, value in coefficients.items()}
    for a, b in _OPPOSED:
        common = min(c.get(a, 0.0), c.get(b, 0.0))
        c.update({name: c[name] - common for name in (a, b) if common})
    for side in ("L", "R"):
        for names, limit in _SUM_LIMITS:
            present = [n if n in KIT_NAMES else f"{n}_{side}" for n in names]
            total = sum(c.get(n, 0.0) for n in present)
            if total > limit:
                c.update({n: c[n] * limit / total for n in present if n in c})
        blink, wide = c.get(f"eyeBlink_{side}", 0.0), c.get(f"eyeWide_{side}", 0.0)
        if wide:
            c[f"eyeWide_{side}"] = wide * max(0.0, 1.0 - blink)
        squint = f"eyeSquint_{side}"
        if squint in c:  # a shut eye stays shut: only the squint gives way
            c[squint] = max(0.0, min(c[squint], 1.1 - blink))
    if "mouthClose" in c:
        c["mouthClose"] = min(c["mouthClose"], 0.9 * c.get("jawOpen", 0.0))
    return c
