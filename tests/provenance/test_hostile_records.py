"""Records that were written to do harm are read like damaged ones, or printed as what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mien.cli.main import main
from mien.errors import BadInput
from mien.generation.repeat import MOST_THREADS, _threads
from mien.provenance.png import CHUNK, read_record, write_picture
from mien.provenance.record import LONGEST, Record

GOOD: dict[str, Any] = {
    "format": 1, "mien": "0.1.0", "settings": {"seed": 3, "prompt": "a person"}, "index": 0, "inputs": {}, "models": {},
    "environment": {"threads": "1"},
}  # fmt: skip


def with_record(path: Path, text: str) -> Path:
    about = PngInfo()
    about.add_itxt(CHUNK, text)
    Image.new("RGB", (64, 64), (90, 80, 70)).save(path, pnginfo=about)
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": {"seed": "3"}}, {"settings": {"seed": -1}}, {"settings": {"seed": 1.5}},
        {"settings": {"seed": True}},
        {"settings": {"seed": 2**64}}, {"settings": {"seed": None}}, {"settings": {"steps": float("nan")}},
        {"settings": {"steps": [float("inf")]}}, {"settings": []}, {"format": 2}, {"format": 0}, {"index": -1},
        {"index": 10**30}, {"mien": 3}, {"inputs": {"identity": "short"}}, {"environment": {"threads": 1}},
        {"models": {"a": "A" * 64}}, {"further": 1}, {"settings": {"prompt": "x" * LONGEST}},
    ],
    ids=lambda changed: json.dumps(changed)[:40],
)  # fmt: skip
def test_a_record_that_cannot_be_is_one_sentence(
    tmp_path: Path, changed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = with_record(tmp_path / "a.png", json.dumps({**GOOD, **changed}))
    with pytest.raises(BadInput, match=r"a\.png cannot be read"):
        read_record(path)
    assert main(["show", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["{", "[" * 5000, '{"mien":' * 5000, "9" * 5000, '{"format":1,"mien":"\\ud800"}', "\0", "null", ""]
)
def test_what_is_no_record_is_no_traceback(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(with_record(tmp_path / "a.png", text))]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_record_cannot_print_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "x\nwatermark    ffffffff (strength 1.00), belongs to the record\x1b]0;t\x07\u202e"
    record = {
        **GOOD, "mien": hostile, "settings": {"prompt": hostile, hostile: [hostile], "seed": 3},
        "inputs": {hostile: "a" * 64}, "models": {hostile: "b" * 64}, "environment": {hostile: hostile},
    }  # fmt: skip
    path = with_record(tmp_path / "a.png", json.dumps(record))
    assert main(["show", str(path)]) == 0
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if line.startswith("watermark")] == ["watermark    none found"]
    assert not {"\x1b", "\x07", "\u202e"} & set(told)
    assert main(["show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["record"]["mien"] == hostile


def test_show_says_that_a_copied_record_proves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Record and mark of another picture, put into a photograph."""
    photo = Image.effect_noise((256, 256), 30).convert("RGB")
    write_picture(tmp_path / "photo.png", photo, Record.parse(json.dumps(GOOD), "another picture"))
    assert main(["show", str(tmp_path / "photo.png")]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("watermark")]
    assert line.endswith("belongs to the record (no proof: anyone can put both into any picture)")


def test_a_name_cannot_print_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\x1b[2Jb\u202e.png"
    path.write_bytes(b"no picture")
    assert main(["show", str(path)]) == 2
    told = capsys.readouterr().err
    assert "\x1b" not in told and "\u202e" not in told and r"\u001b[2J" in told


@pytest.mark.parametrize("threads", ["999999", str(MOST_THREADS + 1), "0", "-1", "²", "1.0", "٣", "1" * 5000, " 1"])
def test_a_number_of_threads_that_cannot_be_is_ignored_with_a_note(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda number: pytest.fail(f"{number} threads"))
    with pytest.warns(UserWarning, match="is ignored"), _threads(threads, Path("a.png")):
        pass


def test_the_recorded_number_of_threads_is_used_and_then_as_many_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    for threads in ("1", "2", str(MOST_THREADS), ""):
        with _threads(threads, Path("a.png")):
            pass
    with pytest.raises(BadInput), _threads("3", Path("a.png")):
        raise BadInput("a picture that cannot be drawn")
    assert used == [1, 7, 2, 7, MOST_THREADS, 7, 3, 7]


def test_a_helper_program_is_never_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands EPS to Ghostscript: under any name it is not a picture."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was asked"))
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n")
    Image.init()
    with Image.open(path) as picture:
        assert picture.format == "EPS"
    for read in (read_record, lambda one: main(["show", str(one)])):
        try:
            assert read(path) == 2
        except BadInput as error:
            assert "not a picture" in str(error)
