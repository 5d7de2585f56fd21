"""The note on consent: once to a user, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command

import mien
from mien.cli import generate
from mien.demo.examples import Examples
from mien.generation import many
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


def test_the_python_api_says_it_once_and_of_people_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ada = Examples.load().people[0].path
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    mien.generate(prompt="portrait of a smiling woman", steps=1)
    assert NOTE not in caplog.messages
    for _ in range(2):
        mien.generate(identity=ada, steps=1)
    assert caplog.messages.count(NOTE) == 1


def test_a_file_of_requests_is_reminded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(many, "generate_many", lambda *_, **__: many.Counts(1, 1, 0, True))
    said = []
    for _ in range(2):
        get_command(generate.app).main(["--from", "requests.jsonl", "-o", str(tmp_path)], standalone_mode=False)
        said.append(NOTE in capsys.readouterr().err)
    assert said == [True, False]


def test_a_program_can_say_that_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, "1")
    said: list[str] = []
    remind_once(said.append)
    assert said == [] and not (tmp_path / "cache").exists()
