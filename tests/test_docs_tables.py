"""Tables inside pages say what the committed JSON files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mien.assets import embedded
from mien.core.io import read_json
from mien.pipelines.request import DEFAULT_GUIDANCE
from mien.pipelines.spec import ModelSpec
from tests.test_docs_results import script


@pytest.mark.parametrize(
    ("name", "count"), [("heads", 2), ("guidance", 1), ("rounds", 1), ("photographs", 1), ("choices", 1),
     ("floors", 1), ("emotion_headroom", 1), ("mark", 1), ("app_load", 1),
     ("first_portrait", 1), ("comfyui_pictures", 1), ("costs", 2), ("docs_rehearsal", 1), ("loader", 1),
     ("scaling", 1)],
)  # fmt: skip
def test_the_tables_are_what_the_command_writes(name: str, count: int) -> None:
    module = script(name)
    told = module.tables(read_json(module.RESULT))
    assert len(told) == count
    for page, (source, content) in told.items():
        text = page.read_text(encoding="utf-8")
        assert script("docs_parts").with_table(text, source, content) == text, f"run  python benchmarks/{name}.py"


@pytest.mark.parametrize("name", ["docs_readme", "docs_headline"])
def test_the_headline_on_the_pages_is_that_of_its_file_or_says_that_there_is_none(name: str) -> None:
    for page, (source, content) in script(name).tables(script("docs_headline").read_headline()).items():
        text = page.read_text(encoding="utf-8")
        assert script("docs_parts").with_table(text, source, content) == text, f"run  python benchmarks/{name}.py"


def test_the_keys_of_a_spec_that_the_page_lists_are_those_it_takes() -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
    table = text.split("| Key of a spec |")[1].split("\n\n")[0]
    keys = [key for row in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(keys) == sorted(ModelSpec.model_fields)


@pytest.mark.parametrize("page", ["getting-started", "speed"])
def test_the_guidance_that_a_page_states_is_that_of_the_embedded_base(page: str) -> None:
    own = DEFAULT_GUIDANCE | read_json(embedded("studio") / "model_index.json")["guidance"]
    stated = ", ".join(f"{name} {weight:g}" for name, weight in own.items())
    text = (Path(__file__).resolve().parents[1] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert stated in " ".join(text.split())
