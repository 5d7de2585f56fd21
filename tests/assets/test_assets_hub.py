"""Folders from the hub, with the hub's own library against a hub of ours."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mien.assets.get import get
from tests.assets.conftest import Register, mien, one_sentence
from tests.assets.places import QuietServer, sha256, some_bytes

COMMIT = "0123456789" * 4
WEIGHTS = some_bytes(700_000)
TREE = {"config.json": b"{}", "unet/model.safetensors": WEIGHTS, "unet/model.bin": b"a pickle"}


@dataclass
class FakeHub:
    """What it has, what it says of it, and which files were asked for.

    ``cut`` bytes are sent of the next answer; the files in ``lost`` are listed, but not given.
    """

    url: str = ""
    tree: dict[str, bytes] = field(default_factory=lambda: dict(TREE))
    announced: dict[str, str] = field(default_factory=dict)
    status: int = 200
    cut: int | None = None
    lost: set[str] = field(default_factory=set)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, body in self.tree.items():
            lfs = {"sha256": self.announced.get(name, sha256(body)), "size": len(body), "pointerSize": 130}
            large = name.endswith(".safetensors")
            siblings.append({"rfilename": name, "size": len(body), "blobId": tag(body), "lfs": lfs if large else None})
        return {"id": "me/model", "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}


def tag(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.reply(False)

        def do_GET(self) -> None:
            self.reply(True)

        def reply(self, with_body: bool) -> None:
            path = self.path.split("?")[0]
            if fake.status != 200:
                self.send_error(fake.status)
            elif path.startswith("/api/models/me/model"):
                self.send(json.dumps(fake.listing()).encode(), "application/json", None)
            elif (name := path.removeprefix(f"/me/model/resolve/{COMMIT}/")) not in fake.tree or name in fake.lost:
                self.send_error(404)
            else:
                if with_body:
                    fake.asked.append((name, self.headers["Range"]))
                self.send(fake.tree[name], "application/octet-stream", tag(fake.tree[name]), with_body)

        def send(self, body: bytes, kind: str, etag: str | None, with_body: bool = True) -> None:
            begin = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
            self.send_response(206 if begin else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) - begin))
            self.send_header("X-Repo-Commit", COMMIT)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
            if etag:
                self.send_header("ETag", f'"{etag}"')
            self.end_headers()
            if with_body:
                cut, fake.cut = (fake.cut, None) if etag else (None, fake.cut)
                self.wfile.write(body[begin:][:cut])
                self.close_connection = cut is not None

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with QuietServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield fake
        server.shutdown()


@pytest.fixture
def file(register: Register) -> Path:
    """A registry with a folder of two files of the hub's."""
    files = [{"name": "config.json"}, {"name": "unet/model.safetensors"}]
    return register(a={"files": files, "hub": {"repo": "me/model", "revision": COMMIT}})


@pytest.fixture
def variables(hub: FakeHub, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}


