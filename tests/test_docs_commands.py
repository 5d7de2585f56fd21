"""Every command in a ``sh`` block of a page is one that there is, with options and values that there are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from mien.assets.registry import assets
from mien.training.presets import PRESETS
from tests.conftest import ROOT
from tests.rehearsal.recipe import commands
from tests.typed import parse

PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "comfyui/README.md",
]
SHELL = {"[", "cd", "curl", "export", "find", "git", "ln", "make", "pip", "ray", "{", ".", "python"}
"""What else stands at the beginning of a line."""


def problem_of(line: str) -> str | None:
    """What is wrong with a line, in words; None where it can be typed."""
    line = line.replace("<this repository>", "https://example.org/mien.git")
    if (shell := shutil.which("bash")) and subprocess.run([shell, "-n", "-c", line], check=False).returncode:
        return "no line of a shell"
    for command in re.split(r"&&", line):
        words = shlex.split(command)
        if words[0] == "torchrun" or words[0].endswith("/mien"):
            words = words[words.index("mien") if "mien" in words else 0 :]
            words[0] = "mien"
        if words[0] != "mien":
            if words[0] not in SHELL:
                return f"{words[0]} is not known here"
            continue
        try:
            context = parse(words[1:])
        except KeyError as error:
            return f"no command {error}"
        except Exception as error:  # releases of typer bring a click of their own
            return getattr(error, "format_message", error.__str__)()
        given = context.params
        if words[1] == "train" and given["preset"] not in (*PRESETS, "all"):
            return f"no preset {given['preset']}"
        if words[1:3] == ["assets", "get"] and (unknown := set(given["names"]) - set(assets())):
            return f"no asset {unknown}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_can_be_typed(page: Path) -> None:
    lines = [line for line in commands(page) if not line.startswith("python -")]
    assert [(line, problem) for line in lines if (problem := problem_of(line))] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mien generate --identityy me.jpg", "No such option"),
        ("mien data nothing", "no command"),
        ("mien train facecrafter-nothing", "no preset"),
        ("mien assets get nothing", "no asset"),
        ("mien app --port many", "valid integer"),
        ("mien generate --yaw 'twenty", "no line of a shell"),
        ("nien generate", "not known here"),
    ],
)
def test_what_cannot_be_typed_is_noticed(line: str, words: str) -> None:
    assert words in (problem_of(line) or "")
