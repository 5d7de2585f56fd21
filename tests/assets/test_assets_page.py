"""The page of assets says what the registry says."""

from __future__ import annotations

import os
from pathlib import Path

from mien.assets.page import table
from mien.assets.registry import assets

PAGE = Path(__file__).resolve().parents[2] / "docs" / "assets.md"
BEGIN, END = "<!-- table: written by tests/assets/test_assets_page.py -->\n", "<!-- end of the table -->\n"


def test_the_table_is_the_registrys() -> None:
    """MIEN_UPDATE_SNAPSHOTS=1 writes it anew."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    old, after = rest.split(END)
    if os.environ.get("MIEN_UPDATE_SNAPSHOTS"):
        PAGE.write_text(before + BEGIN + table() + END + after, encoding="utf-8")
        old = table()
    assert old == table(), "run  MIEN_UPDATE_SNAPSHOTS=1 pytest tests/assets/test_assets_page.py"


def test_every_asset_has_a_whole_row() -> None:
    rows = table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(assets())
    assert {row.count(" | ") for row in rows} == {5}
