"""Hashes of weights: read once, and again when a file changes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from mien.errors import BadInput
from mien.generation.repeat import check_models
from mien.generation.tools import identity_network
from mien.provenance import fingerprint
from mien.provenance.fingerprint import JUDGES, environment, model_hashes
from mien.provenance.record import Record
from mien.training.publish import hashes


def test_files_are_read_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    whole = fingerprint.sha256_of
    monkeypatch.setattr(fingerprint, "sha256_of", lambda path: read.append(path) or whole(path))
    file = tmp_path / "unet" / "weights.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"one")
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("not a weight")
    found = model_hashes(tmp_path, {})
    assert found == {
        "model_index.json": sha256(b"{}").hexdigest(), "unet/weights.safetensors": sha256(b"one").hexdigest()
    }  # fmt: skip
    assert model_hashes(tmp_path, {"other": file}) == found | {"other": found["unet/weights.safetensors"]}
    assert len(read) == 2
    file.write_bytes(b"three")
    assert model_hashes(tmp_path, {})["unet/weights.safetensors"] == sha256(b"three").hexdigest() and len(read) == 3


def small_model(folder: Path) -> Path:
    for place, text in {
        "model_index.json": "{}", "training.json": "{}", "hashes.json": "{}", "unet/weights.safetensors": "w",
        "unet/config.json": '{"layers": 2}', "scheduler/scheduler_config.json": '{"prediction_type": "v_prediction"}',
        "tokenizer/tokenizer.json": "{}", "tokenizer/merges.txt": "a b", ".cache/huggingface/a.json": "{}",
        "judges/face/config.json": "{}", "unet/README.md": "text", "unet/notes.txt": "text",
    }.items():  # fmt: skip
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    return folder


def test_a_model_is_also_how_it_is_configured(tmp_path: Path) -> None:
    """Weights alone do not say what a UNet predicts, or how words become tokens."""
    folder = small_model(tmp_path)
    found = model_hashes(folder, {})
    configured = ["judges/face", "scheduler", "tokenizer", "unet"]
    assert list(found) == sorted([*(f"{name}/configuration" for name in configured), "model_index.json",
                                  "unet/weights.safetensors"])  # fmt: skip
    assert model_hashes(None, {"lent": folder / "scheduler"}) == {
        "lent/configuration": found["scheduler/configuration"]
    }
    for place, name in {
        "scheduler/scheduler_config.json": "scheduler", "unet/config.json": "unet", "tokenizer/merges.txt": "tokenizer",
        "tokenizer/tokenizer.json": "tokenizer", "judges/face/config.json": "judges/face",
    }.items():  # fmt: skip
        (folder / place).write_text('{"another": 1}')
        now = model_hashes(folder, {})
        assert {key for key in found if found[key] != now[key]} == {f"{name}/configuration"}, place
        found = now
    for place in ("training.json", "hashes.json", "unet/notes.txt", ".cache/huggingface/a.json"):
        (folder / place).write_text("other")
    assert model_hashes(folder, {}) == found


def test_a_record_of_before_configurations_were_hashed_still_holds(tmp_path: Path) -> None:
    folder = small_model(tmp_path)
    now = model_hashes(folder, {})
    before = {name: digest for name, digest in now.items() if not name.endswith("configuration")}

    def check(models: dict[str, str]) -> None:
        record = Record(mien="1", settings={}, index=0, inputs={}, models=models, environment={})
        check_models(record, model_hashes(folder, {}, without=JUDGES), folder / "picture.png")

    check(now)
    check(before)
    with pytest.raises(BadInput, match="tokenizer/configuration was not there"):
        check({name: digest for name, digest in now.items() if name != "tokenizer/configuration"})
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    check(before)
    with pytest.raises(BadInput, match="scheduler/configuration differs"):
        check(now)
    (folder / "unet" / "weights.safetensors").write_text("others")
    with pytest.raises(BadInput, match=r"unet/weights.safetensors differs"):
        check(before)


def test_a_library_without_metadata_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "LIBRARIES", ("torch", "no-such-library"))
    told = environment("cpu")
    assert told["torch"][0].isdigit() and told["no-such-library"] == "unknown" and told["device"] == "cpu"


def test_what_an_interrupted_save_left_decides_no_pixel(tmp_path: Path) -> None:
    for place in ("identity", "adapters"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "model.safetensors").write_bytes(place.encode())
    before = model_hashes(tmp_path, {}), identity_network(str(tmp_path)), hashes(tmp_path)
    assert len(before[0]) == len(before[2]) == 2
    for place in ("identity", "adapters"):
        (tmp_path / place / ".model.safetensors.abcdefgh.safetensors").write_bytes(b"half")
    identity_network.cache_clear()
    assert (model_hashes(tmp_path, {}), identity_network(str(tmp_path)), hashes(tmp_path)) == before


def test_judges_decide_no_pixel(tmp_path: Path) -> None:
    """Others may take their place: a picture's record does not hold them, and one of 0.1.0 that does still repeats."""
    folder = small_model(tmp_path)
    every = model_hashes(folder, {})
    drawing = model_hashes(folder, {}, without=JUDGES)
    assert every.keys() - drawing.keys() == {"judges/face/configuration"}
    (folder / "judges" / "face" / "config.json").write_text('{"another": 1}')
    assert model_hashes(folder, {}, without=JUDGES) == drawing
    record = Record(mien="1", settings={"base": "studio"}, index=0, inputs={}, models=every, environment={})
    check_models(record, drawing, folder / "picture.png")
    (folder / "unet" / "config.json").write_text('{"layers": 3}')
    with pytest.raises(BadInput, match="unet/configuration differs"):
        check_models(record, model_hashes(folder, {}, without=JUDGES), folder / "picture.png")
