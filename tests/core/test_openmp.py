"""OpenMP's waiting policy: passive before torch loads, unless the user has set one."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from mien.core.openmp import SETTINGS, SPINS
from tests.conftest import ROOT

LOAD_TORCH = ("torch", "torchvision", "diffusers", "transformers", "peft", "accelerate")
CODE = "{first}import mien, os; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"

ENTRANCES = {
    "command line": "import sys; sys.argv = ['mien', 'assets', 'list']; from mien.cli.main import main; main()",
    "module": "import sys, runpy; sys.argv = ['mien', '--version']; runpy.run_module('mien', run_name='__main__')",
    "app": "import mien.app.server",
    "library": "from mien.generation.api import generate",
}
"""What a user's process begins with."""
SAY = "import atexit, os; atexit.register(lambda: print('policy', os.environ.get('OMP_WAIT_POLICY')))\n"


def policy(first: str = "", **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    run = subprocess.run(
        [sys.executable, "-c", CODE.format(first=first)], env=kept | environment, capture_output=True, check=True,
        text=True,
    )  # fmt: skip
    return run.stdout.strip()


def test_threads_wait_passively_unless_the_user_says_otherwise() -> None:
    assert policy() == f"PASSIVE {SPINS}"
    assert policy(OMP_WAIT_POLICY="ACTIVE") == "ACTIVE None"
    assert policy(KMP_BLOCKTIME="1") == "None None"
    assert policy("import sys; sys.modules['torch'] = sys; ") == "None None", "too late to act, so nothing is set"


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_every_entrance_says_so_before_torch_is_there(entrance: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    run = subprocess.run(
        [sys.executable, "-c", SAY + ENTRANCES[entrance]], env=kept, capture_output=True, check=True, text=True
    )
    assert run.stdout.splitlines()[-1] == "policy PASSIVE"


def test_started_processes_inherit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that read or render are spawned, and find it in their environment before anything is imported."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    code = (
        "import mien, multiprocessing, os\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.apply(os.getenv, ['OMP_WAIT_POLICY']))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert run.stdout.strip() == "PASSIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP library is in torch's wheels for Linux")
def test_torchs_library_reads_it() -> None:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    run = subprocess.run(
        [sys.executable, "-c", "import mien, torch"], env=kept | {"OMP_DISPLAY_ENV": "TRUE"}, capture_output=True,
        check=True, text=True,
    )  # fmt: skip
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in run.stderr
    kept |= {"OMP_DISPLAY_ENV": "VERBOSE"}
    run = subprocess.run(
        [sys.executable, "-c", "import mien, torch"], env=kept, capture_output=True, check=True, text=True
    )
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in run.stderr


def test_every_benchmark_imports_the_package_before_torch() -> None:
    """In the usual order of imports it would come too late."""
    late = []
    for script in sorted((ROOT / "benchmarks").glob("*.py")):
        body = ast.parse(script.read_text(encoding="utf-8")).body
        modules = [name for node in body for name in imported(node)]
        first = {name: modules.index(name) for name in ("mien", *LOAD_TORCH) if name in modules}
        if first.keys() - {"mien"} and first.get("mien", len(modules)) > min(first.values()):
            late.append(script.name)
    assert not late, "put an import of mien at their top, with  # isort: skip"


def imported(node: ast.stmt) -> list[str]:
    """Top-level packages that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [node.module.split(".")[0]] if isinstance(node, ast.ImportFrom) and node.module else []
