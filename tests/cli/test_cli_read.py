"""`mien read`: what was found, drawn on the picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from mien.cli.main import main
from mien.demo.examples import Examples


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(Examples.load().people[0].path.read_bytes())
    return path


def test_what_was_found_is_drawn_and_said(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = photo.with_name("seen.png")
    assert main(["-v", "read", str(photo), "--reader", "studio", "-o", str(out)]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    with Image.open(out) as marked, Image.open(photo) as before:
        assert marked.size == before.size and marked.tobytes() != before.convert("RGB").tobytes()
    assert found["faces"] == 1
    said = [int(one) for one in re.findall(r"face at \[(.*?)\]", printed.err)[0].split(",")]
    assert said == pytest.approx(found["box"], abs=0.6)  # whole pixels


def test_the_picture_itself_is_never_drawn_over(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = photo.read_bytes()
    assert main(["read", str(photo), "-o", str(photo)]) == 2
    assert photo.read_bytes() == before
    assert main(["read", str(photo), "-o", str(photo.with_suffix(".jpg"))]) == 2
    assert "-o " in capsys.readouterr().err
