"""``mien assets`` as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mien.assets.checks import lock_file
from mien.assets.registry import FILE as OURS
from tests.assets.conftest import Register, command, mien, one_sentence
from tests.assets.places import Place, Served, sha256, some_bytes

BODY = some_bytes(1_000_003)


@pytest.fixture
def two(place: Place, register: Register) -> Path:
    """A registry of ``free`` with a known hash, and of ``nc`` with none and another licence."""
    place.files["f.bin"], place.files["n.bin"] = Served(BODY), Served(BODY[:100])
    free = {"name": "f.bin", "urls": [f"{place.url}/f.bin"], "sha256": sha256(BODY), "bytes": len(BODY)}
    nc = {"files": [{"name": "n.bin", "urls": [f"{place.url}/n.bin"]}], "licence": "CC-BY-NC-4.0", "permissive": False}
    return register(free={"files": [free]}, nc={**nc, "commercial": "Not for sale."})


@pytest.mark.parametrize("words", ["", "list", "get", "verify", "where"])
def test_help_is_quick_and_light(words: str) -> None:
    script = (
        "import sys; from mien.cli.main import main\n"
        f"main(['assets', *{words.split()!r}, '--help'])\n"
        "heavy = {'torch', 'numpy', 'huggingface_hub', 'diffusers', 'PIL', 'mediapipe'}\n"
        "print('LOADED', *sorted(heavy & set(sys.modules)))"
    )
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert result.stdout.splitlines()[-1] == "LOADED"
    assert best < 0.5


def test_get_says_what_was_trusted_and_under_which_licence(two: Path, tmp_path: Path) -> None:
    result = mien(two, "assets", "get", "free", "nc")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "cache" / "assets"
    assert result.stdout.splitlines() == [f"free: {folder}/free/f.bin", f"nc: {folder}/nc/n.bin"]
    licence, trusted = result.stderr.splitlines()
    assert licence == "mien: note: nc is under: CC-BY-NC-4.0. Not for sale."
    assert str(lock_file("nc")) in trusted
    assert "no hash of n.bin" in trusted
    assert (folder / "free" / "f.bin").read_bytes() == BODY
    assert "(was here)" in mien(two, "assets", "get", "free").stdout


def test_a_refused_licence_fetches_nothing(two: Path, place: Place) -> None:
    sentence = one_sentence(mien(two, "assets", "get", "free", "nc", "--licence", "permissive"))
    assert "permissive instead: free" in sentence
    assert not place.requests
    assert "--licence" in one_sentence(mien(two, "assets", "get", "free", "--licence", "free"))


def test_a_mistyped_name_fetches_nothing(two: Path, place: Place) -> None:
    assert "did you mean free?" in one_sentence(mien(two, "assets", "get", "nc", "fre"))
    assert not place.requests


def test_list_and_where(two: Path, tmp_path: Path) -> None:
    mien(two, "assets", "get", "free", "--to", tmp_path / "usb")
    at_hand = {"MIEN_ASSETS": str(tmp_path / "usb")}
    table = mien(two, "assets", "list", **at_hand).stdout.splitlines()
    assert [line.split()[0] for line in table] == ["name", "free", "nc"]
    assert table[1].split()[-3:] == ["yes", "yes", "MIT"]
    assert mien(two, "assets", "list", "--licence", "permissive").stdout.count("\n") == 2
    found = json.loads(mien(two, "assets", "list", "--json", **at_hand).stdout)
    assert [entry["name"] for entry in found] == ["free", "nc"]
    assert found[0]["path"] == str(tmp_path / "usb" / "free" / "f.bin")
    assert found[0]["bytes"] == len(BODY)
    assert found[1]["path"] is None
    assert set(found[0]) == {
        "name", "title", "kind", "files", "hub", "licence", "permissive", "commercial", "citation", "used_by", "bytes",
        "path",
    }  # fmt: skip
    where = mien(two, "assets", "where", **at_hand).stdout
    assert where.splitlines()[0].split() == ["free", str(tmp_path / "usb" / "free" / "f.bin")]
    assert "not here" in mien(two, "assets", "where", "nc", **at_hand).stdout


def test_verify_tells_four_states(two: Path, tmp_path: Path) -> None:
    assert mien(two, "assets", "get", "free").returncode == 0
    whole = mien(two, "assets", "verify")
    assert whole.returncode == 0
    assert [line.split("  ")[0] for line in whole.stdout.splitlines()] == ["ok", "not there"]
    (tmp_path / "cache" / "assets" / "nc").mkdir()
    (tmp_path / "cache" / "assets" / "nc" / "n.bin").write_bytes(b"by hand")
    (tmp_path / "cache" / "assets" / "free" / "f.bin").write_bytes(b"\0" * len(BODY))
    result = mien(two, "assets", "verify")
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == ["changed", "no hash known"]
    assert sha256(BODY) in result.stdout
    assert one_sentence(result).endswith("mien assets get free")


def test_errors_are_one_sentence(two: Path, place: Place, tmp_path: Path) -> None:
    place.files["f.bin"].statuses = [404]
    assert "404" in one_sentence(mien(two, "assets", "get", "free"))
    place.files["f.bin"] = Served(BODY[::-1])
    assert "deleted" in one_sentence(mien(two, "assets", "get", "free"))
    (tmp_path / "file").touch()
    assert "--to" in one_sentence(mien(two, "assets", "get", "free", "--to", tmp_path / "file"))
    assert "MIEN_CACHE" in one_sentence(mien(two, "assets", "get", "free", MIEN_CACHE=str(tmp_path / "file")))


def test_the_hub_is_left_alone_when_it_is_off_and_replaced_when_named(place: Place, tmp_path: Path) -> None:
    assert "HF_HUB_OFFLINE" in one_sentence(mien(OURS, "assets", "get", "auraface", HF_HUB_OFFLINE="1"))
    path = "fal/AuraFace-v1/resolve/af6d057c9b0ec4071d4c49c80e3539258798b609/glintr100.onnx"
    place.files[path] = Served(BODY)
    sentence = one_sentence(mien(OURS, "assets", "get", "auraface", HF_ENDPOINT=place.url + "/", HF_HUB_OFFLINE="0"))
    assert [request[0] for request in place.requests] == [f"/{path}"]
    assert "260,694,151" in sentence  # the real one's length


def test_an_interrupted_download_goes_on(two: Path, place: Place, tmp_path: Path) -> None:
    served = place.files["f.bin"]
    served.pause = threading.Event()
    process = subprocess.Popen(
        command(two, "assets", "get", "free"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )  # fmt: skip
    part = tmp_path / "cache" / "assets" / "free" / "f.bin.part"
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < 5  # while the server still pauses
    served.pause.set()
    assert (process.returncode, out, err) == (130, b"", b"")
    have = part.stat().st_size
    assert 0 < have < len(BODY)
    served.pause = None
    result = mien(two, "assets", "get", "free")
    assert result.returncode == 0, result.stderr
    assert place.requests[-1] == ("/f.bin", f"bytes={have}-", '"one"')
    assert (part.parent / "f.bin").read_bytes() == BODY
    assert not part.exists()
