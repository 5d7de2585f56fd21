"""An asset fetched at its first use: once, with a line that says so, never offline, and without a long wait."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from mien.assets import first_use
from mien.assets.lookup import downloads
from mien.errors import MienError

NAME = "mediapipe-face-landmarker"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    for name in ("MIEN_ASSETS", "MIEN_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _arrives(name: str, **options: Any) -> None:
    with options["watch"]("face_landmarker.task") as report:
        report(1, 2)
    folder = downloads() / name
    folder.mkdir(parents=True)
    (folder / "face_landmarker.task").write_bytes(b"here")


def test_it_is_fetched_once_and_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(first_use, "get", _arrives)
    path = first_use.find_or_fetch(NAME)
    assert path is not None and path.read_bytes() == b"here"
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setattr(first_use, "get", lambda *_, **__: pytest.fail("fetched twice"))
    assert first_use.find_or_fetch(NAME) == path
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["MIEN_OFFLINE", "HF_HUB_OFFLINE"])
def test_nothing_is_tried_offline(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(first_use, "get", lambda *_, **__: pytest.fail("tried"))
    assert first_use.find_or_fetch(NAME) is None
    assert capsys.readouterr().err == ""


def test_a_failed_try_is_not_repeated_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def fails(name: str, **_: Any) -> None:
        tries.append(name)
        raise MienError("no network")

    monkeypatch.setattr(first_use, "get", fails)
    assert first_use.find_or_fetch(NAME) is first_use.find_or_fetch(NAME) is None
    assert len(tries) == 1
    with monkeypatch.context() as later:
        later.setattr(first_use, "PAUSE", 0.0)
        assert first_use.find_or_fetch(NAME) is None
    assert len(tries) == 2
    monkeypatch.setattr(first_use.time, "time", lambda: 0.0)  # a clock that has gone back since
    assert first_use.find_or_fetch(NAME) is None
    assert len(tries) == 3


def test_a_network_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_use, "PATIENCE", 0.05)
    monkeypatch.setattr(first_use, "get", lambda *_, **__: time.sleep(5))
    begin = time.monotonic()
    assert first_use.find_or_fetch(NAME) is None
    assert time.monotonic() - begin < 4  # it did not wait for the five seconds
