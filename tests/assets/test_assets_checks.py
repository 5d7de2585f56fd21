"""Hashes: the registry's, and those of first downloads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mien.assets.checks import lock_file, verify
from mien.assets.get import check_licences, get
from mien.assets.problems import ChangedFile, DownloadFailed, LicenceRefused
from mien.assets.registry import asset
from mien.errors import BadInput, MienError
from tests.assets.conftest import Register
from tests.assets.places import Place, Served, sha256, some_bytes

BODY = some_bytes(5000)


def states(name: str) -> list[str]:
    return [verdict.state for verdict in verify(asset(name))]


@pytest.fixture
def unknown(place: Place, register: Register) -> Served:
    """Asset ``a`` with one file of which no hash is published."""
    served = place.files["a.bin"] = Served(BODY)
    register(a={"files": [{"name": "a.bin", "urls": [f"{place.url}/a.bin"]}]})
    return served


def test_the_first_download_is_trusted_and_later_ones_are_held_against_it(unknown: Served) -> None:
    got = get("a")
    assert got.trusted == ("a.bin",)
    assert json.loads(lock_file("a").read_text()) == {"a.bin": sha256(BODY)}
    assert states("a") == ["ok"]
    got.path.unlink()
    assert states("a") == ["not there"]
    unknown.body, unknown.etag = BODY[::-1], '"two"'
    with pytest.raises(DownloadFailed, match="not that of the first download") as caught:
        get("a")
    assert str(lock_file("a")) in str(caught.value)
    assert states("a") == ["not there"]
    lock_file("a").unlink()  # the way out that the message points to
    assert get("a").path.read_bytes() == BODY[::-1]


def test_a_changed_file_is_seen_and_fetched_again(unknown: Served) -> None:
    path = get("a").path
    path.write_bytes(BODY[:-1] + b"\0")
    (verdict,) = verify(asset("a"))
    assert verdict.state == "changed"
    assert verdict.path == path
    assert sha256(BODY) in verdict.why
    got = get("a")
    assert got.fetched
    assert got.trusted == ()
    assert states("a") == ["ok"]


def test_a_shortened_file_is_seen_by_its_length(place: Place, register: Register) -> None:
    place.files["a.bin"] = Served(BODY)
    file = {"name": "a.bin", "urls": [f"{place.url}/a.bin"], "sha256": sha256(BODY), "bytes": len(BODY)}
    register(a={"files": [file]})
    path = get("a").path
    path.write_bytes(BODY[:-1])
    (verdict,) = verify(asset("a"))
    assert verdict.why == "it has 4,999 bytes instead of 5,000"


def test_a_file_put_there_by_hand(
    unknown: Served, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "mine"))
    mine = tmp_path / "mine" / "a.bin"
    mine.parent.mkdir()
    mine.write_bytes(b"something")
    assert states("a") == ["no hash known"]
    got = get("a")
    assert (got.path, got.fetched) == (mine, False)
    assert not place.requests


def test_a_changed_file_in_the_users_folder_is_left_to_the_user(
    unknown: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get("a")
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    (tmp_path / "a.bin").write_bytes(b"something")
    with pytest.raises(ChangedFile, match="delete it"):
        get("a")
    assert (tmp_path / "a.bin").read_bytes() == b"something"


def test_a_folder_for_offline_use(
    unknown: Served, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb = tmp_path / "usb"
    assert get("a", to=usb).path == usb / "a" / "a.bin"
    assert get("a", to=usb).fetched is False
    monkeypatch.setenv("MIEN_ASSETS", str(usb))
    assert states("a") == ["ok"]
    assert get("a").path == usb / "a" / "a.bin"


def test_only_what_is_missing_of_a_folder_is_fetched(place: Place, register: Register) -> None:
    files = []
    for name in ("one.bin", "deep/two.bin"):
        place.files[name] = Served(some_bytes(3000, seed=len(name)))
        files.append({"name": name, "urls": [f"{place.url}/{name}"]})
    register(a={"files": files})
    folder = get("a").path
    assert (folder / "deep" / "two.bin").read_bytes() == place.files["deep/two.bin"].body
    (folder / "deep" / "two.bin").unlink()
    assert states("a") == ["ok", "not there"]
    place.requests.clear()
    get("a")
    assert [path for path, *_ in place.requests] == ["/deep/two.bin"]


def test_what_came_before_an_interruption_is_held_against_later(place: Place, register: Register) -> None:
    place.files["a.bin"], place.files["b.bin"] = Served(BODY), Served(BODY[::-1], statuses=[404])
    register(a={"files": [{"name": name, "urls": [f"{place.url}/{name}"]} for name in ("a.bin", "b.bin")]})
    with pytest.raises(DownloadFailed):
        get("a")
    assert list(json.loads(lock_file("a").read_text())) == ["a.bin"]
    got = get("a")
    assert got.trusted == ("b.bin",)
    assert list(json.loads(lock_file("a").read_text())) == ["a.bin", "b.bin"]
    (got.path / "a.bin").write_bytes(b"something")
    assert states("a") == ["changed", "ok"]


def test_a_file_found_without_a_hash_is_trusted_at_first_sight(unknown: Served, place: Place) -> None:
    path = get("a").path
    lock_file("a").unlink()
    got = get("a")
    assert (got.fetched, got.trusted) == (False, ("a.bin",))
    path.write_bytes(b"something")
    assert states("a") == ["changed"]
    assert len(place.requests) == 1


def test_a_damaged_lock_file_is_one_sentence(unknown: Served) -> None:
    get("a")
    lock_file("a").write_text("{")
    with pytest.raises(MienError, match="not a JSON file"):
        verify(asset("a"))


def test_refused_licences_name_what_is_allowed(register: Register) -> None:
    file = {"name": "a.bin", "urls": ["https://example.org/a.bin"]}
    strict = {"files": [file], "licence": "CC-BY-NC-4.0", "permissive": False}
    register(nc=strict, free={"files": [file]}, other={**strict, "kind": "base model"})
    check_licences(["free"])
    with pytest.raises(LicenceRefused, match=r"nc is not permissive \(CC-BY-NC-4\.0\); permissive instead: free"):
        check_licences(["free", "nc"])
    with pytest.raises(LicenceRefused, match="no base model here is permissive"):
        check_licences(["other"])
    with pytest.raises(BadInput):
        check_licences(["nobody"])


def test_the_models_file_at_hand_is_the_published_one(assets_folder: Path) -> None:
    assert states("mediapipe-face-landmarker") == ["ok"]
