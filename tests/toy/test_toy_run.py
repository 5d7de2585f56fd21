"""The toy from end to end, in a very small size, on the embedded weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import mien.training.run
from mien.assets import embedded_or_none
from mien.core.io import read_json
from mien.errors import ConfigError
from mien.provenance.png import examine
from mien.toy.run import LEARNT, PRESET, Size, run

TINY = Size(people=2, per_person=3, rounds=2, pictures=4, batch=2, steps=1)
CHECKPOINT = Path("runs") / PRESET / "checkpoint.safetensors"

pytestmark = pytest.mark.skipif(embedded_or_none("studio") is None, reason="the embedded weights are not here")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, told = tmp_path_factory.mktemp("toy"), []
    assert run(folder, TINY, on_look=lambda name, numbers: told.append(name)) == folder / "toy.png"
    assert told == ["shipped", "0", "1", "2"]
    return folder


def test_it_trains_a_branch_from_nothing_and_looks_after_each_round(toy: Path) -> None:
    report = read_json(toy / "toy.json")
    assert [look["pictures"] for look in report["looks"].values()] == [0, 0, 4, 8]
    assert report["looks"]["2"]["seconds"] > report["looks"]["1"]["seconds"] > 0
    learnt = load_file(toy / "runs" / LEARNT)
    assert any("to_v" in name and value.abs().max() > 0 for name, value in learnt.items())
    config = read_json(toy / "runs" / PRESET / "config.json")
    assert config["objective"] == "branch:BranchObjective" and "init" not in config["options"]
    record = examine(toy / "toy.png").record
    assert record is not None and record.settings["toy"]["rounds"] == 2
    assert {f"{name}.png" for name in report["looks"]} <= {path.name for path in (toy / "looks").iterdir()}


def test_the_same_command_again_only_reads(toy: Path, monkeypatch: Any) -> None:
    before = (toy / "toy.png").read_bytes()
    monkeypatch.setattr(mien.training.run, "train", None)
    run(toy, TINY)
    assert (toy / "toy.png").read_bytes() == before


def test_a_toy_in_two_sittings_ends_where_one_in_one_does(toy: Path, tmp_path: Path) -> None:
    for folder in ("data", "looks"):  # what both have in common is not drawn again
        shutil.copytree(toy / folder, tmp_path / folder, ignore=shutil.ignore_patterns("1*", "2*"))
    run(tmp_path, replace(TINY, rounds=1), made_by={"command": "mien toy"})
    assert list(read_json(tmp_path / "toy.json")["looks"]) == ["shipped", "0", "1"]
    assert read_json(tmp_path / "toy.json")["made_by"] == {"command": "mien toy"}
    run(tmp_path, TINY)
    one, two = load_file(toy / CHECKPOINT), load_file(tmp_path / CHECKPOINT)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    ends = [read_json(folder / "toy.json")["looks"]["2"] for folder in (toy, tmp_path)]
    assert ends[0]["pose_error"] == ends[1]["pose_error"] and ends[0]["point_error"] == ends[1]["point_error"]


def test_a_folder_with_another_toy_is_refused(toy: Path) -> None:
    with pytest.raises(ConfigError, match="toy of another size"):
        run(toy, Size(people=3))
