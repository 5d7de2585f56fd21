"""What two portraits of one request take, counted: calls of the networks, files and modules.

Seconds wobble and counts do not, so a change that makes a request do more is seen here first.
``MIEN_UPDATE_COUNTS=1 pytest -k counts`` writes the numbers anew; say in the commit why they moved.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mien import assets
from mien.core.io import read_json, write_json

FILE = Path(__file__).with_name("counts.json")
EXAMPLES = Path(assets.__file__).parent / "examples"
SPEEDS: dict[str, tuple[str, ...]] = {"exact": ("--steps", "10"), "fast": ("--steps", "10"), "few": ()}
SPARE = 1.05
"""Other releases of the libraries, and of ours, import some modules more; a package that nobody uses is more."""


def counted(speed: str, output: Path) -> dict[str, Any]:
    """The counts of a request, from a process of its own."""
    pictures = ("--identity", EXAMPLES / "person-Eli.png", "--expression", EXAMPLES / "template-laugh.png")
    words = ("generate", *pictures, "--speed", speed, *SPEEDS[speed], "--reader", "studio", "--device", "cpu", "-n", 2)
    command = [sys.executable, Path(__file__).with_name("count_request.py"), *words, "-o", output]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.split("COUNTS")[1])


@pytest.mark.parametrize("speed", SPEEDS)
def test_counts_are_the_recorded_ones(speed: str, tmp_path: Path) -> None:
    found = counted(speed, tmp_path)
    recorded = read_json(FILE) if FILE.exists() else {}
    if os.environ.get("MIEN_UPDATE_COUNTS"):
        write_json(FILE, {**recorded, speed: found})
        return
    wanted = recorded[speed]
    for name in ("calls", "opened"):
        assert found[name] == wanted[name], name
    for name, number in found["modules"].items():
        assert number <= SPARE * wanted["modules"][name], f"more modules: {name}"


def test_the_faster_the_less() -> None:
    recorded = {speed: counts["calls"] for speed, counts in read_json(FILE).items()}
    rows = [recorded[speed]["unet_rows"] for speed in ("exact", "fast", "few")]
    assert rows == sorted(rows, reverse=True) and len(set(rows)) == 3
    for calls in recorded.values():  # two portraits: read, embedded and told in words as for one
        assert calls["reader_detector"] == calls["face_fits"] == 2 and calls["text_encoder"] <= 2
