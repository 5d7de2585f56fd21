"""Examples in docstrings, docs and README run: in a folder with me.jpg and friend.jpg, on the embedded weights.

Blocks of a page share their names. A block that cannot run here stands behind ``<!-- no-run: reason -->``.
"""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mien

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?P<skip><!-- no-run: [^>]+ -->\n+)?```python\n(?P<code>.*?)```", re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    """(line, code) of the blocks of a page that run."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start("code")), found["code"])
        for found in BLOCK.finditer(text)
        if found["skip"] is None
    ]


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user works: with the two pictures that examples name."""
    examples = Path(mien.__file__).parent / "assets" / "examples"
    for name, source in {"me.jpg": "person-Ada.png", "friend.jpg": "template-laugh.png"}.items():
        Image.open(examples / source).convert("RGB").save(tmp_path / name, quality=95)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _named(name: str) -> Any:
    module, _, own = name.rpartition(".")
    return getattr(importlib.import_module(module), own)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_the_snippets_of_a_page_run(page: Path, user_folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, str(page), "exec"), names)


PUBLIC = [f"mien.{name}" for name in mien.__all__ if name != "__version__"]
FURTHER = ["mien.provenance.verify", "mien.provenance.refuse_identities"]
"""Names outside the package's own surface whose examples a site's owner copies."""


@pytest.mark.parametrize("name", [*PUBLIC, *FURTHER], ids=lambda name: name.removeprefix("mien."))
def test_every_public_name_has_an_example_that_runs(name: str, user_folder: Path) -> None:
    # numbers and libraries' notes differ between machines: an example shows what does not
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    tests = [test for test in doctest.DocTestFinder(recurse=True).find(_named(name), name, globs={}) if test.examples]
    assert tests, f"{name} has no example in its docstring"
    said: list[str] = []
    for test in tests:
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
