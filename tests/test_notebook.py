"""The notebook is clean, and its cells run in order on the embedded weights, with fewer steps."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install 'mien[test]'")
NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "mien.ipynb"


def cells() -> list[str]:
    """The code of its cells."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


def shown(code: str, names: dict[str, Any]) -> Any:
    """Run a cell as a notebook does; the value of its last expression."""
    tree = ast.parse(code)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "cell", "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_it_is_a_valid_notebook_without_outputs() -> None:
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


def test_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    results = [shown(code.replace("STEPS = 25", "STEPS = 1"), names) for code in cells()]
    assert names["STEPS"] == 1
    pictures = [one for one in results if isinstance(one, Image.Image)]
    assert len(pictures) == 7 and all(one.height == 160 for one in pictures)
    assert "consistent" in capsys.readouterr().out
