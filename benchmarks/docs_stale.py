"""The first line of every page that cites a result file which was not measured on the weights that ship.

    python benchmarks/docs_stale.py

Written, or taken away, on the pages of ``docs/`` and in README.md; the scripts that write pages do the same.
"""

from __future__ import annotations

from pathlib import Path

from docs_parts import ROOT, with_stale_note

from mien.core.io import write_text


def pages() -> list[Path]:
    """Pages that may cite a result file."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


if __name__ == "__main__":
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (after := with_stale_note(before)) != before:
            write_text(page, after)
