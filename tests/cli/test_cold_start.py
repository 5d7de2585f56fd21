"""What `mien generate` imports for a plain request: nothing that only other requests use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mien import assets
from mien.core.optional import leave_out

EXAMPLES = Path(assets.__file__).parent / "examples"

NEVER = (
    "peft", "scipy", "pandas", "matplotlib", "cv2", "onnx", "sklearn", "moderngl", "av", "pyarrow", "gradio",
    "torchvision", "torchmetrics", "diffusers.pipelines.stable_diffusion",
    "mien.training", "mien.evaluation", "mien.studio", "mien.bench", "mien.demo", "mien.data", "mien.toy",
)  # fmt: skip
"""Packages, and modules with all that is below them; the ends of the names of what is imported are free."""

SCRIPT = """
import sys
from mien.cli.main import main
assert main() == 0
print("LOADED", *sorted(name for name, module in sys.modules.items() if module is not None))
"""


def loaded(*words: object) -> set[str]:
    """Modules that a process has at the end of ``mien WORDS``."""
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("LOADED")[1].split())


def unused(modules: set[str]) -> list[str]:
    """Those of `NEVER` that are among the modules."""
    return [name for name in NEVER if any(one == name or one.startswith(name + ".") for one in modules)]


def test_a_plain_request_imports_only_what_it_uses(tmp_path: Path) -> None:
    pictures = ("--identity", EXAMPLES / "person-Eli.png", "--expression", EXAMPLES / "template-laugh.png")
    modules = loaded("generate", *pictures, "--speed", "few", "--reader", "studio", "--device", "cpu", "-o", tmp_path)
    assert "torch" in modules and "mien.pipelines.portrait" in modules
    assert unused(modules) == []
    with Image.open(tmp_path / "portrait-0000.png") as picture:
        picture.load()


def test_a_program_that_calls_the_command_keeps_its_packages(tmp_path: Path) -> None:
    script = f"""
import sys
from mien.cli.main import main
assert main(["generate", "--emotion", "happy", "--speed", "few", "--reader", "studio", "-o", {str(tmp_path)!r}]) == 0
import peft
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_imported_stays_when_it_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mien_has_no_such_package", raising=False)
    leave_out("mien_has_no_such_package", "os")
    assert sys.modules["os"] is os and sys.modules.pop("mien_has_no_such_package") is None
