"""The commands of a recipe page, in order: those of its ``sh`` blocks, and its ``python`` blocks as scripts."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {paper: ROOT / "docs" / f"recipe-{paper}.md" for paper in ("facecrafter", "emojidiff")}
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """What a reader of the page types; a ``python`` block counts as one command, which runs it."""
    found: list[str] = []
    for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "python":
            found.append(f"python - <<'END'\n{text}END")
        else:
            lines = text.replace("\\\n", " ").replace("|\n", "| ").splitlines()
            found += [" ".join(line.partition(" #")[0].split()) for line in lines if line.strip()]
    return found
