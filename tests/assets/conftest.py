from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.assets import fetch, find_asset, registry
from mien.assets.checks import lock_file
from mien.assets.get import get
from mien.assets.problems import DownloadFailed
from tests.assets.places import Place, Served, open_place, some_bytes

ENTRY = {
    "title": "A thing",
    "kind": "emotion",
    "licence": "MIT",
    "permissive": True,
    "citation": {"text": "Nobody, Nothing, 2020", "url": "https://example.org"},
    "used_by": "tests",
}

Register = Callable[..., Path]

BODY = some_bytes(1_000_003)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, no variables of the user, no waiting between tries."""
    for name in ("MIEN_ASSETS", "HF_HUB_OFFLINE", "HF_ENDPOINT", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "PAUSES", (0.0, 0.0))


@pytest.fixture
def place() -> Iterator[Place]:
    with open_place() as running:
        yield running


@pytest.fixture
def other_place() -> Iterator[Place]:
    with open_place() as running:
        yield running


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Register]:
    """Put assets into a registry that takes the place of ours: ``register(name={"files": [...], ...})``."""

    def write(**entries: dict[str, Any]) -> Path:
        whole = {name.replace("_", "-"): {**ENTRY, **entry} for name, entry in entries.items()}
        file = tmp_path / "registry.json"
        file.write_text(json.dumps(whole))
        monkeypatch.setattr(registry, "FILE", file)
        registry.assets.cache_clear()
        return file

    yield write
    registry.assets.cache_clear()


def command(registry_file: Path, *words: str | Path) -> list[str]:
    """The command line of ``mien`` with another registry, in a process of its own."""
    script = "import sys, mien.assets.registry as r; from pathlib import Path; r.FILE = Path(sys.argv.pop(1))\n"
    script += "from mien.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", script, str(registry_file), *map(str, words)]


def mien(registry_file: Path, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it and wait."""
    everything = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100", **environment}
    return subprocess.run(
        command(registry_file, *words), capture_output=True, text=True, env=everything, timeout=120, check=False
    )


def one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    """The error: exit code 2 and one line, besides notes, on the error stream."""
    assert result.returncode == 2, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("mien: note: ")]
    assert line.startswith("mien: ")
    return line


def one_file(place: Place, served: Served, *more: str, **known: Any) -> dict[str, Any]:
    """An entry with one file, served at a path of that name, and perhaps at other places."""
    place.files["a.bin"] = served
    return {"files": [{"name": "a.bin", "urls": [f"{place.url}/a.bin", *more], **known}]}


def left_of(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def failure(name: str = "a") -> str:
    """The sentence with which fetching fails."""
    with pytest.raises(DownloadFailed) as caught:
        get(name)
    assert "\n" not in str(caught.value)
    assert find_asset(name) is None
    return str(caught.value)


def find_part() -> Iterator[Path]:
    """What has come of asset ``a``."""
    return lock_file("a").parent.rglob("*.part")
