"""Two processes with one command in one folder: both do all of it, or one does and the other says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_killing import TRAINED, check_same

ALONE = ("animate", "pairs", "train")
"""Commands that one process at a time goes on with; the others write the same files twice."""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
SLOW = ("sweep", "animate", "render", "evaluate", "train", "import", "many")


@pytest.mark.parametrize("seed", [0, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4)]])
@pytest.mark.parametrize("task", ["generate", "pairs", *[pytest.param(task, marks=pytest.mark.slow) for task in SLOW]])
def test_two_at_once(tmp_path: Path, task: str, seed: int) -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.together", task, str(tmp_path), str(seed)]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    said = json.loads(found.stdout.splitlines()[-1])
    if task in ALONE:
        assert "" in said and all("Another process works on" in sentence for sentence in said if sentence)
    else:
        assert said == ["", ""]
    if task == "train":
        both, whole = tmp_path / "both", tmp_path / "whole"
        assert all((both / name).read_bytes() == (whole / name).read_bytes() for name in TRAINED)
    else:
        check_same(tmp_path / "whole", tmp_path / "both", f"beside another of seed {seed}")
