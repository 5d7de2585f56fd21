"""Names of facial coefficients: the morphable model's 53 and MediaPipe's 52, and the way between them.

ICT-FaceKit names sides with `_L`/`_R` and splits `browInnerUp` and `cheekPuff`; MediaPipe (ARKit's names) writes
`Left`/`Right`, keeps those two whole, adds `_neutral` and has no `tongueOut`. Left is the subject's left in both.
"""

from collections.abc import Mapping

KIT_NAMES: tuple[str, ...] = (
    "browDown_L", "browDown_R", "browInnerUp_L", "browInnerUp_R", "browOuterUp_L", "browOuterUp_R",
    "cheekPuff_L", "cheekPuff_R", "cheekSquint_L", "cheekSquint_R", "eyeBlink_L", "eyeBlink_R",
    "eyeLookDown_L", "eyeLookDown_R", "eyeLookIn_L", "eyeLookIn_R", "eyeLookOut_L", "eyeLookOut_R",
    "eyeLookUp_L", "eyeLookUp_R", "eyeSquint_L", "eyeSquint_R", "eyeWide_L", "eyeWide_R",
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimple_L", "mouthDimple_R",
    "mouthFrown_L", "mouthFrown_R", "mouthFunnel", "mouthLeft", "mouthLowerDown_L", "mouthLowerDown_R",
    "mouthPress_L", "mouthPress_R", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthSmile_L", "mouthSmile_R", "mouthStretch_L", "mouthStretch_R",
    "mouthUpperUp_L", "mouthUpperUp_R", "noseSneer_L", "noseSneer_R",
)  # fmt: skip
"""The kit's 53 expression coefficients in the kit's own order."""

MERGED: tuple[str, ...] = ("browInnerUp", "cheekPuff")
"""Coefficients that MediaPipe does not split into sides."""


def kit_to_blendshape(name: str) -> str:
    """MediaPipe's name of a kit coefficient (`mouthSmile_L` -> `mouthSmileLeft`, `cheekPuff_R` -> `cheekPuff`)."""
    stem, _, side = name.partition("_")
    if stem in MERGED or not side:
        return stem
    return stem + {"L": "Left", "R": "Right"}[side]


BLENDSHAPE_NAMES: tuple[str, ...] = ("_neutral", *dict.fromkeys(kit_to_blendshape(name) for name in KIT_NAMES))
"""MediaPipe's 52 blendshape names in MediaPipe's order (index 0 is `_neutral`)."""

KIT_INDEX: Mapping[str, int] = {name: i for i, name in enumerate(KIT_NAMES)}

PARTS: Mapping[str, tuple[int, ...]] = {
    "brows": tuple(i for i, name in enumerate(KIT_NAMES) if name.startswith("brow")),
    "eyes": tuple(i for i, name in enumerate(KIT_NAMES) if name.startswith("eye")),
    "mouth": tuple(i for i, name in enumerate(KIT_NAMES) if not name.startswith(("brow", "eye"))),
}
"""Part of a face -> its kit coefficients; jaw, cheeks and nose go with the mouth, whose muscles move them."""


def kit_indices(name: str) -> tuple[int, ...]:
    """Kit coefficients meant by a name in any of the spellings.

    Takes a kit name (`mouthSmile_L`), a MediaPipe name (`mouthSmileLeft`, `cheekPuff`) or a stem without its side
    (`mouthSmile`: both sides). Case is ignored. An unknown name gives an empty tuple.
    """
    wanted = name.strip().lower()
    return tuple(
        i
        for i, kit in enumerate(KIT_NAMES)
        if wanted in (kit.lower(), kit_to_blendshape(kit).lower(), kit.partition("_")[0].lower())
    )