def test_a_folder_holds_the_named_files_and_no_pickle(
    hub: FakeHub, file: Path, variables: dict[str, str], tmp_path: Path
) -> None:
    result = mien(file, "assets", "get", "a", **variables)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "cache" / "assets" / "a"
    assert result.stdout == f"a: {folder}\n"
    (note,) = result.stderr.splitlines()  # no bars, no warnings where nobody watches
    assert "no hash of 2 files of a" in note
    assert (folder / "unet" / "model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "config.json").read_bytes() == b"{}"
    assert sorted(name for name, _ in hub.asked) == ["config.json", "unet/model.safetensors"]
    assert sorted(entry.name for entry in folder.iterdir()) == ["config.json", "unet"]
    assert not list(tmp_path.rglob("*.bin"))
    (folder / "config.json").write_bytes(b"{ }")
    changed = mien(file, "assets", "verify", "a", **variables)
    assert "changed" in changed.stdout
    assert "ok  " in changed.stdout
    assert "mien assets get a" in one_sentence(changed)
    assert mien(file, "assets", "get", "a", **variables).returncode == 0
    assert (folder / "config.json").read_bytes() == b"{}"
    assert [name for name, _ in hub.asked[2:]] == ["config.json"]
    again = mien(file, "assets", "get", "a", **variables)
    assert "was here" in again.stdout
    assert again.stderr == ""


def test_a_cut_transfer_is_taken_up_again(hub: FakeHub, file: Path, variables: dict[str, str], tmp_path: Path) -> None:
    hub.cut = 1  # of config.json, the first file; the hub's library itself tries again
    result = mien(file, "assets", "get", "a", **variables)
    assert result.returncode == 0, result.stderr
    assert [name for name, _ in hub.asked[:2]] == ["config.json", "config.json"]
    assert (tmp_path / "cache" / "assets" / "a" / "config.json").read_bytes() == b"{}"


def test_what_the_hub_announces_is_checked(hub: FakeHub, file: Path, variables: dict[str, str], tmp_path: Path) -> None:
    hub.announced["unet/model.safetensors"] = "0" * 64
    result = mien(file, "assets", "get", "a", **variables)
    assert "sent another unet/model.safetensors" in one_sentence(result)
    assert not (tmp_path / "cache" / "assets" / "a" / "unet" / "model.safetensors").exists()


def test_what_came_before_an_interruption_is_held_against_later(
    hub: FakeHub, file: Path, variables: dict[str, str], tmp_path: Path
) -> None:
    hub.lost = {"unet/model.safetensors"}
    assert "Cannot get a" in one_sentence(mien(file, "assets", "get", "a", **variables))
    hub.lost = set()
    assert mien(file, "assets", "get", "a", **variables).returncode == 0
    folder = tmp_path / "cache" / "assets" / "a"
    assert set(json.loads((folder.parent / "a.lock.json").read_text())) == {"config.json", "unet/model.safetensors"}
    (folder / "config.json").write_bytes(b"{ }")
    assert "changed" in mien(file, "assets", "verify", "a", **variables).stdout
    assert [name for name, _ in hub.asked] == ["config.json", "unet/model.safetensors"]


def test_a_file_is_checked_before_the_next_is_fetched(
    hub: FakeHub, register: Register, variables: dict[str, str]
) -> None:
    files = [{"name": "unet/model.safetensors"}, {"name": "config.json"}]
    file = register(a={"files": files, "hub": {"repo": "me/model", "revision": COMMIT}})
    hub.lost, hub.announced = {"config.json"}, {"unet/model.safetensors": "0" * 64}
    assert "sent another unet/model" in one_sentence(mien(file, "assets", "get", "a", **variables))


def test_an_unchecked_file_has_no_name_yet(
    hub: FakeHub,
    file: Path,
    variables: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # read once, when the package is imported
    monkeypatch.setattr("mien.assets.hub._check", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get("a")
    assert not (tmp_path / "cache" / "assets" / "a" / "config.json").exists()
    assert mien(file, "assets", "get", "a", **variables).returncode == 0
    assert [name for name, _ in hub.asked] == ["config.json", "unet/model.safetensors"]  # and is not fetched twice


def test_a_second_process_is_told_to_wait(hub: FakeHub, file: Path, variables: dict[str, str], tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    part = tmp_path / "cache" / "assets" / "a" / ".incoming" / "a.part"
    part.parent.mkdir(parents=True)
    with part.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert "Another process is fetching a;" in one_sentence(mien(file, "assets", "get", "a", **variables))
    assert hub.asked == []


def test_a_file_that_the_repository_lacks(hub: FakeHub, file: Path, variables: dict[str, str]) -> None:
    del hub.tree["config.json"]
    assert "has no config.json" in one_sentence(mien(file, "assets", "get", "a", **variables))
    assert hub.asked == []


@pytest.mark.parametrize(("status", "told"), [(401, "hf auth login"), (404, "answers 404"), (410, "answers 410")])
def test_errors_of_the_hub_are_one_sentence(
    hub: FakeHub, file: Path, variables: dict[str, str], status: int, told: str
) -> None:
    hub.status = status
    assert told in one_sentence(mien(file, "assets", "get", "a", **variables))


def test_no_network_and_no_permission_to_use_it(file: Path, variables: dict[str, str]) -> None:
    nobody = {**variables, "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert "check the network" in one_sentence(mien(file, "assets", "get", "a", **nobody))
    assert "HF_HUB_OFFLINE" in one_sentence(mien(file, "assets", "get", "a", **{**variables, "HF_HUB_OFFLINE": "1"}))
