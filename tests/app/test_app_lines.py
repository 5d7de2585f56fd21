"""The lines that the page offers to copy ask for what the page asked for."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mien.cli.main
import mien.generation.api as api
from mien.app.lines import command_line, python_call
from mien.generation.request import ROLES, SEVERAL, GenerateRequest

FACE = Image.new("RGB", (64, 64))
CASES: list[dict[str, Any]] = [
    {"identity": FACE},
    {"identity": FACE, "speed": "few", "seed": 7},
    {"identity": FACE, "speed": "fast", "expression": FACE, "pose": FACE, "yaw": -12.3456789, "roll": 3.0},
    {"identity": FACE, "identities": (FACE, FACE), "weights": (1.0, 0.5, 0.25), "count": 3},
    {"prompt": "a woman's portrait; $HOME", "steps": 12, "scheduler": "ddim", "guidance": {"text": 3.0}},
    {"identity": FACE, "describe": "grey hair", "blendshapes": {"jawOpen": 0.6, "mouthSmileLeft": 0.2}},
    {"edit": FACE, "emotion": "at:0.5/-0.2", "strength": 0.6, "scales": {"landmarks": 0.5}},
    {"identity": FACE, "expression": FACE, "retarget": False, "guidance_rescale": 0.3},
    {"identity": FACE, "expression": FACE, "expression_strength": 1.25, "mouth": FACE, "brows": FACE},
    {"identity": FACE, "expression": FACE, "expression_by": "picture"},
    {"expression": FACE, "expressions": (FACE,), "expression_weights": (2.0, 0.5), "eyes": FACE},
]
PICTURES = {*ROLES, *SEVERAL}


def settings_of(request: GenerateRequest) -> dict[str, Any]:
    """Everything but where pictures are and go."""
    given = {name: bool(getattr(request, name)) for name in PICTURES} | {
        "people": len(request.people),
        "templates": len(request.templates),
    }
    return request.model_dump(exclude={*PICTURES, "output", "reader"}) | given


def test_what_was_not_asked_for_does_not_stand_in_the_lines() -> None:
    request = GenerateRequest.checked(identity=FACE, base="sdxl", seed=3)
    assert command_line(request) == "mien generate --identity me.jpg --base sdxl --seed 3 --speed exact"
    assert python_call(request).splitlines()[3:-2] == [
        "    identity='me.jpg',", "    base='sdxl',", "    seed=3,", "    speed='exact',"
    ]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the lines name."""
    monkeypatch.chdir(tmp_path)
    for name in ("me", "me-2", "me-3", "expression", "expression-2", "mouth", "eyes", "brows", "pose", "portrait"):
        FACE.save(tmp_path / f"{name}.jpg")


@pytest.mark.parametrize("values", CASES)
def test_the_command_asks_for_the_same(values: dict[str, Any], files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    request = GenerateRequest.checked(**values)
    drawn: list[GenerateRequest] = []
    monkeypatch.setattr("mien.generation.generate.generate", lambda one, **_: drawn.append(one) or [])
    program, *words = shlex.split(command_line(request))
    assert program == "mien" and mien.cli.main.main(words) == 0
    assert settings_of(drawn[0]) == settings_of(request)


@pytest.mark.parametrize("values", CASES)
def test_the_call_asks_for_the_same(values: dict[str, Any], files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    request = GenerateRequest.checked(**values)
    drawn: list[GenerateRequest] = []

    def draw(one: GenerateRequest, **_: Any) -> list[Any]:
        drawn.append(one)
        return []

    class Reader(api.PictureReader):
        tools: Any = None

    class Pipeline:
        reader = Reader("studio")

    monkeypatch.setattr(api, "draw_pictures", draw)
    monkeypatch.setattr(api, "_last_used", lambda *_: Pipeline())
    call = python_call(request).rpartition("\n")[0]  # without the line that saves
    exec(call, {})
    assert settings_of(drawn[0]) == settings_of(request)
