"""One file from a place that cuts, lies, forgets, changes or refuses."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from mien.assets import find_asset, transfer
from mien.assets.checks import lock_file
from mien.assets.get import get
from mien.assets.problems import DownloadFailed
from mien.errors import MienError
from tests.assets.conftest import BODY, Register, failure, find_part, left_of, one_file
from tests.assets.places import Place, Served, sha256, some_bytes


def test_a_file_arrives_whole_and_only_once(place: Place, register: Register, tmp_path: Path) -> None:
    register(a=one_file(place, Served(BODY), sha256=sha256(BODY), bytes=len(BODY)))
    got = get("a")
    assert got.fetched
    assert got.path == find_asset("a") == tmp_path / "cache" / "assets" / "a" / "a.bin"
    assert got.path.read_bytes() == BODY
    assert left_of(got.path) == ["a.bin"]
    assert not lock_file("a").exists()
    assert not get("a").fetched
    assert place.requests == [("/a.bin", None, None)]


def test_a_wrong_hash_deletes_the_file_and_nothing_else(place: Place, register: Register, tmp_path: Path) -> None:
    old = tmp_path / "cache" / "assets" / "a" / "a.bin"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"an older one")
    register(a=one_file(place, Served(BODY), sha256="0" * 64))
    with pytest.raises(DownloadFailed) as caught:
        get("a")
    assert sha256(BODY) in str(caught.value)
    assert "deleted" in str(caught.value)
    assert left_of(old) == ["a.bin"]
    assert old.read_bytes() == b"an older one"


def test_the_hash_in_a_name_is_checked(place: Place, register: Register) -> None:
    for prefix, right in ((sha256(BODY)[:8], True), ("01234567", False)):
        name = f"net-{prefix}.pth"
        place.files[name] = Served(BODY)
        register(a={"files": [{"name": name, "urls": [f"{place.url}/{name}"], "sha256_prefix": prefix}]})
        if right:
            assert get("a").trusted == ()
        else:
            assert "does not begin with 01234567" in failure()


def test_a_known_length_is_compared_before_anything_is_fetched(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY), bytes=5))
    assert "has another file, of 1,000,003 bytes instead of 5" in failure()
    assert not list(find_part())


def test_a_server_that_claims_too_many_bytes(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, length=len(BODY) + 10)))
    assert "cut the connection" in failure()


def test_a_server_that_claims_too_few_bytes(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, length=len(BODY) - 10), sha256=sha256(BODY)))
    assert "sent another file" in failure()


def test_a_server_that_tells_no_length(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, length=0)))
    assert "does not say how long" in failure()  # a cut could not be told from the end
    register(a=one_file(place, Served(BODY, length=0), sha256=sha256(BODY)))
    assert get("a").path.read_bytes() == BODY


def test_mirrors_are_asked_in_order(place: Place, other_place: Place, register: Register) -> None:
    for spoilt in (Served(BODY, statuses=[404]), Served(some_bytes(10)), Served(BODY, statuses=[503] * 3)):
        other_place.files["b.bin"] = Served(BODY)
        register(a=one_file(place, spoilt, f"{other_place.url}/b.bin", sha256=sha256(BODY)))
        assert get("a").path.read_bytes() == BODY
        shutil.rmtree(get("a").path.parent)
    assert len(other_place.requests) == 3


def test_every_place_is_named_with_its_reason(place: Place, register: Register) -> None:
    nobody = "http://127.0.0.1:9/a.bin"
    register(a=one_file(place, Served(BODY, statuses=[404] * 9), nobody))
    sentence = failure()
    assert "answers 404" in sentence
    assert "cannot be reached" in sentence
    assert "check the network" in sentence
    assert len(place.requests) == 1  # what is not there will not be there in a second


def test_an_error_of_the_server_passes(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, statuses=[500, 429])))
    assert get("a").path.read_bytes() == BODY


def test_a_web_page_is_not_a_file(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(b"<html>log in</html>", kind="text/html; charset=utf-8")))
    assert "web page" in failure()


def test_a_full_disk_is_seen_before_the_download(
    place: Place, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(80_000_000))
    register(a=one_file(place, Served(BODY), bytes=10**9))
    with pytest.raises(MienError, match=r"0\.1 GB free, and 1\.1 GB are needed"):
        get("a")
    assert not place.requests
    register(a=one_file(place, Served(BODY, length=10**9)))  # only the server knows the length
    with pytest.raises(MienError, match="free some space"):
        get("a")
    register(a=one_file(place, Served(BODY), bytes=len(BODY)))
    assert get("a").fetched


def test_a_disk_that_fills_up_keeps_what_has_come(
    place: Place, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(a=one_file(place, Served(BODY)))
    real, came = transfer._blocks, []

    def blocks(response: Any) -> Any:
        for block in real(response):
            came.append(block)
            if len(came) > 4:
                raise OSError(errno.ENOSPC, "No space left on device")
            yield block

    monkeypatch.setattr(transfer, "_blocks", blocks)
    with pytest.raises(MienError, match=r"disk of .* is full"):
        get("a")
    assert find_asset("a") is None
    monkeypatch.setattr(transfer, "_blocks", real)
    assert get("a").path.read_bytes() == BODY
    assert place.requests[-1][1] == f"bytes={4 * transfer.BLOCK}-"


def test_a_folder_that_cannot_be_written(place: Place, register: Register, tmp_path: Path) -> None:
    register(a=one_file(place, Served(BODY)))
    (tmp_path / "file").touch()
    with pytest.raises(MienError, match="choose another folder with --to"):
        get("a", to=tmp_path / "file")
    assert not place.requests
