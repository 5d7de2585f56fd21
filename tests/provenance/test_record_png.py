import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import BadInput, MienError
from mien.provenance.declaration import DIGITAL_SOURCE_TYPE
from mien.provenance.png import CHUNK, XMP_CHUNK, examine, read_record, write_picture
from mien.provenance.record import Record

RECORD = Record(
    mien="0.1.0",
    settings={"seed": 3, "steps": 25, "prompt": "eine Frau mit Käppi 🙂"},
    index=1,
    inputs={"identity": "a" * 64},
    models={"unet/model.safetensors": "b" * 64},
    environment={"torch": "2.6"},
)


@pytest.fixture
def image() -> Image.Image:
    y, x = np.mgrid[:128, :128]
    return Image.fromarray(np.stack([x, y, x ^ y], -1).astype(np.uint8))


def test_record_survives_the_file(tmp_path: Path, image: Image.Image) -> None:
    file = tmp_path / "a.png"
    write_picture(file, image, RECORD)
    assert read_record(file) == RECORD
    found = examine(file)
    assert found.record == RECORD
    assert found.digital_source_type == DIGITAL_SOURCE_TYPE
    assert found.mark is not None
    assert found.watermark_fits


def test_other_programs_can_read_it(tmp_path: Path, image: Image.Image) -> None:
    file = tmp_path / "a.png"
    write_picture(file, image, RECORD)
    with Image.open(file) as opened:
        opened.load()
        assert json.loads(opened.text[CHUNK])["settings"]["steps"] == 25  # type: ignore[attr-defined]
        assert "trainedAlgorithmicMedia" in opened.text[XMP_CHUNK]  # type: ignore[attr-defined]
    from xml.etree import ElementTree

    packet = Image.open(file).text[XMP_CHUNK]  # type: ignore[attr-defined]
    root = ElementTree.fromstring(packet[packet.index("<x:xmpmeta") : packet.index("<?xpacket end")])
    values = [
        value for node in root.iter() for name, value in node.attrib.items() if name.endswith("DigitalSourceType")
    ]
    assert values == [DIGITAL_SOURCE_TYPE]


def test_same_picture_same_bytes(tmp_path: Path, image: Image.Image) -> None:
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / name, image, RECORD)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_provenance_nothing_is_added(tmp_path: Path, image: Image.Image) -> None:
    file = tmp_path / "a.png"
    write_picture(file, image, None)
    with Image.open(file) as opened:
        opened.load()
        assert opened.text == {}  # type: ignore[attr-defined]
        assert np.array_equal(np.asarray(opened), np.asarray(image))
    found = examine(file)
    assert (found.record, found.digital_source_type, found.mark, found.watermark_fits) == (None, None, None, None)
    with pytest.raises(BadInput, match="carries no record"):
        read_record(file)


def test_the_mark_outlives_the_metadata(tmp_path: Path, image: Image.Image) -> None:
    write_picture(tmp_path / "a.png", image, RECORD)
    Image.open(tmp_path / "a.png").save(tmp_path / "a.jpg", quality=90)
    found = examine(tmp_path / "a.jpg")
    assert found.record is None
    assert found.mark is not None
    assert found.mark.id == RECORD.watermark_id


def test_a_mark_moved_to_another_record_is_noticed(tmp_path: Path, image: Image.Image) -> None:
    write_picture(tmp_path / "a.png", image, RECORD)
    other = RECORD.model_copy(update={"index": 2})
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt(CHUNK, other.text())
    Image.open(tmp_path / "a.png").save(tmp_path / "b.png", pnginfo=text)
    assert examine(tmp_path / "b.png").watermark_fits is False


def test_a_damaged_record_is_one_sentence(tmp_path: Path, image: Image.Image) -> None:
    from PIL.PngImagePlugin import PngInfo

    for content in ("{", "{}", RECORD.text().replace('"index"', '"indices"'), "[]"):
        text = PngInfo()
        text.add_itxt(CHUNK, content)
        image.save(tmp_path / "a.png", pnginfo=text)
        with pytest.raises(BadInput, match="cannot be read"):
            read_record(tmp_path / "a.png")


def test_a_record_can_hold_no_embedding() -> None:
    with pytest.raises(ValueError, match="embedding"):
        Record.model_validate({**RECORD.model_dump(), "embedding": [0.1] * 512})


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, image: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.png"
    write_picture(file, image, RECORD)
    before = file.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MienError, match="No space left on device"):
        write_picture(file, image, RECORD.model_copy(update={"index": 2}))
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
