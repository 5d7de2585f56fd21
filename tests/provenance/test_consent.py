"""The note on consent: once to a user, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.provenance.consent import NOTE, VARIABLE, remind_once


def test_it_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    for _ in range(3):
        remind_once(said.append)
    assert said == [NOTE]


def test_where_it_cannot_be_kept_it_is_said_again_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file in the place of the folder")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    for _ in range(2):
        remind_once(said.append)
    assert len(said) == 2


def test_a_program_can_say_that_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, "1")
    said: list[str] = []
    remind_once(said.append)
    assert said == [] and not (tmp_path / "cache").exists()
