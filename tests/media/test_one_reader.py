"""Pictures are opened in one place, which names the formats: no other program is ever started on one."""

from __future__ import annotations

import ast
from pathlib import Path

import mien


def test_pictures_are_opened_in_one_place() -> None:
    root = Path(mien.__file__).parent
    calls = [
        (path.relative_to(root).as_posix(), [word.arg for word in node.keywords])
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
    ]
    assert calls == [("media/pictures.py", ["formats"])]
