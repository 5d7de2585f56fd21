"""Pictures are opened in one place, which names the formats: no other program is ever started on one."""

from __future__ import annotations

import re
from pathlib import Path

import mien


def test_pictures_are_opened_in_one_place() -> None:
    root = Path(mien.__file__).parent
    calls = {
        path.relative_to(root).as_posix(): line.strip()
        for path in sorted(root.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bImage\.open\(", line)
    }
    assert list(calls) == ["media/pictures.py"] and "formats=" in calls["media/pictures.py"]
