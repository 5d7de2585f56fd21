"""The command line and the Python call that draw what was asked of the page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from mien.generation.request import STRENGTH, GenerateRequest

NAMED = {"identity": "me.jpg", "expression": "expression.jpg", "pose": "pose.jpg", "edit": "portrait.jpg"}
"""What the pictures are called, whose files' names the server never learns."""
_PLAIN = ("yaw", "pitch", "roll", "emotion", "prompt", "describe", "steps", "scheduler")


def lines_of(request: GenerateRequest) -> dict[str, str]:
    """Both, by ``command`` and ``python``."""
    return {"command": command_line(request), "python": python_call(request)}


def command_line(request: GenerateRequest) -> str:
    """The ``mien generate`` line of a request, for a shell."""
    words = ["mien", "generate"]
    for option, value in _options(request):
        words += [option] if value is None else [option, value]
    return shlex.join(words)


def python_call(request: GenerateRequest) -> str:
    """The call of `mien.generate` of a request."""
    lines = [f"    {name}={value!r}," for name, value in _keywords(request).items()]
    return "\n".join(
        ["import mien", "", "images = mien.generate(", *lines, ")", 'mien.save(images[0], "portrait.png")']
    )


def _options(request: GenerateRequest) -> Iterator[tuple[str, str | None]]:
    weights = request.weights or (1.0,) * len(request.people)
    for number, weight in enumerate(weights):
        file = NAMED["identity"] if number == 0 else f"me-{number + 1}.jpg"
        yield "--identity", file if not request.weights else f"{file}:{weight:g}"
    for role in ("expression", "pose", "edit"):
        if getattr(request, role) is not None:
            yield f"--{role}", NAMED[role]
    for name in _PLAIN:
        value = getattr(request, name)
        if value is not None and not (name == "steps" and value == GenerateRequest(prompt="x").steps):
            yield f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)
    for name, value in request.blendshapes.items():
        yield "--blendshape", f"{name}={value:g}"
    for option, weights_by_name in (("--scale", request.scales), ("--guidance", request.guidance)):
        for name, value in weights_by_name.items():
            yield option, f"{name}={value:g}"
    if request.edit is not None and request.strength != STRENGTH:
        yield "--strength", f"{request.strength:g}"
    if request.guidance_rescale:
        yield "--rescale", f"{request.guidance_rescale:g}"
    if request.retarget != "difference":
        yield "--retarget", request.retarget
    if request.count != 1:
        yield "-n", str(request.count)
    yield "--seed", str(request.seed)
    if request.speed != "fast":
        yield "--speed", request.speed


def _keywords(request: GenerateRequest) -> dict[str, Any]:
    found: dict[str, Any] = {role: NAMED[role] for role in NAMED if getattr(request, role) is not None}
    if request.identities:
        found["identities"] = [f"me-{number + 2}.jpg" for number in range(len(request.identities))]
    if request.weights:
        found["weights"] = list(request.weights)
    usual = GenerateRequest(prompt="x")
    names = (*_PLAIN, "blendshapes", "scales", "guidance", "strength", "guidance_rescale", "retarget")
    for name in names:
        value = getattr(request, name)
        if value != getattr(usual, name) or (name == "prompt" and value is not None):
            found[name] = value
    if request.count != 1:
        found["n"] = request.count
    return found | {"seed": request.seed} | ({"speed": request.speed} if request.speed != "fast" else {})
