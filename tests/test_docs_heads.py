"""The tables on ICA's heads say what the committed JSON file says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mien.io import read_json

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "heads.py"


def test_the_tables_are_what_the_command_writes() -> None:
    spec = importlib.util.spec_from_file_location("heads", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    told = script.tables(read_json(script.RESULT))
    assert len(told) == 2
    for page, (name, content) in told.items():
        text = page.read_text(encoding="utf-8")
        assert script.page_with(text, name, content) == text, "run  python benchmarks/heads.py"
