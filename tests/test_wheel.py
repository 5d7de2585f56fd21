"""The wheel holds everything that the package needs, and works where there is no repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "mien"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network by the backend that pyproject.toml names."""
    pytest.importorskip("hatchling", reason="builds the wheel; it comes with mien[test]")
    folder = tmp_path_factory.mktemp("wheel")
    script = f"import hatchling.build; print(hatchling.build.build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {PurePosixPath("mien", path.relative_to(PACKAGE).as_posix()).as_posix() for path in files} == {
        name for name in names if name.startswith("mien/")
    }
    for ending in ("glsl", "json", "html", "css", "png", "safetensors", "typed"):
        assert any(name.endswith(f".{ending}") for name in names), ending


def test_licences_and_the_command_are_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if not name.startswith("mien/")}
    assert info.endswith(".dist-info")
    licences = {name.removeprefix(f"{info}/licenses/") for name in archive.namelist() if "/licenses/" in name}
    assert licences == {"LICENSE", "src/mien/faces/linear/data/LICENSE-ICT-FaceKit"}
    assert "mien = mien.cli.main:main" in archive.read(f"{info}/entry_points.txt").decode()
    metadata = archive.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata and "Requires-Python: >=3.11" in metadata


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel_in_another_folder(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=120)
    binaries = environment / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / ("python.exe" if os.name == "nt" else "python")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MIEN_", "VIRTUAL"))}
    clean["HF_HUB_OFFLINE"] = "1"
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], env=clean, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    site = Path(found.stdout.strip())
    # torch and its like are those of this environment; its own link to the repository is not followed from here
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(command, check=True, env=clean, timeout=300)

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(python), *words], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=580, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert Path(run("-c", "import mien; print(mien.__file__)").strip()).is_relative_to(site)
    run("-m", "mien", "demo", "-o", "demo")
    assert {"index.html", "sheet.png", "metrics.json"} <= {path.name for path in (tmp_path / "demo").iterdir()}
    done = subprocess.run([binaries / "mien", "--version"], env=clean, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
