"""`make test-kernels`: which tests it runs, and under what."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests import kernels
from tests.conftest import ROOT


def test_what_computes_is_run_and_what_starts_commands_is_not() -> None:
    names = {file.relative_to(ROOT).as_posix() for file in kernels.computing_tests()}
    assert {"tests/test_golden.py", "tests/adapters/test_injection.py", "tests/training/test_golden_losses.py"} <= names
    assert not [name for name in names if name.startswith(("tests/cli", "tests/app", "tests/assets"))]
    own = [file for file in kernels.computing_tests(("diffusion",)) if file.parent.name == "diffusion"]
    assert own and len(own) < len(names)


def test_only_kernels_that_this_processor_has_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for best, names in (
        ("AVX2", ["default", "avx2"]),
        ("AVX512", ["default", "avx2", "avx512"]),
        ("SVE256", ["default"]),
    ):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda best=best: best)
        assert list(kernels.variants()) == [f"{name}-{threads}" for name in names for threads in (1, 2)]


def test_a_file_is_judged_by_what_it_imports(tmp_path: Path) -> None:
    for text, expected in (
        ("import torch.nn", True),
        ("from tests.tiny import x", True),
        ("import torchvision", False),
    ):
        (tmp_path / "a.py").write_text(text)
        assert kernels.computes(tmp_path / "a.py") is expected
