"""Examples in docstrings, docs and README run: in a folder with me.jpg and friend.jpg, on the embedded weights.

Blocks of a page share their names. A block that cannot run here stands behind ``<!-- no-run: reason -->``.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
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


NEEDS = {
    "mien.faces.MediaPipeReader": "assets_folder",
    "mien.studio.FaceKit": "kit_path",
    "mien.studio.Render": "kit_path",
    "mien.studio.Renderer": "kit_path",
}
"""Examples that want a file which does not ship with the package -> the fixture that has it, or skips."""


def public_names() -> list[str]:
    """Every class and function of the public surface, each once, by its first name there."""
    surface = json.loads((ROOT / "tests" / "api_surface.json").read_text(encoding="utf-8"))
    found: dict[int, str] = {}
    for module, members in surface.items():
        for name in members:
            value = _named(f"{module}.{name}")
            if inspect.isclass(value) or inspect.isfunction(value):
                found.setdefault(id(value), f"{module}.{name}")
    return list(found.values())


@pytest.mark.parametrize("name", public_names(), ids=lambda name: name.removeprefix("mien."))
def test_every_public_name_has_an_example_that_runs(
    name: str, user_folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in NEEDS:
        monkeypatch.setenv("MIEN_FACEKIT", str(request.getfixturevalue(NEEDS[name])))
    # numbers and libraries' notes differ between machines: an example shows what does not
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    tests = [test for test in doctest.DocTestFinder(recurse=True).find(_named(name), name, globs={}) if test.examples]
    assert tests, f"{name} has no example in its docstring"
    said: list[str] = []
    for test in tests:
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
