"""C2PA: signing with a certificate made here, reading back, and what tampering does."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mien.cli.main import main
from mien.errors import MissingDependency
from mien.provenance.content_credentials import read_signature, record_digest, sign
from mien.provenance.declaration import DIGITAL_SOURCE_TYPE, EDITED_SOURCE_TYPE
from mien.provenance.png import write_picture
from mien.provenance.record import Record
from mien.provenance.verdict import verify
from tests.authority import write_authority

pytest.importorskip("c2pa", reason="c2pa-python is not installed: pip install 'mien[c2pa]'")
pytest.importorskip("cryptography.x509", reason="cryptography is not installed: pip install 'mien[test]'")

RECORD = Record(mien="0.1.0", settings={"seed": 3}, index=0, inputs={}, models={}, environment={})
EXAMPLE = Path(__file__).resolve().parents[2] / "src" / "mien" / "assets" / "examples" / "person-Ada.png"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture(params=["png", "jpg", "webp"])
def signed(request: pytest.FixtureRequest, tmp_path: Path, keys: Path) -> Path:
    """A signed picture of each format."""
    path = tmp_path / f"a.{request.param}"
    write_picture(path, Image.open(EXAMPLE).convert("RGB").resize((128, 128)), RECORD)
    sign(path, path, keys / "chain.pem", keys / "key.pem")
    return path


def test_a_signed_picture_reads_back(signed: Path, keys: Path) -> None:
    found = read_signature(signed)
    assert found is not None
    assert (found.state, found.signer, found.problems) == ("valid", "a studio", ())
    assert found.source_type == DIGITAL_SOURCE_TYPE and found.record_sha256 == record_digest(RECORD)
    trusted = read_signature(signed, keys / "root.pem")
    assert trusted is not None and trusted.state == "trusted"
    verdict = verify(signed)
    assert verdict.finding == "signed" and verdict.found.record == RECORD and verdict.found.watermark_fits


def test_a_changed_byte_is_seen(signed: Path) -> None:
    content = bytearray(signed.read_bytes())
    content[len(content) - 40] ^= 0xFF  # among the pixels in each format, or in what closes PNG
    signed.write_bytes(bytes(content))
    found = read_signature(signed)
    assert found is not None and found.state == "invalid" and found.problems


def test_pixels_under_another_pictures_signature_are_contradictory(tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "a.jpg"
    write_picture(path, Image.open(EXAMPLE).convert("RGB").resize((128, 128)), RECORD)
    sign(path, path, keys / "chain.pem", keys / "key.pem")
    content = path.read_bytes()
    place = content.rfind(b"\xff\xda") + 200  # the scan
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    verdict = verify(path)
    assert verdict.finding == "contradictory" and not verdict.made_here
    assert any("signature does not hold" in reason for reason in verdict.reasons)


def test_saving_again_loses_the_signature_and_keeps_the_mark(signed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.png"
    Image.open(signed).convert("RGB").save(again)
    assert read_signature(again) is None
    assert verify(again).finding == "marked"


def test_an_edit_is_signed_as_one(tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "a.png"
    edited = RECORD.model_copy(update={"inputs": {"edit": "c" * 64}})
    write_picture(path, Image.open(EXAMPLE).convert("RGB").resize((128, 128)), edited)
    sign(path, tmp_path / "b.png", keys / "chain.pem", keys / "key.pem")
    found = read_signature(tmp_path / "b.png")
    assert found is not None and found.source_type == EDITED_SOURCE_TYPE
    assert read_signature(path) is None  # the source is as it was


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plain.png", "--certificates", "chain.pem", "--key", "key.pem"], "carries no record"),
        (["a.png", "--certificates", "root.pem", "--key", "key.pem"], "cannot be signed"),
        (["a.png", "--certificates", "chain.pem", "--key", "root.pem"], "cannot be signed"),
        (["a.png", "--certificates", "chain.pem", "--key", "key.pem", "-o", "b.jpg"], "changes no format"),
        (["a.gif", "--certificates", "chain.pem", "--key", "key.pem"], "other formats are not signed"),
        (["a.png", "--certificates", "absent.pem", "--key", "key.pem"], "Cannot read"),
    ],
)
def test_what_cannot_be_signed_is_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for file in keys.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    picture = Image.open(EXAMPLE).convert("RGB").resize((128, 128))
    picture.save(tmp_path / "plain.png")
    picture.save(tmp_path / "a.gif")
    write_picture(tmp_path / "a.png", picture, RECORD)
    before = (tmp_path / "a.png").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["sign", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert (tmp_path / "a.png").read_bytes() == before


def test_the_command_signs(tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.png"
    write_picture(path, Image.open(EXAMPLE).convert("RGB").resize((128, 128)), RECORD)
    assert main(["sign", str(path), "--certificates", str(keys / "chain.pem"), "--key", str(keys / "key.pem")]) == 0
    assert main(["verify", str(path), "--trust", str(keys / "root.pem")]) == 0
    assert "signed by a studio, trusted" in capsys.readouterr().out


def test_without_the_package_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "c2pa", None)
    path = tmp_path / "a.png"
    write_picture(path, Image.open(EXAMPLE).convert("RGB").resize((128, 128)), RECORD)
    with pytest.raises(MissingDependency, match=r"mien\[c2pa\]"):
        sign(path, path, path, path)
    assert verify(path).finding == "consistent"  # the rest is judged without it
    with pytest.raises(MissingDependency):
        verify(path, anchors=path)
