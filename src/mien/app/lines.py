"""The command line and the Python call that draw what was asked of the page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from mien.diffusion.caching import STEPS
from mien.generation.request import FACE_PARTS, SEVERAL, GenerateRequest

NAMED = {
    "identity": "me.jpg", "expression": "expression.jpg", "mouth": "mouth.jpg", "eyes": "eyes.jpg",
    "brows": "brows.jpg", "pose": "pose.jpg", "edit": "portrait.jpg",
}  # fmt: skip
"""What the pictures are called, whose files' names the server never learns."""
_PLAIN = ("yaw", "pitch", "roll", "emotion", "prompt", "describe", "steps", "scheduler", "base", "reader")


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
    lines = [line for name, value in _keywords(request).items() for line in _argument(name, value)]
    return "\n".join(
        ["import mien", "", "images = mien.generate(", *lines, ")", 'mien.save(images[0], "portrait.png")']
    )


def _argument(name: str, value: Any) -> list[str]:
    """The lines of a keyword argument; a dictionary of several keys has a line for each."""
    if isinstance(value, dict) and len(value) > 1:
        return [f"    {name}={{", *(f"        {key!r}: {one!r}," for key, one in value.items()), "    },"]
    return [f"    {name}={value!r},"]


def _options(request: GenerateRequest) -> Iterator[tuple[str, str | None]]:
    for role, count, weights in (
        ("identity", len(request.people), request.weights),
        ("expression", len(request.templates), request.expression_weights),
    ):
        for number in range(count):
            file = _numbered(NAMED[role], number)
            yield f"--{role}", f"{file}:{_word(weights[number])}" if weights else file
    for role in (*FACE_PARTS, "pose", "edit"):
        if getattr(request, role) is not None:
            yield f"--{role}", NAMED[role]
    asked = dict(_asked(request))
    for name in _PLAIN:
        if name in asked:
            yield f"--{name}", _word(asked[name])
    for name, option in (("blendshapes", "--blendshape"), ("scales", "--scale"), ("guidance", "--guidance")):
        for part, value in asked.get(name, {}).items():
            yield option, f"{part}={_word(value)}"
    if "expression_strength" in asked:
        yield "--expression-strength", _word(asked["expression_strength"])
    if "strength" in asked:
        yield "--strength", _word(asked["strength"])
    if "guidance_rescale" in asked:
        yield "--rescale", _word(asked["guidance_rescale"])
    if "expression_by" in asked:
        yield "--expression-by", asked["expression_by"]
    if "retarget" in asked:
        yield "--retarget", asked["retarget"]
    if request.count != 1:
        yield "-n", str(request.count)
    yield "--seed", str(request.seed)
    if request.speed != "fast":
        yield "--speed", request.speed


def _keywords(request: GenerateRequest) -> dict[str, Any]:
    found: dict[str, Any] = {role: NAMED[role] for role in NAMED if getattr(request, role) is not None}
    for field, role in SEVERAL.items():
        if pictures := getattr(request, field):
            found[field] = [_numbered(NAMED[role], number) for number in range(1, len(pictures) + 1)]
    for field in ("weights", "expression_weights"):
        if weights := getattr(request, field):
            found[field] = list(weights)
    found |= _asked(request)
    if request.count != 1:
        found["n"] = request.count
    return found | {"seed": request.seed} | ({"speed": request.speed} if request.speed != "fast" else {})


def _asked(request: GenerateRequest) -> Iterator[tuple[str, Any]]:
    """The settings that are not what they are when nothing is said."""
    for name in (
        *_PLAIN,
        "blendshapes",
        "scales",
        "guidance",
        "expression_strength",
        "strength",
        "guidance_rescale",
        "expression_by",
        "retarget",
    ):
        value = getattr(request, name)
        usual = STEPS if name == "steps" else type(request).model_fields[name].get_default(call_default_factory=True)
        if value is not None and value != usual:
            yield name, value


def _numbered(file: str, number: int) -> str:
    """``me.jpg``, then ``me-2.jpg`` and so on."""
    stem, dot, ending = file.partition(".")
    return file if number == 0 else f"{stem}-{number + 1}{dot}{ending}"


def _word(value: Any) -> str:
    """A value as it is typed, to the last digit."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
