"""What is loaded, read and calibrated when pairs are asked for again."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.core.io import read_json, write_json
from mien.data.idi import open as opening
from mien.data.idi import source
from mien.data.idi.build import Builder
from mien.data.idi.filters import Read
from mien.data.idi.folder import claim_pairs
from mien.data.idi.makers import Job
from mien.data.idi.open import CALIBRATION_FILE, Order, build_pairs
from mien.errors import BadInput, ConfigError, MissingAsset
from mien.faces.types import Reading
from mien.generation.tools import FaceTools
from tests.data.idi_fakes import TOOLS, Recolour, builder, read
from tests.synthetic import write_corpus

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'mien[pairs]'")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_corpus(tmp_path_factory.mktemp("portraits"), people=4, per_person=3)
    (folder / "kit.npz").write_bytes(b"kit")
    return folder


class Loads:
    """Counts the builders opened and the times that good pairs were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = self.calibrated = 0
        monkeypatch.setattr(FaceTools, "load", lambda base, reader: TOOLS)
        monkeypatch.setattr(Order, "open", self.open)
        monkeypatch.setattr(opening, "_good_pairs", self.good_pairs)

    def open(self, order: Order | None = None) -> Builder:
        self.opened += 1
        assert self.order is not None
        return Builder(self.order.request, self.order.portraits, Recolour(), TOOLS)

    def good_pairs(self, made: Builder, facekit: Path | None) -> Iterator[tuple[Read, Read]]:
        self.calibrated += 1
        for row in range(4):
            shown = made.portraits[row].image.copy()
            shown[0, 1] += 30
            yield made.look(shown), made.read(row)

    def pairs(self, data: Path, folder: Path, calibrate: bool = True, **settings: Any) -> dict[str, Any]:
        settings = {"batch": 4, "seed": 3} | settings
        self.order = Order.of(data, "expression", "oracle", settings, facekit=data / "kit.npz")
        found = build_pairs(self.order, folder, calibrate)
        assert found is not None
        return found


def test_a_finished_set_loads_nothing_and_keeps_its_calibration(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = Loads(monkeypatch)
    first = loads.pairs(data, tmp_path)
    assert (loads.opened, loads.calibrated) == (1, 1)
    assert first["thresholds"]["exp"] == pytest.approx(30 / 255, abs=1e-4) and first["thresholds"]["lms"] == 0.0
    assert loads.pairs(data, tmp_path) == first
    assert (loads.opened, loads.calibrated) == (1, 1), "the set is finished"
    with pytest.raises(ConfigError, match="seed 3 instead of 4"):
        loads.pairs(data, tmp_path, seed=4)
    with pytest.raises(ConfigError, match="thresholds"):
        loads.pairs(data, tmp_path, calibrate=False)
    assert loads.opened == 1, "refused before anything is loaded"


def test_an_interrupted_set_is_not_calibrated_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = Loads(monkeypatch)
    whole = loads.pairs(data, tmp_path / "whole")

    def stop(self: Recolour, jobs: list[Job]) -> list[np.ndarray]:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stopped.setattr(Recolour, "make", stop)
        loads.pairs(data, tmp_path / "parts")
    assert read_json(tmp_path / "parts" / CALIBRATION_FILE)["exp"] == whole["thresholds"]["exp"]
    assert loads.calibrated == 2
    assert loads.pairs(data, tmp_path / "parts") == whole
    assert (loads.opened, loads.calibrated) == (3, 2)


@pytest.mark.parametrize("damaged", [[], None, {"request": 3}])
def test_a_damaged_calibration_is_one_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: Any
) -> None:
    loads = Loads(monkeypatch)
    loads.pairs(data, tmp_path)
    whole = read_json(tmp_path / CALIBRATION_FILE)
    for stored in (damaged, {"request": whole["request"]}, whole | {"exp": -1}):
        write_json(tmp_path / CALIBRATION_FILE, stored)
        with pytest.raises(ConfigError, match=CALIBRATION_FILE):
            loads.pairs(data, tmp_path)


def test_what_draws_or_filters_otherwise_makes_other_pairs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaceTools, "load", lambda base, reader: TOOLS)
    hashed: dict[str, str] = {}
    monkeypatch.setattr(opening, "base_hashes", lambda base: dict(hashed))
    other_kit, branch = tmp_path / "other.npz", tmp_path / "branch.json"
    other_kit.write_bytes(b"another kit")
    write_json(branch, {"conditions": ["identity", "expression"], "identity_mode": "branch"})

    def claim(maker: str, model: str = "expression", kit: Path = data / "kit.npz") -> None:
        request = Order.of(data, model, maker, {}, facekit=kit).request
        claim_pairs(tmp_path / maker, request)

    claim("redraw")
    claim("redraw", kit=other_kit)  # no kit draws these
    with pytest.raises(ConfigError, match="identity_mode prompt instead of branch"):
        claim("redraw", model=str(branch))
    claim("oracle")
    with pytest.raises(ConfigError, match="kit"):
        claim("oracle", kit=other_kit)
    hashed["unet/model.safetensors"] = "1" * 64  # draws nothing here
    claim("oracle")
    for name in ("identity/model.safetensors", "reader/face/model.safetensors"):
        hashed[name] = "1" * 64
        with pytest.raises(ConfigError, match="models"):
            claim("oracle")
        del hashed[name]
    with pytest.raises(MissingAsset, match="face kit"):
        claim("oracle", kit=tmp_path / "absent.npz")


def test_another_process_hashes_and_reads_no_data_anew(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaceTools, "load", lambda base, reader: TOOLS)
    order = Order.of(data, "expression", "oracle", {}, facekit=data / "kit.npz")
    sent = pickle.dumps(order.again())

    def refuse(*_: object) -> None:
        raise AssertionError("read once more")

    for module, name in ((opening, "sha256_of"), (opening, "base_hashes"), (source, "sha256_of"), (source, "_places")):
        monkeypatch.setattr(module, name, refuse)
    again = pickle.loads(sent)()
    assert again.request == order.request and again.portraits.sha256 == order.portraits.sha256
    assert [again.portraits.sample(row).key for row in range(3)] == [
        order.portraits.sample(row).key for row in range(3)
    ]


def test_a_portrait_is_read_twice_at_most_however_many_it_stands_beside(data: Path, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def counted(image: Any, source: str) -> Reading:
        seen.append(np.asarray(image).tobytes())
        return read(image, source)

    made = builder(data, attempts=3, thresholds={"exp": 1e-6})  # every attempt fails
    own = {entry.image.tobytes() for entry in (made.portraits[row] for row in range(len(made.portraits)))}
    with pytest.raises(BadInput, match="None of 36 attempts"):
        Builder(made.request, made.portraits, made.maker, FaceTools("fake", counted, *_rest())).build(tmp_path)
    # as a target, with its picture, and before that perhaps beside another, when its embedding alone is kept
    assert len(own) == 12 <= len([one for one in seen if one in own]) <= 24


def _rest() -> tuple[Any, ...]:
    return TOOLS.embed, TOOLS.crop, TOOLS.describe
