"""The papers' tables beside ours: every row is there, and has a model of ours or a reason."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))
tables = importlib.import_module("paper_tables")
ALL = {name: value for name, value in vars(tables).items() if isinstance(value, tables.PaperTable)}


@pytest.mark.parametrize("name", ALL)
def test_every_row_is_whole_and_has_a_counterpart_or_a_reason(name: str) -> None:
    table = ALL[name]
    for row in table.rows:
        assert len(row.values) == len(table.columns), row.method
        assert row.here.startswith(("`", "not run: ", "not drawn yet: ")), row.method


@pytest.mark.parametrize(("name", "result"), [
    ("FACECRAFTER_1", "table1"), ("FACECRAFTER_2", "table2"), ("FACECRAFTER_3", "table3"),
    ("EMOJIDIFF_1", "expression"),
])  # fmt: skip
def test_a_counterpart_is_a_model_of_the_report(name: str, result: str) -> None:
    drawn = json.loads((ROOT / "benchmarks" / "results" / f"{result}.json").read_text())["models"]
    named = {row.here.strip("`") for row in ALL[name].rows if row.here.startswith("`")}
    assert named and named <= {model.partition("#")[0] for model in drawn}


def test_baselines_that_cannot_be_had_stand_in_the_pages() -> None:
    for page, words in (("facecrafter.md", ("CapHuman", "FastComposer", "InstantID", "Table 5")),
                        ("emojidiff.md", ("DaGAN", "SkyReels-A1"))):  # fmt: skip
        text = (ROOT / "docs" / page).read_text()
        assert all(word in text for word in words) and "not run: " in text
