"""Every module can be imported, and the number of cores counted, where Python lacks what only Linux or Unix has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mien.core.processes import available_cores, in_processes

ROOT = Path(__file__).resolve().parents[1]

UNIX_MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios")
UNIX_NAMES = (
    "O_NOFOLLOW", "fork", "getloadavg", "geteuid", "getuid", "killpg", "mkfifo", "nice", "register_at_fork",
    "sched_getaffinity", "setsid", "sysconf", "sysconf_names", "uname",
)  # fmt: skip
UNIX_SIGNALS = ("SIGALRM", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2")

SCRIPT = f"""
import importlib, os, pkgutil, signal, sys
# other people's packages first: what they need of Unix is their business
for name in ("torch", "diffusers", "transformers", "peft", "scipy", "mediapipe", "moderngl", "av", "pyarrow", "onnx",
             "onnxruntime", "torchmetrics", "typer", "rich.progress", "http.server", "multiprocessing", "tempfile"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
for name in {UNIX_MODULES!r}:
    sys.modules[name] = None  # an import of it is an ImportError
for name in {UNIX_NAMES!r}:
    if hasattr(os, name):
        delattr(os, name)
for name in {UNIX_SIGNALS!r}:
    if hasattr(signal, name):
        delattr(signal, name)
import mien
count = 0
for module in pkgutil.walk_packages(mien.__path__, "mien."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        count += 1
from mien.bench.machine import describe
from mien.core.processes import available_cores
assert available_cores() == os.cpu_count()
assert describe("cpu", "float32")["memory_gb"] is None
print("IMPORTED", count)
"""


def test_every_module_can_be_imported_without_what_only_unix_has() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    files = [path for path in (ROOT / "src" / "mien").rglob("*.py") if path.name != "__main__.py"]
    assert int(done.stdout.split("IMPORTED")[1]) == len(files) - 1  # the package itself is not in its own list


def test_cores_are_counted_in_one_place() -> None:
    counted = re.compile(r"sched_getaffinity|cpu_count\(")
    files = [path for path in (ROOT / "src").rglob("*.py") if counted.search(path.read_text(encoding="utf-8"))]
    assert [path.name for path in files] == ["processes.py"]


def test_cores_are_those_we_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 9}, raising=False)
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize("cores", [1, 2])
def test_a_map_keeps_its_order_whatever_the_number_of_cores(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr("mien.core.processes.available_cores", lambda: cores)
    assert in_processes(pow, [2, 3, 4], [3, 2, 1]) == [8, 9, 4]


def test_text_files_name_their_encoding() -> None:
    """Windows would read and write another one."""
    bare = re.compile(r"\.(?:read_text|write_text|open)\((?:[^()\n]*\([^()\n]*\))*[^()\n]*\)")
    calls = [call for file in sorted((ROOT / "src").rglob("*.py")) for call in bare.findall(file.read_text("utf-8"))]
    text = [call for call in calls if not call.startswith(".open(") or re.match(r"""\.open\(["'][rwax]\+?["']""", call)]
    assert len(text) > 10
    assert not [call for call in text if "utf-8" not in call and "ascii" not in call]
