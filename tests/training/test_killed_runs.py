"""kill -9 at any point of a run, in a checkpoint's write and in the export too: the same command ends the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.conftest import ROOT

SAME = ("export/adapters/emotion.safetensors", "export/unet/diffusion_pytorch_model.safetensors", "start.safetensors")


@pytest.mark.parametrize("kills", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_a_killed_run_ends_as_an_unbroken_one(tmp_path: Path, kills: int) -> None:
    """``emotion.safetensors`` once differed, in bytes and not in weights: its header's metadata had an order of chance.

    Bit for bit: the same operations in the same order on the same processor, with one thread.
    """
    command = [sys.executable, "-m", "tests.training.killed_runs", str(tmp_path), str(kills), "0"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    told = json.loads(found.stdout.splitlines()[-1])
    assert len(told["killed"]) == kills and all(first for _, first, _ in told["killed"])
    assert any(second for *_, second in told["killed"])
    whole = tmp_path / "whole"
    state = load_file(whole / "checkpoint.safetensors")
    for number in range(kills):
        broken = tmp_path / f"broken-{number}"
        where = f"killed at {told['killed'][number]} of {told['points']}"
        for name in SAME:
            assert (whole / name).read_bytes() == (broken / name).read_bytes(), (where, name)
        other = load_file(broken / "checkpoint.safetensors")
        assert state.keys() == other.keys() and all((state[key] == other[key]).all() for key in state), where
        assert not [path for path in broken.rglob(".*") if path.name != ".lock"], where
