"""Words for what is visible: each function gives a phrase, or "" where there is nothing to say.

Sides in captions are the viewer's ("looking to the left" is towards the left edge of the picture), as people write
them; everywhere else in mien left and right are the subject's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mien.conditions import Emotion
from mien.faces.linear.state import ExpressionState

_DECADES = ("twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties")
_SKIN = ("fair skin", "tan skin", "brown skin", "dark skin")
_HAIR = {
    "bald": "a bald head",
    "buzz cut": "a {} buzz cut",
    "short": "short {} hair",
    "crop": "cropped {} hair",
    "side part": "short {} hair with a side part",
    "quiff": "a {} quiff",
    "slicked back": "slicked back {} hair",
    "bob": "a {} bob",
    "long straight": "long straight {} hair",
    "long wavy": "long wavy {} hair",
    "bangs": "long {} hair with bangs",
    "afro": "a {} afro",
    "curly": "curly {} hair",
    "bun": "{} hair in a bun",
    "locs": "long {} locs",
    "box braids": "long {} box braids",
    "plaits": "long {} hair in two braids",
}
_GARMENTS = {
    "crew neck": "sweater",
    "turtleneck": "turtleneck",
    "v-neck": "v-neck sweater",
    "scoop neck": "top",
    "hoodie": "hoodie",
}
_EMOTIONS = {
    "sad": "sad",
    "surprise": "surprised",
    "fear": "frightened",
    "disgust": "disgusted",
    "anger": "angry",
}


_OF_A_FACE = re.compile(
    r"\b(smil\w+|laugh\w*|grin\w*|smirk\w*|frown\w*|wink\w*|looking|facing|facial|expression|pursing|pouting|puffing"
    r"|sad|surprised|frightened|afraid|scared|disgusted|angry|mouth (?:wide )?open|open mouth|lips (?:apart|parted)"
    r"|eyes (?:are )?(?:closed|shut|to the|up|down|wide)|head (?:turned|tilted)|turned to|in profile)\b",
    re.IGNORECASE,
)


def caption_words() -> frozenset[str]:
    """The rarer words of captions: those of haircuts and ages."""
    return frozenset(re.findall(r"[a-z]+", " ".join((*_HAIR.values(), *_DECADES))))


def speaks_of_a_face(text: str) -> bool:
    """Whether words say what a face does or where it looks: those of our captions, and what else people say."""
    return _OF_A_FACE.search(text) is not None


def noun(attributes: Mapping[str, Any]) -> str:
    """man, woman or person."""
    gender = float(attributes.get("gender", 0.0))
    return "woman" if gender > 0.2 else "man" if gender < -0.2 else "person"


def possessive(word: str) -> str:
    """her, his or their."""
    return {"woman": "her", "man": "his"}.get(word, "their")


def decade(attributes: Mapping[str, Any]) -> str:
    """Such as `thirties`."""
    if "age" not in attributes:
        return ""
    return _DECADES[min(max(int(float(attributes["age"]) // 10) - 2, 0), len(_DECADES) - 1)]


def with_article(phrase: str) -> str:
    """Such as `an auburn bob`."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def age_word(attributes: Mapping[str, Any]) -> str:
    """young, middle-aged or old."""
    if "age" not in attributes:
        return ""
    age = float(attributes["age"])
    return "young" if age < 32 else "middle-aged" if age < 58 else "old"


def skin(attributes: Mapping[str, Any]) -> str:
    """Such as `fair skin`."""
    return _SKIN[int(attributes["skin_band"])] if "skin_band" in attributes else ""


def hair(attributes: Mapping[str, Any]) -> str:
    """Such as `a brown bob`; a style that is not known is named by its length; hidden hair is not mentioned."""
    style, color = attributes.get("hair_style"), str(attributes.get("hair_color", "")).strip()
    if (not style and not color) or color == "hidden":
        return ""
    pattern = _HAIR.get(str(style)) or f"{attributes.get('hair_length', '')} {{}} hair".strip()
    phrase = " ".join(pattern.format(color).split())
    return with_article(phrase.removeprefix("a ")) if phrase.startswith("a ") else phrase


