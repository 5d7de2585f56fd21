"""Record, declaration and watermark in every format that is written, and what a verdict makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli.main import main
from mien.errors import BadInput
from mien.provenance.declaration import DIGITAL_SOURCE_TYPE
from mien.provenance.png import examine, picture_format, write_picture
from mien.provenance.record import Record
from mien.provenance.verdict import verify

RECORD = Record(
    mien="0.1.0", settings={"seed": 3, "prompt": "eine Frau mit Käppi 🙂"}, index=1, inputs={"identity": "a" * 64},
    models={"unet/model.safetensors": "b" * 64}, environment={"torch": "2.6"},
)  # fmt: skip
FORMATS = ("png", "jpg", "jpeg", "webp")
EXAMPLE = Path(__file__).resolve().parents[2] / "src" / "mien" / "assets" / "examples" / "person-Ada.png"


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return Image.open(EXAMPLE).convert("RGB").resize((128, 128))


@pytest.mark.parametrize("ending", FORMATS)
def test_each_format_carries_all_three(ending: str, tmp_path: Path, image: Image.Image) -> None:
    path = tmp_path / f"a.{ending}"
    write_picture(path, image, RECORD)
    found = examine(path)
    assert found.record == RECORD
    assert found.digital_source_type == DIGITAL_SOURCE_TYPE
    assert found.mark is not None and found.watermark_fits and not found.video
    assert verify(path).finding == "consistent"
    error = np.asarray(Image.open(path).convert("RGB"), float) - np.asarray(image, float)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 34  # the mark and the format together


@pytest.mark.parametrize("ending", FORMATS)
def test_other_programs_find_the_declaration(ending: str, tmp_path: Path, image: Image.Image) -> None:
    path = tmp_path / f"a.{ending}"
    write_picture(path, image, RECORD)
    with Image.open(path) as opened:
        opened.load()
        assert opened.size == image.size
        packet = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
    assert "trainedAlgorithmicMedia" in (packet.decode() if isinstance(packet, bytes) else str(packet))


@pytest.mark.parametrize("ending", FORMATS)
def test_without_a_record_nothing_is_added(ending: str, tmp_path: Path, image: Image.Image) -> None:
    path = tmp_path / f"a.{ending}"
    write_picture(path, image, None)
    verdict = verify(path)
    assert (verdict.finding, verdict.made_here) == ("nothing", False)
    assert b"mien" not in path.read_bytes()


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_picture_gives_the_same_bytes(ending: str, tmp_path: Path, image: Image.Image) -> None:
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}.{ending}", image, RECORD)
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_other_endings_and_records_too_long_for_jpeg_are_refused(tmp_path: Path, image: Image.Image) -> None:
    with pytest.raises(BadInput, match=r"must end with \.png, \.jpg or \.webp"):
        picture_format(tmp_path / "a.bmp")
    long = RECORD.model_copy(update={"settings": {"seed": 0, "prompt": "x" * 70_000}})
    with pytest.raises(BadInput, match=r"too long for a JPEG"):
        write_picture(tmp_path / "a.jpg", image, long)
    assert not (tmp_path / "a.jpg").exists()
    write_picture(tmp_path / "a.webp", image, long)
    assert examine(tmp_path / "a.webp").record == long


def test_a_verdict_for_each_state_of_a_file(tmp_path: Path, image: Image.Image) -> None:
    made = tmp_path / "made.png"
    write_picture(made, image, RECORD)
    bare = tmp_path / "bare.jpg"
    Image.open(made).save(bare, quality=90)  # as a site that removes metadata
    assert verify(bare).finding == "marked"

    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt("mien", RECORD.text())
    image.save(tmp_path / "claimed.png", pnginfo=text)
    assert verify(tmp_path / "claimed.png").finding == "recorded"
    other = PngInfo()
    other.add_itxt("mien", RECORD.model_copy(update={"index": 2}).text())
    Image.open(made).save(tmp_path / "moved.png", pnginfo=other)
    moved = verify(tmp_path / "moved.png")
    assert moved.finding == "contradictory" and "another record" in moved.reasons[0]


def test_the_command_tells_scripts_by_its_code(
    tmp_path: Path, image: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    made, plain = tmp_path / "made.webp", tmp_path / "plain.png"
    write_picture(made, image, RECORD)
    image.save(plain)
    assert main(["verify", str(made)]) == 0
    assert "made by mien" in capsys.readouterr().out
    assert main(["verify", str(made), str(plain), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["finding"] for one in found] == ["consistent", "nothing"]
    assert main(["verify", str(tmp_path / "absent.png")]) == 2
