"""Every module can be imported, and every function asks first, where Python lacks what only Linux or Unix has."""

from __future__ import annotations

import ast
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
    "O_NOFOLLOW", "chown", "fork", "getloadavg", "geteuid", "getpgid", "getuid", "killpg", "mkfifo", "nice", "pread",
    "pwrite", "register_at_fork", "sched_getaffinity", "setpgid", "setsid", "statvfs", "sysconf", "sysconf_names",
    "uname",
)  # fmt: skip
UNIX_MAPS = ("MAP_PRIVATE", "MAP_SHARED", "PROT_READ", "PROT_WRITE")
UNIX_FOLDERS = ("/proc", "/dev", "/tmp", "/etc", "/sys", "/usr", "/bin", "/var")
ASKED = re.compile(r"(has|get)attr\(|except (ImportError|AttributeError)|sys\.platform|\.(exists|is_file|is_dir)\(")
"""How a function asks whether something is there before it uses it."""
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


def unix_only(tree: ast.AST) -> list[tuple[ast.AST, str]]:
    """What a file uses that other systems may lack: the node and its name."""
    found: list[tuple[ast.AST, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node, name.name) for name in node.names if name.name in UNIX_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in (*UNIX_MODULES, "os", "signal"):
            names = (*UNIX_NAMES, *UNIX_SIGNALS)
            found += [(node, name.name) for name in node.names if node.module in UNIX_MODULES or name.name in names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = {"os": UNIX_NAMES, "signal": UNIX_SIGNALS, "mmap": UNIX_MAPS}.get(node.value.id, ())
            found += [(node, node.attr)] if node.attr in names else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_path = any(node.value == folder or node.value.startswith(f"{folder}/") for folder in UNIX_FOLDERS)
            found += [(node, node.value)] if is_path or node.value in ("fork", "forkserver") else []
        elif isinstance(node, ast.keyword) and node.arg in ("preexec_fn", "start_new_session", "process_group"):
            found.append((node.value, node.arg))
    return found


def unasked(text: str) -> list[str]:
    """``LINE NAME`` of what a file uses without asking.

    Asked is in the same function; outside of functions in the same statement, but for a path in the whole file.
    """
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    places: list[ast.stmt] = [*tree.body, *functions]
    found = []
    for node, name in unix_only(tree):
        line = node.lineno  # type: ignore[attr-defined]
        inside = [one for one in places if one.lineno <= line <= (one.end_lineno or 0)]
        around = ast.get_source_segment(text, max(inside, key=lambda one: one.lineno)) or ""
        is_constant = name.startswith("/") and not any(one in functions for one in inside)
        if not ASKED.search(text if is_constant else around):
            found.append(f"{line} {name}")
    return found


@pytest.mark.parametrize("folder", ["src", "benchmarks", "comfyui"])
def test_what_only_unix_has_is_asked_for_first(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [f"{file.relative_to(ROOT)}:{one}" for file in files for one in unasked(file.read_text("utf-8"))] == []


def test_such_uses_are_found() -> None:
    body = """
import os, signal
from os import fork
def a():
    return os.sched_getaffinity(0), open("/proc/self/status"), signal.SIGKILL
def b():
    import fcntl
    context = multiprocessing.get_context("fork")
    subprocess.run([], start_new_session=True)
def c():
    return os.setsid() if hasattr(os, "setsid") else None
def d():
    try:
        import fcntl
    except ImportError:
        return
"""
    assert sorted(unasked(body)) == [
        "3 fork", "5 /proc/self/status", "5 SIGKILL", "5 sched_getaffinity", "7 fcntl", "8 fork",
        "9 start_new_session",
    ]  # fmt: skip


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
    assert list(in_processes(pow, [2, 3, 4], [3, 2, 1])) == [8, 9, 4]


def test_text_files_name_their_encoding() -> None:
    """Windows would read and write another one."""
    bare = re.compile(r"\.(?:read_text|write_text|open)\((?:[^()\n]*\([^()\n]*\))*[^()\n]*\)")
    calls = [call for file in sorted((ROOT / "src").rglob("*.py")) for call in bare.findall(file.read_text("utf-8"))]
    text = [call for call in calls if not call.startswith(".open(") or re.match(r"""\.open\(["'][rwax]\+?["']""", call)]
    assert len(text) > 10
    assert not [call for call in text if "utf-8" not in call and "ascii" not in call]
