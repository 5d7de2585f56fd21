"""kill -9 at any point of a command, in the middle of a write too: the same command ends as an unbroken one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from tests.conftest import ROOT

TRAINED = (
    "export/adapters/emotion.safetensors",
    "export/unet/diffusion_pytorch_model.safetensors",
    "start.safetensors",
)
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


def run(task: str, folder: Path, kills: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.killing", task, str(folder), str(kills), "0"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    return json.loads(found.stdout.splitlines()[-1])


def killed(task: str, folder: Path, kills: int) -> dict[str, Any]:
    told = run(task, folder, kills)
    assert len(told["killed"]) == kills and all(first for _, first, _ in told["killed"])
    return told


@pytest.mark.parametrize("kills", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_training(tmp_path: Path, kills: int) -> None:
    """``emotion.safetensors`` once differed, in bytes and not in weights: its header's metadata had an order of chance.

    Bit for bit: the same operations in the same order on the same processor, with one thread.
    """
    told, whole = killed("train", tmp_path, kills), tmp_path / "whole"
    state = load_file(whole / "checkpoint.safetensors")
    for number in range(kills):
        broken, where = tmp_path / f"broken-{number}", f"killed at {told['killed'][number]} of {told['points']}"
        for name in TRAINED:
            assert (whole / name).read_bytes() == (broken / name).read_bytes(), (where, name)
        other = load_file(broken / "checkpoint.safetensors")
        assert state.keys() == other.keys() and all((state[key] == other[key]).all() for key in state), where
        assert not [path for path in broken.rglob(".*") if path.name != ".lock"], where


def content(path: Path) -> Any:
    """What a file says, without what differs between two runs of one command: times, and the order of metadata."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="np") as stored:
            return {key: stored.get_tensor(key).tobytes() for key in stored.keys()}  # noqa: SIM118 - not a dict
    return path.read_bytes()


COMMANDS = ["generate", "render", "pairs", "evaluate"]
SLOW = [pytest.param(task, marks=pytest.mark.slow) for task in ("sweep", "animate", "import", "many")]


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", [*COMMANDS, *SLOW])
def test_commands(tmp_path: Path, task: str, kills: int) -> None:
    told = killed(task, tmp_path, kills)
    for number in range(kills):
        check_same(tmp_path / "whole", tmp_path / f"broken-{number}", f"{told['killed'][number]} of {told['points']}")


def check_same(whole: Path, broken: Path, where: str) -> None:
    names = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert any(name.suffix in (".png", ".tar", ".gif") for name in names)
    for name in names:
        assert content(whole / name) == content(broken / name), (where, name)
    others = {path.relative_to(broken) for path in broken.rglob("*") if path.is_file()} - set(names)
    assert all(name.name.startswith(".") for name in others), (where, others)


@pytest.mark.parametrize("task", [*COMMANDS, "train", *SLOW])
def test_a_full_disk(tmp_path: Path, task: str) -> None:
    """One sentence, no half file under a name of its own, and the same command goes on."""
    rows = run(task, tmp_path, 0)["full"]
    whole = tmp_path / "whole"
    assert sum(bool(sentence) for _, sentence, _ in rows) >= 2
    for number, (room, sentence, names) in enumerate(rows):
        broken = tmp_path / f"broken-{number}"
        assert not sentence or sentence.endswith("."), (room, sentence)
        assert "Cannot write" in sentence or not sentence, (room, sentence)
        assert not [name for name in names if Path(name).name.startswith(".") and not name.endswith(".lock")], room
        if task == "train":
            assert all((whole / name).read_bytes() == (broken / name).read_bytes() for name in TRAINED), room
        else:
            check_same(whole, broken, f"full after {room}")