def beard(attributes: Mapping[str, Any]) -> str:
    """Such as `a short beard`."""
    kind = str(attributes.get("beard", "none"))
    return "" if kind == "none" else kind if kind == "stubble" else f"a {kind}"


def glasses(attributes: Mapping[str, Any], with_color: bool = True) -> str:
    """Such as `round black glasses`."""
    style = str(attributes.get("glasses", "none"))
    if style == "none":
        return ""
    color = str(attributes.get("glasses_color", "none"))
    return " ".join(word for word in (style, color if with_color and color != "none" else "", "glasses") if word)


def headwear(attributes: Mapping[str, Any]) -> str:
    """Such as `a red headscarf`."""
    kind, color = (str(attributes.get(name, "none")) for name in ("headwear", "headwear_color"))
    if kind == "none":
        return ""
    phrase = kind if color == "none" else f"{color} {kind}"
    return with_article(phrase)


def make_up(attributes: Mapping[str, Any]) -> str:
    """Such as `red lipstick`."""
    color = str(attributes.get("lipstick", "none"))
    return "" if color == "none" else f"{color} lipstick"


def clothing(attributes: Mapping[str, Any]) -> str:
    """Such as `a striped green sweater`."""
    name = str(attributes.get("clothing", "")).strip()
    for cut, garment in _GARMENTS.items():
        if name.endswith(cut):
            name = name.removesuffix(cut) + garment
            break
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}" if name else ""


def background(attributes: Mapping[str, Any]) -> str:
    """Such as `teal background`."""
    name = str(attributes.get("background", "")).strip()
    return f"{name} background" if name else ""


def feeling(state: ExpressionState, emotion: Emotion) -> str:
    """What the face does, in one word or two: the emotion if there is one, else the most conspicuous gesture."""
    c = state.named()
    smile, jaw = max(c.get("mouthSmile_L", 0.0), c.get("mouthSmile_R", 0.0)), c.get("jawOpen", 0.0)
    label, share = emotion.label, max(emotion.probabilities)
    if label != "neutral" and share > 0.4:
        slightly = "slightly " if share < 0.62 else ""
        if label == "happy":
            return "laughing" if smile > 0.6 and jaw > 0.18 else f"smiling{' slightly' if smile < 0.4 else ''}"
        return f"{slightly}smirking" if label == "contempt" else f"looking {slightly}{_EMOTIONS[label]}"
    if max(c.get("mouthPucker", 0.0), c.get("mouthFunnel", 0.0)) > 0.45:
        return "pursing lips"
    if c.get("cheekPuff_L", 0.0) + c.get("cheekPuff_R", 0.0) > 0.9:
        return "puffing cheeks"
    if jaw > 0.3:
        return "mouth wide open" if jaw > 0.6 else "mouth open"
    if smile > 0.25:
        return "smiling slightly"
    return "neutral expression" if sum(v for k, v in c.items() if not k.startswith("eye")) < 1.0 else ""


def eyes(state: ExpressionState) -> str:
    """`eyes closed`, `winking`, or where the eyes look if that is far from straight ahead."""
    c = state.named()
    left, right = c.get("eyeBlink_L", 0.0), c.get("eyeBlink_R", 0.0)
    if min(left, right) > 0.7:
        return "eyes closed"
    if max(left, right) > 0.7 and min(left, right) < 0.35:
        return "winking"
    yaw, pitch = state.gaze
    if abs(yaw) > 11.0:
        return f"eyes to the {'right' if yaw > 0 else 'left'}"
    return f"eyes {'up' if pitch > 0 else 'down'}" if abs(pitch) > 8.0 else ""


def turning(pose: tuple[float, float, float]) -> str:
    """How the head is turned, or `facing the camera`."""
    yaw, pitch, roll = pose
    if abs(yaw) > 10.0:
        how = "slightly " if abs(yaw) < 18.0 else ""
        return f"head turned {how}to the {'right' if yaw > 0 else 'left'}"
    if abs(pitch) > 8.0:
        return f"looking {'up' if pitch > 0 else 'down'}"
    if abs(roll) > 8.0:
        return f"head tilted to the {'right' if roll > 0 else 'left'}"
    return "facing the camera" if abs(yaw) < 6.0 and abs(pitch) < 5.0 else ""
