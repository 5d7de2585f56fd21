"""What was read in a request's pictures, and what of it the base cannot draw, in words for the user."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from mien.captions.said import said_of_face, said_of_person
from mien.captions.words import caption_words
from mien.generation.request import FACE_PARTS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mien.faces.types import Face
    from mien.generation.conditioning import PipelineInputs
    from mien.generation.request import GenerateRequest
    from mien.pipelines.portrait import PortraitPipeline

DRAWN_POSE = (35.0, 20.0, 15.0)
"""Largest (yaw, pitch, roll) in degrees that bases of the studio's kind have seen often."""
_GLUE = {"the", "and", "with", "has", "his", "her", "for", "not", "but", "very", "this", "that", "one", "two"}


def read_as(request: GenerateRequest, inputs: PipelineInputs) -> str:
    """Such as ``read as: woman, long red hair, no glasses; template: mouth open, brows down``; "" if nothing was.

    Args:
        request: what is asked for.
        inputs: what was made of it; the person is told where the description goes into the prompt.
    """
    parts = {
        "read as": said_of_person(inputs.attributes or {}),
        **{role.replace("expression", "template"): _said_of(inputs, role) for role in request.templates},
        **{role: _said_of(inputs, role) for role in (*FACE_PARTS, "pose") if role in request.inputs},
    }
    return "; ".join(f"{name}: {words}" for name, words in parts.items() if words)


def warn_of_limits(request: GenerateRequest, inputs: PipelineInputs, pipeline: PortraitPipeline) -> None:
    """Name in one warning the words and the angles that a base of the studio's kind has not learned.

    Args:
        request: what is asked for.
        inputs: what was made of it.
        pipeline: of a small base; what those of full size know is not known here.
    """
    found = []
    if words := unknown_words(pipeline.tokenizer, " ".join(filter(None, (request.prompt, request.describe)))):
        found.append(f"has not learned the words {', '.join(words)}, and may ignore them")
    if angles := _beyond(request, inputs):
        found.append(f"draws heads turned by up to about {DRAWN_POSE[0]:g} degrees, and less well beyond: {angles}")
    if found:
        warnings.warn(f"this base {'; it '.join(found)}", stacklevel=2)


def unknown_words(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """Words for which a tokenizer that was trained on captions alone has no token, and that no caption uses."""
    words = dict.fromkeys(re.findall(r"[a-z]{3,}", text.lower()))
    known = _GLUE | caption_words()
    return [word for word in words if word not in known and len(tokenizer.tokenize(word)) > 1]


def _said_of(inputs: PipelineInputs, role: str) -> str:
    """What of a picture counts for its role: of a part of the face the part alone, of a pose the pose alone."""
    from mien.faces.linear.arkit import BLENDSHAPE_NAMES, PARTS, kit_indices

    face: Face = inputs.seen[role].face
    values = () if face.blendshapes is None or role == "pose" else face.blendshapes.tolist()
    seen = dict(zip(BLENDSHAPE_NAMES, values, strict=False))
    if role not in FACE_PARTS:
        return said_of_face(seen, face.pose)
    part = {*PARTS[role]}
    return said_of_face({name: value for name, value in seen.items() if part & {*kit_indices(name)}}, None)


def _beyond(request: GenerateRequest, inputs: PipelineInputs) -> str:
    """The wanted angles that lie beyond `DRAWN_POSE`, such as ``yaw 60``."""
    donor = inputs.seen.get("pose", inputs.seen.get("expression"))
    own = (None, None, None) if donor is None or donor.face.pose is None else donor.face.pose
    asked = (request.yaw, request.pitch, request.roll)
    wanted = [given if given is not None else read for given, read in zip(asked, own, strict=True)]
    named = zip(("yaw", "pitch", "roll"), wanted, DRAWN_POSE, strict=True)
    return ", ".join(f"{name} {angle:.0f}" for name, angle, most in named if angle is not None and abs(angle) > most)
