"""Folders that cannot be written and files that cannot be read: one sentence at once, and nothing is changed.

All commands run in one process that has no more rights than files give it, as an ordinary user's has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mien
from tests.conftest import ROOT
from tests.synthetic import write_corpus

EXAMPLES = Path(mien.__file__).parent / "assets" / "examples"
ADA, LAUGH = EXAMPLES / "person-Ada.png", EXAMPLES / "template-laugh.png"
RIGHTS = "-dac_override,-dac_read_search"
"""What lets the superuser read and write whatever files say."""
SCRIPT = """
import contextlib, io, json, sys
from mien.cli.main import main
told = []
for words in json.load(sys.stdin):
    error, out = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(out):
        code = main(words)
    told.append([code, error.getvalue()])
print(json.dumps(told))
"""


def unprivileged() -> list[str]:
    """What a command begins with, so that the rights of files hold for it."""
    if not hasattr(os, "geteuid"):
        pytest.skip("rights of files as on Unix")
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("as the superuser, whom no rights of files stop, without setpriv (util-linux)")
    return ["setpriv", "--bounding-set", RIGHTS]


def run(commands: list[list[str]], **environment: str) -> list[tuple[int, str]]:
    command = [*unprivileged(), sys.executable, "-c", SCRIPT]
    found = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, input=json.dumps(commands), capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return [(code, error) for code, error in json.loads(found.stdout.splitlines()[-1])]


def sentence(code: int, error: str) -> str:
    """The one line of a refusal."""
    lines = [line for line in error.splitlines() if line.startswith("mien: ") and not line.startswith("mien: note:")]
    assert code == 2 and len(lines) == 1 and "Traceback" not in error, error
    return lines[0]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_corpus(folder, people=4, per_person=3)
    return folder


def test_read_only_folders(tmp_path: Path, data: Path) -> None:
    closed, pictures = tmp_path / "closed", tmp_path / "pictures"
    closed.mkdir()
    pictures.mkdir()
    shutil.copy(ADA, pictures / "a.png")
    new, asked = str(closed / "new"), tmp_path / "asked.jsonl"
    asked.write_text('{"prompt": "a person"}\n')
    person = ["--identity", str(ADA)]
    commands = [
        ["generate", *person, "--steps", "1", "-o", new],
        ["generate", "--edit", str(ADA), "--expression", str(LAUGH), "--steps", "1", "-o", new],
        ["sweep", *person, "--yaw", "-20..20", "-o", new],
        ["animate", *person, "--driving", str(EXAMPLES), "-o", f"{closed}/me.gif"],
        ["demo", "-o", new],
        ["toy", "-o", new, "--quiet"],
        ["pairs", "build", "--data", str(data), "-o", new],
        ["evaluate", "diversity", "--model", "a=embedded-fast", "--identities", str(pictures), "-o", new],
        ["study", "add", new, "--question", "Which?", "--option", f"a={pictures}", "--option", f"b={pictures}"],
        ["generate", "--from", str(asked), "--steps", "1", "-o", new],
        ["data", "import", str(pictures), "--layout", "folder", "--reader", "studio", "-o", new],
        ["train", "studio-pretrained-landmarks", "--data", str(data), "--set", "pictures=4", "--runs", new],
    ]
    closed.chmod(0o500)
    try:
        for words, told in zip(commands, run(commands, MIEN_CACHE=str(tmp_path / "cache")), strict=True):
            assert "Cannot write" in sentence(*told) and str(closed) in told[1], words
    finally:
        closed.chmod(0o700)
    assert not list(closed.iterdir())


def test_files_that_cannot_be_read(tmp_path: Path, data: Path) -> None:
    photo, folder, adapter = tmp_path / "photo.png", tmp_path / "model", tmp_path / "x.safetensors"
    shutil.copy(ADA, photo)
    adapter.write_bytes(b"weights")
    folder.mkdir()
    shards = sorted(data.glob("*.tar"))
    out = ["--steps", "1", "-o", str(tmp_path / "out")]
    commands = [
        ["generate", "--identity", str(photo), *out],
        ["generate", "--like", str(photo), "-o", str(tmp_path / "out")],
        ["generate", "--base", str(folder), "--identity", str(ADA), *out],
        ["generate", "--adapter", str(adapter), "--identity", str(ADA), *out],
        ["read", str(photo)],
        ["show", str(photo)],
        ["score", "--reference", str(photo), "--generated", str(ADA)],
        ["pairs", "build", "--data", str(data), "-o", str(tmp_path / "pairs")],
    ]
    closed = [photo, folder, adapter, *shards]
    for path in closed:
        path.chmod(0)
    try:
        for words, told in zip(commands, run(commands, MIEN_CACHE=str(tmp_path / "cache")), strict=True):
            assert sentence(*told), words
    finally:
        for path in closed:
            path.chmod(0o700)
    assert not (tmp_path / "out").exists()


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o500)
    words = ["generate", "--identity", str(ADA), "--steps", "1", "-o", str(tmp_path / "out")]
    try:
        ((code, error),) = run([words], MIEN_CACHE=str(cache))
    finally:
        cache.chmod(0o700)
    assert code == 0 and (tmp_path / "out" / "portrait-0000.png").is_file(), error
