"""Tables inside pages say what the committed JSON files say."""

from __future__ import annotations

import pytest

from mien.io import read_json
from tests.test_docs_results import script


@pytest.mark.parametrize(("name", "count"), [("heads", 2), ("guidance", 1), ("rounds", 1), ("photographs", 1)])
def test_the_tables_are_what_the_command_writes(name: str, count: int) -> None:
    module = script(name)
    told = module.tables(read_json(module.RESULT))
    assert len(told) == count
    for page, (source, content) in told.items():
        text = page.read_text(encoding="utf-8")
        assert script("docs_parts").with_table(text, source, content) == text, f"run  python benchmarks/{name}.py"
